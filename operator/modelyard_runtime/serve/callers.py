"""Callers of a rollout with `sticky` that had a failure or a refusal, shared by the workers."""

import mmap
import os
from pathlib import Path

__all__ = ["Callers"]

_WORD = 8
_SLOTS = 1 << 15
_PROBES = 8
"""Slots that a key may lie in; a full table forgets one key for each new one."""
_EMPTY = 0


class Callers:
    """A set of 64-bit keys in memory that all workers map: 256 KiB, used from the first key on.

    Each slot is written whole, so that workers need no lock: what two of them write at once costs
    one key at most.
    """

    def __init__(self, folder: Path | None) -> None:
        """Create it without keys; no memory is mapped.

        Args:
            folder: The folder that the workers share; None: there is one worker.

        """
        self._folder = folder
        self._words: memoryview | None = None

    def begin(self, rollout: int) -> None:
        """Forget the keys of any other rollout.

        Args:
            rollout: Identifies it; 64 bits, not 0.

        """
        words = self._mapped()
        if words[0] != rollout:
            words[0] = rollout
            for slot in range(1, len(words)):
                words[slot] = _EMPTY

    def add(self, key: int) -> bool:
        """Add a key; return whether it is new."""
        words, key = self._mapped(), key or 1
        slot = _slot(words, key)
        if slot is None:
            slot = 1 + (key + key // _SLOTS % _PROBES) % _SLOTS
        elif words[slot] == key:
            return False
        words[slot] = key
        return True

    def __contains__(self, key: int) -> bool:
        """Tell whether a key was added."""
        words, key = self._mapped(), key or 1
        slot = _slot(words, key)
        return slot is not None and words[slot] == key

    def _mapped(self) -> memoryview:
        if self._words is None:
            self._words = memoryview(_memory(self._folder)).cast("B").cast("Q")
        return self._words


def _slot(words: memoryview, key: int) -> int | None:
    """Return the slot that has the key, else the first empty one; None: others have all of them."""
    slots = (1 + (key + probe) % _SLOTS for probe in range(_PROBES))
    return next((slot for slot in slots if words[slot] in {key, _EMPTY}), None)


def _memory(folder: Path | None) -> bytearray | mmap.mmap:
    size = (1 + _SLOTS) * _WORD
    if folder is None:
        return bytearray(size)
    file = os.open(folder / "callers", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.truncate(file, size)  # of the same size it changes nothing
        return mmap.mmap(file, size)
    finally:
        os.close(file)
