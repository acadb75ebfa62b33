"""Which models are plain data, so that loading them runs no code of their own.

The model server and the client check this before they load a model. Standard library only, because
pods import it.
"""

from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

__all__ = ["MLMODEL", "XGBOOST_CLASSES", "why_code"]

MLMODEL = "MLmodel"
"""The file that describes a model."""


class _Flavor(NamedTuple):
    """A flavour that the runtime image supports and whose files are plain data.

    Attributes:
        loader: The module with which MLflow loads it.
        classes: Allowed values of `model_class`; MLflow calls any name there.
        default: The class if `model_class` is missing.

    """

    loader: str
    classes: frozenset[str]
    default: str


_PYFUNC = "python_function"
_BOOSTER = "xgboost.core.Booster"
_ESTIMATORS = (
    "XGBModel",
    "XGBClassifier",
    "XGBRegressor",
    "XGBRanker",
    "XGBRFClassifier",
    "XGBRFRegressor",
)
XGBOOST_CLASSES = frozenset({_BOOSTER, *(f"xgboost.sklearn.{name}" for name in _ESTIMATORS)})
# Scikit-learn's formats are pickles, and with skops the model itself names the types to be trusted.
# A flavour that is not listed here counts as code, such as a new one of MLflow's, until its loader
# has been reviewed.
_DATA_ONLY = {"xgboost": _Flavor("mlflow.xgboost", XGBOOST_CLASSES, _BOOSTER)}


def why_code(flavors: Mapping[str, Mapping[str, Any]], files: Collection[str]) -> str:
    """Return why loading a model may run code that it contains; empty if it is plain data.

    Args:
        flavors: The flavours in the MLmodel file at the tree's root.
        files: The paths of all files of the tree.

    """
    second = next((path for path in sorted(files) if path != MLMODEL and _is_mlmodel(path)), None)
    if second is not None:
        return (
            f"{second[:120]!r} is a second MLmodel file, and a loader may read it instead of the"
            " first"
        )
    names = [name for name in flavors if name != _PYFUNC]
    pyfunc = flavors.get(_PYFUNC)
    if not names or any(name not in _DATA_ONLY for name in names):
        loader = pyfunc.get("loader_module") if pyfunc else None
        return (
            f"its flavour is {', '.join(names) or _PYFUNC}, loaded by {loader}; only"
            f" {', '.join(_DATA_ONLY)} is data"
        )
    return next(filter(None, (_why(name, flavors[name], pyfunc, files) for name in names)), "")


def _why(
    name: str, flavor: Mapping[str, Any], pyfunc: Mapping[str, Any] | None, files: Collection[str]
) -> str:
    known, both = _DATA_ONLY[name], (flavor, pyfunc or {})
    if any(each.get("code") for each in both):
        return "its flavours name a folder with code"
    class_ = flavor.get("model_class", known.default)
    if not isinstance(class_, str) or class_ not in known.classes:
        return f"{name}.model_class is {class_!r}, which is none of XGBoost's models"
    if pyfunc is not None and pyfunc.get("loader_module") != known.loader:
        return (
            f"python_function.loader_module is {pyfunc.get('loader_module')!r} instead of"
            f" {known.loader!r}"
        )
    data = flavor.get("data")
    if not isinstance(data, str) or data not in files:
        return f"{name}.data is {data!r}, which is no file of the model"
    if pyfunc is not None and pyfunc.get("data", data) != data:
        return (
            f"python_function.data is {pyfunc['data']!r} and {name}.data is {data!r}; write the"
            " same file"
        )
    return ""


def _is_mlmodel(path: str) -> bool:
    """Tell whether a loader would find the file as MLmodel; some file systems ignore case."""
    return path.rpartition("/")[2].casefold() == MLMODEL.casefold()
