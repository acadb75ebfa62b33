"""Parameters of a tabular trainer: convert the user's strings to the types of the estimator.

The estimator itself checks whether a value makes sense.
"""

import inspect
import math
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, get_args, get_type_hints

from modelyard.api.pod_end import PodReason
from modelyard_runtime.outcome import Failure

__all__ = ["convert", "invalid_parameters"]

# Set by the trainer, or without meaning for a served model, which takes only numbers and NaN for
# missing values.
_OURS = frozenset(
    {
        "self",
        "kwargs",
        "callbacks",
        "missing",
        "feature_types",
        "feature_weights",
        "enable_categorical",
    }
)

_BOOLEANS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


def invalid_parameters(message: str) -> Failure:
    """Return a Failure with the reason InvalidParameters."""
    return Failure(PodReason.INVALID_PARAMETERS, message)


def convert(
    given: Mapping[str, str], estimator: type, aliases: Mapping[str, str]
) -> dict[str, Any]:
    """Return an estimator's keyword arguments.

    Args:
        given: Parameters as the user wrote them.
        estimator: XGBClassifier, XGBRegressor or a class with annotated arguments like theirs.
        aliases: Other names of its parameters, for the message about an unknown name.

    Raises:
        Failure: InvalidParameters: a name is unknown (the message suggests the nearest one), or a
            value does not have the parameter's type.

    """
    types: dict[str, Any] = {}
    for kind in reversed(estimator.__mro__):
        if (init := vars(kind).get("__init__")) and inspect.isfunction(init):
            types |= get_type_hints(init)
    known = {name: kind for name, kind in types.items() if name not in _OURS | {"return"}}
    if unknown := [name for name in given if name not in known]:
        raise invalid_parameters("; ".join(_hint(name, known, aliases) for name in unknown))
    return {name: _value(name, text.strip(), known[name]) for name, text in given.items()}


def _hint(name: str, known: Mapping[str, Any], aliases: Mapping[str, str]) -> str:
    """Return what is wrong with a name, and which name was probably meant."""
    if name in _OURS:
        return f"the trainer sets {name} itself; remove it"
    near = [aliases[name]] if name in aliases else get_close_matches(name, known, n=1)
    return f"there is no parameter {name}" + (f"; did you mean {near[0]}?" if near else "")


def _value(name: str, text: str, annotation: Any) -> Any:
    """Convert one value to the first of bool, int, float and str that the parameter takes."""
    kinds = set(get_args(annotation)) or {annotation}
    if bool in kinds:
        if text.lower() in _BOOLEANS:
            return _BOOLEANS[text.lower()]
        raise invalid_parameters(f"{name} is {text!r}, not true or false")
    if int in kinds:
        try:
            return int(text)
        except ValueError:
            raise invalid_parameters(f"{name} is {text!r}, not a whole number") from None
    if float in kinds:
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        if math.isfinite(number):
            return number
        raise invalid_parameters(f"{name} is {text!r}, not a number")
    if not text:
        raise invalid_parameters(f"{name} is empty")
    is_list = name == "eval_metric" and "," in text
    return [part.strip() for part in text.split(",")] if is_list else text
