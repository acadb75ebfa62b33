"""The watcher ends every process that carries a test run's mark, and no other."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from tests import watcher

MINE, OTHER = "1" * 32, "2" * 32
DEAF = "trap '' TERM; echo ready; while :; do read line; done"
WILLING = "echo ready; read line"


@contextmanager
def process(mark: str, script: str) -> Iterator["subprocess.Popen[bytes]"]:
    """Start a shell that carries a mark, with a silent pipe."""
    command = ["bash", "-c", script]
    environment = os.environ | {watcher.MARK: mark}
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env=environment, stdin=pipe, stdout=pipe) as shell:
        assert shell.stdout is not None
        assert shell.stdout.readline() == b"ready\n"
        try:
            yield shell
        finally:
            shell.kill()


def test_this_run_s_processes_are_marked_and_those_that_outlive_it_are_not() -> None:
    script = f"echo ${watcher.MARK}"
    inherited = subprocess.run(["sh", "-c", script], capture_output=True, check=True)
    assert inherited.stdout.decode().strip() == os.environ[watcher.MARK]
    environment = watcher.unmarked()
    command = ["sh", "-c", script]
    outliving = subprocess.run(command, env=environment, capture_output=True, check=True)
    assert outliving.stdout.decode().strip() == ""
    assert environment.keys() == os.environ.keys() - {watcher.MARK}


def test_a_process_is_asked_to_end_and_killed_if_it_does_not() -> None:
    with process(MINE, WILLING) as willing, process(MINE, DEAF) as deaf:
        watcher.end(MINE, grace=0.2)
        assert willing.wait() == -signal.SIGTERM
        assert deaf.wait() == -signal.SIGKILL
        assert watcher.marked(MINE) == set()


def test_another_run_s_process_is_left_alone() -> None:
    with process(MINE, WILLING) as mine, process(OTHER, WILLING) as other:
        watcher.end(MINE)
        assert mine.wait() == -signal.SIGTERM
        assert other.poll() is None
        assert watcher.marked(OTHER) == {other.pid}
