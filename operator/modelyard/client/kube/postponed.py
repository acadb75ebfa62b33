"""Imports that wait: a library loads what it imports, its own imports only when it uses them.

    with postponed("jsonpath"):
        import kr8s.asyncio

Python will have it in the language (PEP 810, Python 3.15). `importlib.util.LazyLoader` would not
do: a second `import` of the same module, anywhere, loads it (Python 3.11). What is worth postponing
does not belong here (`transport`).
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
    """Stands for a module until something of it is asked for."""

    def __getattr__(self, name: str) -> Any:
        _forget(self)
        return getattr(import_module(self.__name__), name)


@contextmanager
def postponed(*names: str) -> Iterator[None]:
    """For the length of a block, importing these modules loads nothing; whoever did so gets each
    when he first takes something from it.

    After the block they are imported as ever, by everybody else. A module that is loaded already
    stays as it is, and so does one of which the block imports names (`from jsonpath import
    findall`): that loads it, and costs what it always did.
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
