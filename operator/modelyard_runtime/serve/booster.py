"""XGBoost through its C API: load a booster, describe it, predict.

The functions are those of the public header xgboost/c_api.h. XGBoost's Python package is not
imported: its conversions take longer than a prediction, and it imports SciPy. Only the shared
library of the package is used, whose version pyproject.toml pins.
"""

import ctypes
import importlib.util
import json
import math
import threading
import weakref
from collections.abc import Callable
from ctypes import POINTER, byref, c_char_p, c_float, c_int, c_uint64, c_void_p
from pathlib import Path
from typing import Any

import numpy as np

from modelyard_runtime.serve.values import Array

__all__ = ["Booster", "BoosterError"]

_LIBRARY = Path("lib", "libxgboost.so")
"""Path of the shared library in the package."""
_SHAPE = POINTER(POINTER(c_uint64))
_ANSWER = (_SHAPE, POINTER(c_uint64), POINTER(POINTER(c_float)))
_HANDLE = POINTER(c_void_p)
_FUNCTIONS: dict[str, tuple[Any, ...]] = {
    "XGBoosterCreate": (c_void_p, c_uint64, _HANDLE),
    "XGBoosterFree": (c_void_p,),
    "XGBoosterLoadModel": (c_void_p, c_char_p),
    "XGBoosterSetParam": (c_void_p, c_char_p, c_char_p),
    "XGBoosterSaveJsonConfig": (c_void_p, POINTER(c_uint64), POINTER(c_char_p)),
    "XGBoosterGetNumFeature": (c_void_p, POINTER(c_uint64)),
    "XGBoosterGetStrFeatureInfo": (
        c_void_p,
        c_char_p,
        POINTER(c_uint64),
        POINTER(POINTER(c_char_p)),
    ),
    "XGBoosterGetAttr": (c_void_p, c_char_p, POINTER(c_char_p), POINTER(c_int)),
    "XGBoosterPredictFromDense": (c_void_p, c_char_p, c_char_p, c_void_p, *_ANSWER),
    "XGBoosterPredictFromDMatrix": (c_void_p, c_void_p, c_char_p, *_ANSWER),
    "XGProxyDMatrixCreate": (_HANDLE,),
    "XGDMatrixCreateFromDense": (c_char_p, c_char_p, _HANDLE),
    "XGDMatrixFree": (c_void_p,),
}
"""Functions with their argument types. Each returns 0, or -1 and sets an error message."""


class BoosterError(Exception):
    """XGBoost cannot load the model or predict."""


class _Library:
    """XGBoost's functions; each raises BoosterError where the C function fails."""

    def __init__(self) -> None:
        spec = importlib.util.find_spec("xgboost")  # finds the package without importing it
        places = spec.submodule_search_locations if spec else None
        if not places:
            raise BoosterError("XGBoost is not installed")
        try:
            self._found = ctypes.CDLL(str(Path(places[0]) / _LIBRARY))
        except OSError as error:
            raise BoosterError(f"XGBoost's library cannot be loaded: {error}") from error
        self._found.XGBGetLastError.restype = c_char_p

    def function(self, name: str) -> Callable[..., None]:
        """Return one of `_FUNCTIONS`."""
        found, error = getattr(self._found, name), self._found.XGBGetLastError
        found.argtypes, found.restype = _FUNCTIONS[name], c_int

        def call(*values: Any) -> None:
            if found(*values):
                raise BoosterError((error() or b"").decode(errors="replace"))

        return call


class _Kept(threading.local):
    """What the predictions of one thread reuse: the proxy of the input, and the output pointers.

    Without a proxy XGBoost creates one for each prediction, and reads the container's limits from
    /sys/fs/cgroup each time.
    """

    def __init__(self, booster: "Booster") -> None:
        self.proxy = c_void_p()
        booster.library.function("XGProxyDMatrixCreate")(byref(self.proxy))
        weakref.finalize(
            booster, booster.library.function("XGDMatrixFree"), self.proxy
        ).atexit = False
        self.shape, self.dimensions = POINTER(c_uint64)(), c_uint64()
        self.found = POINTER(c_float)()
        self.answer = byref(self.shape), byref(self.dimensions), byref(self.found)


