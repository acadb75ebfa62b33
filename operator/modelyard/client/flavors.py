"""MLflow's flavour of a model, and the packages that it needs. Pure."""

from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from typing import Any

__all__ = ["flavor_of", "xgboost_requirements"]

_FLAVORS = {
    "xgboost": "xgboost",
    "lightgbm": "lightgbm",
    "catboost": "catboost",
    "sklearn": "sklearn",
    "torch": "pytorch",
    "keras": "tensorflow",
    "tensorflow": "tensorflow",
    "onnx": "onnx",
    "statsmodels": "statsmodels",
    "prophet": "prophet",
    "spacy": "spacy",
    "mlflow": "pyfunc",
}
_XGBOOST_NEEDS = {
    "mlflow": "mlflow",
    "numpy": "numpy",
    "pandas": "pandas",
    "scikit-learn": "scikit-learn",
    "xgboost": "xgboost",
}


def flavor_of(model: Any) -> str:
    """Return MLflow's flavour for a model, by the package of its class or of a base class.

    Raises:
        ValueError: No flavour is known for the class.

    """
    for each in type(model).__mro__:
        if (root := each.__module__.partition(".")[0]) in _FLAVORS:
            return _FLAVORS[root]
    if callable(model):
        return "pyfunc"
    raise ValueError(
        f"no MLflow flavour is known for a {type(model).__name__}: name one, flavor='sklearn'"
    )


def xgboost_requirements() -> list[str]:
    """Return the packages that an XGBoost model needs, each with its installed version."""
    found = {}
    for installed, name in (*_XGBOOST_NEEDS.items(), ("xgboost-cpu", "xgboost")):
        with suppress(PackageNotFoundError):
            found[name] = version(installed)
    return [f"{name}=={number}" for name, number in sorted(found.items())]
