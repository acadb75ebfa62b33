"""Parameters of a tabular trainer: the user's strings, as the estimator's own signature wants them.

What a parameter does, and whether its value makes sense, is the estimator's to say.
"""

import inspect
import math
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, get_args, get_type_hints

from modelyard.api.pod_end import PodReason
from modelyard_runtime.outcome import Failure

__all__ = ["convert", "invalid_parameters"]

# Set by the trainer, or of no meaning to a model that is served: a missing value is NaN there, and
# all columns are numbers.
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
    """Return the failure of a parameter that the trainer refuses."""
    return Failure(PodReason.INVALID_PARAMETERS, message)


def convert(
    given: Mapping[str, str], estimator: type, aliases: Mapping[str, str]
) -> dict[str, Any]:
    """Return an estimator's keyword arguments.

    Args:
        given: Parameters as the user wrote them.
        estimator: XGBClassifier, XGBRegressor or a class with annotated arguments like theirs.
        aliases: Other names of its parameters, which the message of an unknown one translates.

    Raises:
        Failure: InvalidParameters, naming the parameter: one that is unknown, with the nearest
            name, or one that is not of its type.

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
    """Say which name was meant."""
    if name in _OURS:
        return f"the trainer sets {name} by itself"
    near = [aliases[name]] if name in aliases else get_close_matches(name, known, n=1)
    return f"there is no parameter {name}" + (f"; did you mean {near[0]}?" if near else "")


def _value(name: str, text: str, annotation: Any) -> Any:
    """Convert one value to the first of its types that it fits."""
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
    return (
        [part.strip() for part in text.split(",")]
        if name == "eval_metric" and "," in text
        else text
    )