class Booster:
    """A loaded booster. A prediction uses one thread; several threads may predict at once."""

    def __init__(self, path: Path) -> None:
        """Load a model.

        Args:
            path: A model file in XGBoost's JSON or UBJSON.

        Raises:
            BoosterError: XGBoost cannot read it.

        """
        self.library = _Library()
        self._handle = c_void_p()
        self._call("XGBoosterCreate", None, 0, byref(self._handle))
        weakref.finalize(self, self.library.function("XGBoosterFree"), self._handle).atexit = False
        self._call("XGBoosterSetParam", self._handle, b"nthread", b"1")
        self._call("XGBoosterLoadModel", self._handle, str(path).encode())
        # Again, because the saved model has overwritten it.
        self._call("XGBoosterSetParam", self._handle, b"nthread", b"1")
        self.config: dict[str, Any] = json.loads(self._config())
        """XGBoost's own description of the model and its parameters."""
        self.linear: bool = self.config["learner"]["gradient_booster"]["name"] == "gblinear"
        """XGBoost predicts with a linear booster only from a DMatrix."""
        self._dense = self.library.function("XGBoosterPredictFromDense")
        self._kept = _Kept(self)
        self.use_rounds(0)

    @property
    def features(self) -> int:
        """The number of features."""
        found = c_uint64()
        self._call("XGBoosterGetNumFeature", self._handle, byref(found))
        return found.value

    @property
    def names(self) -> list[str] | None:
        """The names of the features, if it was trained with names."""
        count, names = c_uint64(), POINTER(c_char_p)()
        self._call(
            "XGBoosterGetStrFeatureInfo", self._handle, b"feature_name", byref(count), byref(names)
        )
        return [
            (names[index] or b"").decode(errors="replace") for index in range(count.value)
        ] or None

    @property
    def best_iteration(self) -> int | None:
        """The best round of a training that stopped early.

        Raises:
            BoosterError: The value in the model's file is not a number.

        """
        text, known = c_char_p(), c_int()
        self._call("XGBoosterGetAttr", self._handle, b"best_iteration", byref(text), byref(known))
        if not known.value:
            return None
        try:
            return int(text.value or b"")
        except ValueError:
            raise BoosterError(f"its best_iteration is {text.value!r}, not a number") from None

    def use_rounds(self, rounds: int) -> None:
        """Predict with only the first rounds; 0: with all."""
        asked = {
            "type": 0,
            "training": False,
            "iteration_begin": 0,
            "iteration_end": rounds,
            "strict_shape": False,
        }
        self._asked = json.dumps(asked | {"missing": math.nan, "cache_id": 0}).encode()

    def predict(self, rows: Array) -> Array:
        """Return predictions.

        Args:
            rows: float32 in C order, [rows, features], NaN for missing values.

        Returns:
            float32, [rows] or [rows, outputs].

        Raises:
            BoosterError: XGBoost rejects the rows.

        """
        kept = self._kept
        # The API takes numpy's __array_interface__ as JSON.
        described = b'{"data":[%d,true],"shape":[%d,%d],"typestr":"<f4","version":3}' % (
            rows.ctypes.data,
            *rows.shape,
        )
        if self.linear:
            self._from_matrix(described, kept)
        else:
            self._dense(self._handle, described, self._asked, kept.proxy, *kept.answer)
        shape = kept.shape[: kept.dimensions.value]
        # Copied, because XGBoost reuses the memory for this thread's next prediction.
        return np.frombuffer(
            ctypes.string_at(kept.found, 4 * math.prod(shape)), np.float32
        ).reshape(shape)

    def _from_matrix(self, described: bytes, kept: _Kept) -> None:
        matrix = c_void_p()
        self._call(
            "XGDMatrixCreateFromDense", described, b'{"missing":NaN,"nthread":1}', byref(matrix)
        )
        try:
            self._call(
                "XGBoosterPredictFromDMatrix", self._handle, matrix, self._asked, *kept.answer
            )
        finally:
            self._call("XGDMatrixFree", matrix)

    def _config(self) -> bytes:
        text = c_char_p()
        self._call("XGBoosterSaveJsonConfig", self._handle, byref(c_uint64()), byref(text))
        return text.value or b"{}"

    def _call(self, name: str, *values: Any) -> None:
        self.library.function(name)(*values)
