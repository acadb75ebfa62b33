"""What the C library is told about memory: without it a server holds several megabytes that nobody
uses.

Only glibc has these functions; without them nothing is done. Sources: mallopt(3), malloc_trim(3).
"""

import ctypes

__all__ = ["give_back", "share_one_arena"]

_ARENA_MAX = -8
"""M_ARENA_MAX of malloc.h."""


def share_one_arena() -> None:
    """Have all threads allocate from one arena: they take turns anyway, and each keeps what it
    once had.
    """
    if (mallopt := _function("mallopt")) is not None:
        mallopt(_ARENA_MAX, 1)


def give_back() -> None:
    """Give what is not used any more back to the system: loading a model takes more than the
    model.
    """
    if (trim := _function("malloc_trim")) is not None:
        trim(0)


def _function(name: str) -> "ctypes._NamedFuncPointer | None":
    try:
        return getattr(ctypes.CDLL(None), name)  # type: ignore[no-any-return] # by its name
    except (AttributeError, OSError):
        return None
