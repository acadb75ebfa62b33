"""Packages that not everybody has: loaded when a call needs them, and said by name when they are
missing.

`pip install modelyard` brings none of MLflow, pandas and learners; `modelyard[notebook]` does.
"""

from importlib import import_module
from typing import Any

from modelyard.client.errors import Missing

__all__ = ["need"]


def need(module: str, what: str) -> Any:
    """Return a module.

    Args:
        module: `mlflow`, `mlflow.xgboost`.
        what: What is being done, for the error: "Logging a model".

    Raises:
        Missing: It, or something that it needs, is not installed.

    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        raise Missing((error.name or module).partition(".")[0], what) from error
