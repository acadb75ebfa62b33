"""Lazy imports for a library: modules that it imports are loaded when it first uses them.

    with postponed("jsonpath"):
        import kr8s.asyncio

Python 3.15 has this in the language (PEP 810). `importlib.util.LazyLoader` does not suffice: in
Python 3.11 a second `import` of the same module, anywhere, loads it.
"""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType
from typing import Any

__all__ = ["postponed"]

_one = threading.Lock()


class _Later(ModuleType):
    """Stands for a module until one of its attributes is accessed."""

    def __getattr__(self, name: str) -> Any:
        _forget(self)
        return getattr(import_module(self.__name__), name)


@contextmanager
def postponed(*names: str) -> Iterator[None]:
    """Load modules that are imported inside the block on first attribute access.

    Imports after the block are not affected, nor are modules that are loaded already. Importing
    names (`from jsonpath import findall`) inside the block loads the module at once.
    """
    with _one:
        waiting = [_Later(name) for name in names if name not in sys.modules]
        sys.modules.update({module.__name__: module for module in waiting})
        try:
            yield
        finally:
            for module in waiting:
                _forget(module)


def _forget(module: _Later) -> None:
    if sys.modules.get(module.__name__) is module:
        del sys.modules[module.__name__]
