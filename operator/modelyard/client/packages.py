"""Optional packages: imported when a call needs them, and named in the error when missing.

`pip install modelyard` installs none of MLflow, pandas and XGBoost; `modelyard[notebook]` does.
"""

from importlib import import_module
from typing import Any

from modelyard.client.errors import Missing

__all__ = ["need"]


def need(module: str, what: str) -> Any:
    """Import a module and return it.

    Args:
        module: `mlflow`, `mlflow.xgboost`.
        what: What needs it, for the error: "Logging a model".

    Raises:
        Missing: The module, or one that it imports, is not installed.

    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        raise Missing((error.name or module).partition(".")[0], what) from error
