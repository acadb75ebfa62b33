"""Settings of the allocator, tested in a separate process."""

import subprocess
import sys

import pytest

_GIVEN_BACK = """
import ctypes
from pathlib import Path
from modelyard_runtime.serve.memory import give_back

libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.free.argtypes = [ctypes.c_void_p]

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

blocks = [libc.malloc(1000) for _ in range(50_000)]
for block in blocks:
    ctypes.memset(block, 1, 1000)
for block in blocks[:-1]:  # the last block keeps the allocator from returning memory on its own
    libc.free(block)
before = resident()
give_back()
print(before - resident())
"""
_SHARED = """
import ctypes, threading
from pathlib import Path
from modelyard_runtime.serve.memory import share_one_arena

share_one_arena()
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
found = []
thread = threading.Thread(target=lambda: found.append(libc.malloc(1000)))
thread.start()
thread.join()
maps = Path("/proc/self/maps").read_text().splitlines()
heap = next(line for line in maps if line.endswith("[heap]"))
start, end = (int(word, 16) for word in heap.split()[0].split("-"))
print(int(start <= found[0] < end))
"""


@pytest.mark.parametrize(
    ("script", "least"), [(_GIVEN_BACK, 40_000_000), (_SHARED, 1)], ids=["given back", "shared"]
)
def test_the_allocator_follows_its_settings(script: str, least: int):
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) >= least
