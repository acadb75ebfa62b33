"""Settings of the C library's allocator, without which a server keeps several unused megabytes.

Only glibc has these functions; elsewhere they do nothing. Sources: mallopt(3), malloc_trim(3).
"""

import ctypes

__all__ = ["give_back", "share_one_arena"]

_ARENA_MAX = -8
"""M_ARENA_MAX of malloc.h."""


def share_one_arena() -> None:
    """Let all threads use one arena: they take turns anyway, and each arena keeps its memory."""
    if (mallopt := _function("mallopt")) is not None:
        mallopt(_ARENA_MAX, 1)


def give_back() -> None:
    """Return unused memory to the system: loading a model takes more memory than the model."""
    if (trim := _function("malloc_trim")) is not None:
        trim(0)


def _function(name: str) -> "ctypes._NamedFuncPointer | None":
    try:
        return getattr(ctypes.CDLL(None), name)  # type: ignore[no-any-return] # looked up by name
    except (AttributeError, OSError):
        return None
