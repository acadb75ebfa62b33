"""One of our own objects as JSON: its finalizers, its deletion, and its resource class. Pure."""

from typing import Any

from pydantic import ValidationError

from modelyard.controller import AnyController
from modelyard.plan import Manifest

__all__ = ["InvalidObject", "finalizers", "is_deleting", "parsed"]


class InvalidObject(Exception):
    """The object cannot be parsed as its kind's class, although the CRD admitted it."""


def parsed(controller: AnyController, body: Manifest) -> Any:
    """Parse an object as its kind's class.

    Raises:
        InvalidObject: It cannot be parsed.

    """
    try:
        return controller.resource.parse(body)
    except ValidationError as error:
        problems = (
            f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}"
            for problem in error.errors(include_input=False)
        )
        raise InvalidObject("; ".join(problems)) from None


def is_deleting(body: Manifest) -> bool:
    """Return whether the object is being deleted."""
    return "deletionTimestamp" in body["metadata"]


def finalizers(body: Manifest) -> tuple[str, ...]:
    """Return the object's finalizers."""
    return tuple(body["metadata"].get("finalizers") or ())
