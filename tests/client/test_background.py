"""The client's own thread: what is left open does not keep a process from ending."""

import subprocess
import sys

from tests.demo.install import ROOT

HELD = """
from contextlib import asynccontextmanager
from modelyard.client.background import background

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


def test_a_process_ends_though_a_way_into_the_cluster_is_still_open():
    """As a script does that never says `client.close()`: the loop's thread is gone before what it held is let go."""
    environment = {"PYTHONPATH": str(ROOT / "operator")}
    done = subprocess.run([sys.executable, "-c", HELD], env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "something\n0\n", "")
