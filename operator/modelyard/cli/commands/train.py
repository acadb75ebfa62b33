"""`train` and `runs follow`: create a run; show its logs, metrics and progress to the end."""

import threading
from collections import deque
from dataclasses import dataclass

from rich.text import Text

from modelyard.api.training_run import TrainingRun
from modelyard.cli.commands.live import StatusLine, WatchedObjects, status_line
from modelyard.cli.commands.manifest import TrainOptions, training
from modelyard.cli.commands.session import Session, full_name, now, opened
from modelyard.cli.options import Where
from modelyard.cli.views import runs as views
from modelyard.client.errors import ClientError, Failed, NotFound, TimedOut
from modelyard.client.kube import Manifest
from modelyard.client.runs import RunHandle
from modelyard.client.text import lasted
from modelyard.client.training import created

__all__ = ["Following", "follow", "result", "train"]


@dataclass(frozen=True)
class Following:
    """The options for following a run."""

    follow: bool = True
    timeout: float | None = None
    dry_run: bool = False


def train(where: Where, options: TrainOptions, following: Following) -> None:
    """Create a run, and follow it."""
    wanted = training(options)
    session = opened(where)
    body = created(session.kube, wanted, dry_run=following.dry_run)
    if following.dry_run:
        session.screen.message(Text("The API server would accept the run; nothing was created."))
        session.print_objects([body], single=True)
        return
    name = body["metadata"]["name"]
    session.screen.message(Text(f"{full_name(body)} created."))
    if following.follow:
        body = _followed(session, name, following.timeout)
    else:
        session.screen.message(Text(f"To follow it: {session.hint(f'runs follow {name}')}"))
    if where.document:
        session.print_objects([body], single=True)


def follow(where: Where, name: str, timeout: float | None) -> None:
    """Follow an existing run."""
    session = opened(where)
    body = _followed(session, name, timeout)
    if where.document:
        session.print_objects([body], single=True)


def result(run: TrainingRun) -> bool | Failed | None:
    """Return the result of a run. Pure.

    Returns:
        True if it succeeded and its model is registered as requested; Failed if it failed or needs
            action; None while it continues.

    """
    condition = run.status.condition("Ready")
    if condition is None or run.status.observed_generation < run.metadata.generation:
        return None
    if run.status.is_true("Ready"):
        return True
    if run.status.is_true("Stalled") or (
        views.finished(run) and not run.status.is_true("Succeeded")
    ):
        failed = run.status.failure
        log = (
            "".join(f"\n  | {line}" for line in failed.log.rstrip().splitlines()[-5:])
            if failed and failed.log
            else ""
        )
        return Failed(run.key, condition.reason, condition.message + log)
    return None


class _Logs:
    """The log lines of a run's pods, read on a thread."""

    def __init__(self, run: RunHandle, watched: WatchedObjects) -> None:
        self._run, self._watched = run, watched
        self._lines: deque[str] = deque()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def taken(self, *, last: bool = False) -> list[str]:
        """Return the lines since the last call; with `last`, wait for the rest of the log."""
        if last:
            self._thread.join(timeout=5)
        return [self._lines.popleft() for _ in range(len(self._lines))]

    def _read(self) -> None:
        try:
            for line in self._run.logs(follow=True):
                self._say(line)
        except NotFound:
            return  # its pods are deleted already; the run's status has the result
        except ClientError as error:
            self._say(f"No logs: {error}")

    def _say(self, line: str) -> None:
        self._lines.append(line)
        self._watched.notify()


def _followed(session: Session, name: str, seconds: float | None) -> Manifest:
    """Show a run until it ends; return the object."""
    back = session.hint(f"runs follow {name}")
    watched = WatchedObjects()
    watched.watch(session.kube, "TrainingRun", name=name)
    logs = _Logs(session.client.runs.get(name), watched)
    begun, seen = now(), False
    with status_line(
        session.screen, f"\nThe run continues in the cluster. To follow it: {back}"
    ) as status:
        for _ in watched.changes():
            bodies = watched.of("TrainingRun")
            if not bodies and seen:
                raise NotFound(f"The run {name} was deleted.", kind="TrainingRun", name=name)
            if bodies:
                seen = True
                run = TrainingRun.parse(bodies[0])
                found = result(run)
                _print_progress(session, status, logs.taken(last=found is not None), run)
                if isinstance(found, Failed):
                    raise found
                if found:
                    status.print(_ended(run))
                    return bodies[0]
            if seconds is not None and (now() - begun).total_seconds() > seconds:
                raise TimedOut(
                    f"Timed out after {seconds:.0f} s. The run {name} continues in the cluster. To"
                    f" follow it: {back}",
                    seconds,
                )
    raise AssertionError("changes have no end")


def _print_progress(
    session: Session, status: StatusLine, lines: list[str], run: TrainingRun
) -> None:
    for line in lines:
        status.print(Text(line, style="dim"))
    percent = f" {run.status.progress.percent}%" if run.status.progress else ""
    condition = run.status.condition("Ready")
    why = f": {condition.message}" if condition and condition.message and not percent else ""
    status.show(
        views.line(run, now(), session.screen.width),
        f"{run.metadata.name}  {views.word(run)}{percent}{why}",
    )


def _ended(run: TrainingRun) -> Text:
    took = (
        f" in {lasted(run.status.completion_time - run.status.start_time)}"
        if run.status.completion_time and run.status.start_time
        else ""
    )
    done = run.status.registered
    registered = f"  Registered as {done.model}@{done.version}." if done else ""
    return Text(
        f"{run.metadata.name} succeeded{took}.  {views.metrics(run)}{registered}".rstrip(),
        style="green",
    )
