"""Steps, their dependencies, and which of them are done already.

A step has a key: a hash over its name, its inputs, and the keys of its dependencies. A step is done
if its stamp has its key and its output still exists.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.console import Console, Failed, Log, tail

__all__ = ["Plan", "Step", "hash_files", "order"]

HEARTBEAT = 30.0
# Compilers use all cores; two at a time fill the gaps while one of them links.
HEAVY_AT_ONCE = 2


@dataclass(frozen=True)
class Step:
    """One piece of work.

    Args:
        name: unique; also the name of its log.
        run: does the work, its output in the log it is given; raises ``Failed``.
        done: whether the output for the step's key exists; called before the work only.
        inputs: versions, flags and hashes of files that the output depends on.
        after: names of the steps that it depends on.
        doing: what it does, as a line for people.
        heavy: uses all cores; at most two of these run at a time.
    """

    name: str
    run: Callable[[Log, str], None]
    done: Callable[[str], bool]
    inputs: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    doing: str = ""
    heavy: bool = False


def hash_files(paths: Iterable[Path], root: Path) -> str:
    """Return a hash over the relative names, the modes' x bit and the contents of files; folders
    are walked.
    """
    digest = hashlib.sha256()
    files: list[Path] = []
    for path in paths:
        files += (
            (child for child in path.rglob("*") if child.is_file()) if path.is_dir() else [path]
        )
    for file in sorted(files):
        executable = file.stat().st_mode & 0o100
        digest.update(
            f"{file.relative_to(root)}\0{executable}\0".encode()
            + hashlib.sha256(file.read_bytes()).digest()
        )
    return digest.hexdigest()


def order(steps: Sequence[Step], wanted: Iterable[str]) -> list[Step]:
    """Return the wanted steps and all their dependencies, in order; ``ValueError`` for an unknown
    name or a cycle.
    """
    known = {step.name: step for step in steps}
    out: list[Step] = []
    placed: set[str] = set()

    def place(name: str, path: tuple[str, ...]) -> None:
        if name in path:
            raise ValueError(f"steps form a ring: {' -> '.join((*path, name))}")
        if name in placed:
            return
        if name not in known:
            raise ValueError(f"no step named {name!r}")
        for before in known[name].after:
            place(before, (*path, name))
        placed.add(name)
        out.append(known[name])

    for name in wanted:
        place(name, ())
    return out


def keys_of(steps: Sequence[Step]) -> dict[str, str]:
    """Return each step's key, for steps in the order of ``order``."""
    keys: dict[str, str] = {}
    for step in steps:
        parts = [step.name, *step.inputs, *(keys[name] for name in step.after)]
        keys[step.name] = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]
    return keys


@dataclass
class Plan:
    """Runs the steps that are not done, independent ones in parallel.

    Args:
        steps: every step there is.
        cache: folder of ``stamps/`` and ``logs/``.
        workers: how many steps run at a time.
    """

    steps: Sequence[Step]
    cache: Path
    console: Console
    workers: int = 4

    def stamp(self, name: str) -> Path:
        return self.cache / "stamps" / name

    def is_done(self, step: Step, key: str) -> bool:
        stamp = self.stamp(step.name)
        return stamp.exists() and stamp.read_text() == key and step.done(key)

    def todo(self, wanted: Iterable[str]) -> list[Step]:
        """Return the steps that a run would do now: those that are not done, in order."""
        chain = order(self.steps, wanted)
        keys = keys_of(chain)
        return [step for step in chain if not self.is_done(step, keys[step.name])]

    def missing(self, wanted: Iterable[str]) -> list[str]:
        """Return the names of the steps that a run would do now."""
        return [step.name for step in self.todo(wanted)]

    def run(self, wanted: Iterable[str]) -> list[str]:
        """Run the steps that are not done; return their names in the order of their ends. Raises
        ``Failed``.
        """
        chain = order(self.steps, wanted)
        keys = keys_of(chain)
        todo = {step.name: step for step in chain if not self.is_done(step, keys[step.name])}
        # A stamp means complete work: it is removed first and written last.
        for name in todo:
            self.stamp(name).unlink(missing_ok=True)
        return self._drive(todo, keys) if todo else []

    def _drive(self, todo: Mapping[str, Step], keys: Mapping[str, str]) -> list[str]:
        waiting, ended = dict(todo), list[str]()
        running: dict[Future[None], tuple[str, float]] = {}
        failure: Exception | None = None
        with ThreadPoolExecutor(self.workers) as pool:
            while (waiting and not failure) or running:
                for name, step in list(waiting.items()):
                    heavies = sum(todo[other].heavy for other, _ in running.values())
                    free = len(running) < self.workers and not (
                        step.heavy and heavies >= HEAVY_AT_ONCE
                    )
                    if (
                        free
                        and not failure
                        and not any(before in todo and before not in ended for before in step.after)
                    ):
                        running[pool.submit(self._one, step, keys[name])] = (name, time.monotonic())
                        del waiting[name]
                finished, _ = wait(running, timeout=HEARTBEAT, return_when=FIRST_COMPLETED)
                if not finished:
                    now = time.monotonic()
                    self.console.say(
                        "  still: "
                        + ", ".join(
                            f"{name} ({now - since:.0f} s)" for name, since in running.values()
                        )
                    )
                for future in finished:
                    name, _ = running.pop(future)
                    error = future.exception()
                    if error is None:
                        ended.append(name)
                    elif failure is None:
                        failure = (
                            error if isinstance(error, Exception) else RuntimeError(repr(error))
                        )
        if failure:
            raise failure
        return ended

    def _one(self, step: Step, key: str) -> None:
        log = Log(self.cache / "logs" / f"{step.name}.log")
        start = time.monotonic()
        self.console.say(f"{step.name}: {step.doing or 'running'}")
        try:
            step.run(log, key)
        except (Failed, OSError) as error:
            raise Failed(
                f"{step.name}: {error}\n"
                f"--- the end of {log.path}\n"
                f"{tail(log.path)}\n"
                f"--- the whole log: {log.path}"
            ) from error
        if not step.done(key):
            raise Failed(f"{step.name} ended, but its output is missing; log: {log.path}")
        stamp = self.stamp(step.name)
        stamp.parent.mkdir(parents=True, exist_ok=True)
        stamp.write_text(key)
        self.console.say(f"{step.name}: done in {time.monotonic() - start:.0f} s")
