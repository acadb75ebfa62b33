"""However a test run ends, none of its processes is left: server, command, or their children."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.harness import until

pytestmark = [pytest.mark.api, pytest.mark.contract, pytest.mark.timeout(1200)]

ROOT = Path(__file__).parents[2]
ENDLESS = "tests/contract/endless.py"
PYTEST = [sys.executable, "-m", "pytest"]
# What would be built first exists: this test runs in its environment.
MAKE = ["make", "test", f"TESTS={ENDLESS}", f"BIN={Path(sys.executable).parent}"]
MAKE += [word for made in ("images", ".venv/.synced") for word in ("-o", made)]

Process = tuple[int, str]


def stat(process: int) -> tuple[int, str] | None:
    """Return the parent of a process and its start time; None if it has ended."""
    try:
        text = Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return None
    state, parent, *rest = text.rpartition(")")[2].split()
    return None if state in "ZX" else (int(parent), rest[17])


def processes() -> dict[Process, int]:
    """Return every running process with its parent's id."""
    numbers = [int(each.name) for each in Path("/proc").iterdir() if each.name.isdigit()]
    found = {number: stat(number) for number in numbers}
    return {(number, at[1]): at[0] for number, at in found.items() if at}


def words(process: int) -> list[str]:
    """Return the command line of a process; empty if it has ended."""
    try:
        return Path(f"/proc/{process}/cmdline").read_text().split("\0")
    except OSError:
        return []


def watched(process: int) -> int | None:
    """Return the process that a watcher watches; None for another program."""
    line = words(process)
    at = next((index for index, word in enumerate(line) if word.endswith("/watcher.py")), None)
    return None if at is None else int(line[at + 1])


def family(process: int) -> set[Process]:
    """Return a process, its descendants, and the watchers of any of them."""
    everybody = processes()
    found = {each for each in everybody if each[0] == process}
    numbers = {process}
    while more := {each for each, parent in everybody.items() if parent in numbers} - found:
        found |= more
        numbers |= {number for number, _ in more}
    return found | {each for each in everybody if watched(each[0]) in numbers}


@contextmanager
def run(command: Sequence[str], folder: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """A run that has started all its servers; in a separate session, as in a terminal."""
    ready, log = folder / "ready", folder / "log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=os.environ | {"ENDLESS_READY": str(ready)},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )

    def begun() -> bool:
        assert process.poll() is None, f"it ended with {process.returncode}: {log.read_text()}"
        return ready.exists()

    try:
        until(begun, "what the run starts is there", 900)
        yield process
    finally:
        process.kill()
        process.wait()


def programs(members: set[Process]) -> set[str]:
    """Return the names of the running programs."""
    return {Path(words(number)[0]).name for number, _ in members if words(number)}


def family_with(wanted: set[str], process: "subprocess.Popen[bytes]") -> set[Process]:
    """Return the family of a run once these programs are part of it."""

    def look() -> set[Process] | None:
        found = family(process.pid)
        return found if programs(found) >= wanted else None

    return until(look, f"{wanted} run")


def wait_until_all_have_ended(members: set[Process]) -> None:
    until(lambda: not members & processes().keys(), f"the end of {programs(members)}", 60)


ENDS: dict[str, tuple[Sequence[str], Callable[[int], None]]] = {
    "pytest-sigterm": (PYTEST, lambda process: os.kill(process, signal.SIGTERM)),
    "pytest-sigkill": (PYTEST, lambda process: os.kill(process, signal.SIGKILL)),
    "script-sigterm": ([".ci/test", *PYTEST], lambda process: os.kill(process, signal.SIGTERM)),
    "make-sigterm": (MAKE, lambda process: os.kill(process, signal.SIGTERM)),
    "make-ctrl-c": (MAKE, lambda process: os.killpg(process, signal.SIGINT)),
}

# 2: fixtures have ended what they started. make has its own codes, none of which is 0.
CODES = {"pytest-sigterm": {2}, "pytest-sigkill": {-signal.SIGKILL}, "script-sigterm": {143}}


@pytest.mark.parametrize("how", ENDS)
def test_no_server_is_left(how: str, tmp_path: Path) -> None:
    command, end = ENDS[how]
    # A script only has to forward the signal to pytest; another API server would not test that, and
    # takes seconds.
    alone = command is PYTEST
    chosen = "few_servers" if alone else "one_server"
    which = [f"ARGS=-k {chosen}"] if command is MAKE else [ENDLESS, "-k", chosen]
    with run([*command, *which], tmp_path) as process:
        members = family_with({"minio", "etcd", "kube-apiserver"} if alone else {"minio"}, process)
        end(process.pid)
        code = process.wait(300)
        assert code in CODES.get(how, {code} - {0})
        wait_until_all_have_ended(members)


def test_no_server_of_any_kind_is_left_when_pytest_is_killed(tmp_path: Path) -> None:
    """MLflow has children, and PostgreSQL runs as another user."""
    with run([*PYTEST, ENDLESS, "-k", "every_server"], tmp_path) as process:
        members = family_with({"minio", "etcd", "kube-apiserver", "postgres"}, process)
        assert sum("mlflow" in str(words(number)) for number, _ in members) > 1
        process.kill()
        wait_until_all_have_ended(members)


def test_a_process_in_a_session_of_its_own_is_not_left(tmp_path: Path) -> None:
    with run([*PYTEST, ENDLESS, "-k", "session_of_its_own"], tmp_path) as process:
        members = family_with({"sleep"}, process)
        process.kill()
        wait_until_all_have_ended(members)
