"""A model whose prediction fails for some rows: the files of its artifact tree, as MLflow's flavour python_function has them."""

from __future__ import annotations

__all__ = ["FAILS", "WELL", "files"]

WELL, FAILS = {"x": 1.0}, {"x": -1.0}
"""A row that it predicts, and one that it fails on."""
_MLMODEL = """\
flavors:
  python_function:
    loader_module: moody
    code: code
signature:
  inputs: '[{"type": "double", "name": "x", "required": true}]'
  outputs: '[{"type": "double", "required": true}]'
"""
_CODE = """\
class Moody:
    def predict(self, rows, params=None):
        if (rows["x"] < 0).any():
            raise RuntimeError("no negative x")
        return rows["x"] * 2


def _load_pyfunc(path):
    return Moody()
"""


def files() -> dict[str, bytes]:
    """Return its files by path."""
    return {"MLmodel": _MLMODEL.encode(), "code/moody.py": _CODE.encode()}
