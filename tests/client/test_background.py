"""The client's thread: open requests do not keep a process from ending."""

import subprocess
import sys

import pytest

from tests.demo.install import ROOT

HELD = """
from contextlib import asynccontextmanager
from modelyard.client.kube.background import background

@asynccontextmanager
async def opened():
    yield "something"

async def numbers():
    for number in range(1000):
        yield number

held = background().hold(opened)
print(held.__enter__())
stream = background().stream(numbers)
print(next(stream))
"""


ALONG = """
import asyncio, atexit, threading
from modelyard.client.kube.background import background

there = threading.Event()

async def work():
    there.set()
    await asyncio.sleep(600)

async def numbers():
    yield 1
    await work()

def along():
    WHAT

thread = threading.Thread(target=along, daemon=True)
# Joined after the client has ended its requests; without this the interpreter may end before the
# thread's last output.
atexit.register(thread.join)
background()
thread.start()
there.wait()
"""


LATE = "there.set(); list(iter(lambda: background().ended, True)); background().run(work())"


@pytest.mark.parametrize(
    "what", ["background().run(work())", "list(background().stream(numbers))", LATE]
)
def test_a_thread_that_reads_ends_with_the_process_without_a_traceback(what: str):
    """Like the thread that reads a run's log, when the user presses Ctrl-C."""
    assert ended(ALONG.replace("WHAT", what)) == (0, "", "")


def ended(script: str) -> tuple[int, str, str]:
    """Return the exit code and the output of a Python process."""
    environment = {"PYTHONPATH": str(ROOT / "operator")}
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    return done.returncode, done.stdout, done.stderr


def test_a_process_ends_while_a_port_forward_is_open():
    """Like a script that never calls `client.close()`: the loop's thread ends before its objects
    are released.
    """
    assert ended(HELD) == (0, "something\n0\n", "")
