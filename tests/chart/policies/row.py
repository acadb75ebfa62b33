"""A case of the matrix: one request, with the accounts that it is refused to and allowed to."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from tests.chart.api import Answer, Api, Manifest

__all__ = [
    "Request",
    "Row",
    "apply",
    "create",
    "delete",
    "generate",
    "json_patch",
    "merge",
    "put",
    "refused_by",
    "strategic",
    "sweep",
]

_JSON, _STRATEGIC = "application/json-patch+json", "application/strategic-merge-patch+json"
_MERGE, _APPLY = "application/merge-patch+json", "application/apply-patch+yaml"


@dataclass(frozen=True)
class Request:
    """A request to the API server.

    Attributes:
        method: The HTTP method.
        path: The path, with a query if it has one.
        body: The body, or a function that makes it from the existing object.
        content: The content type of the body.
        dry: Whether it is a dry run.

    """

    method: str
    path: str
    body: Any = None
    content: str = "application/json"
    dry: bool = True

    def real(self) -> Request:
        """Return the same request, not as a dry run."""
        return replace(self, dry=False)

    def send(self, admin: Api, person: Api) -> Answer:
        """Send the request as an account; the administrator reads the object that it replaces."""
        path, separator = self.path, "&" if "?" in self.path else "?"
        body = self.body(copy.deepcopy(admin.get(path).body)) if callable(self.body) else self.body
        return person.ask(
            self.method, f"{path}{separator}dryRun=All" if self.dry else path, body, self.content
        )


def merge(path: str, body: Manifest) -> Request:
    """Return a JSON merge patch."""
    return Request("PATCH", path, body, _MERGE)


def strategic(path: str, body: Manifest) -> Request:
    """Return a strategic merge patch, as `kubectl patch` and `kubectl set env` send it."""
    return Request("PATCH", path, body, _STRATEGIC)


def json_patch(path: str, *operations: tuple[str, str, Any] | tuple[str, str]) -> Request:
    """Return a JSON patch: operations, each with path and value."""
    body = [dict(zip(("op", "path", "value"), each, strict=False)) for each in operations]
    return Request("PATCH", path, body, _JSON)


def apply(path: str, body: Manifest) -> Request:
    """Return a server-side apply."""
    return Request("PATCH", f"{path}?fieldManager=matrix&force=true", body, _APPLY)


def put(path: str, change: Callable[[Manifest], Manifest | None]) -> Request:
    """Return a replacement of the existing object, changed in place."""

    def changed(body: Manifest) -> Manifest:
        return change(body) or body

    return Request("PUT", path, changed)


def create(path: str, body: Manifest) -> Request:
    """Return a creation."""
    return Request("POST", path, body)


def generate(path: str, body: Manifest) -> Request:
    """Return a creation whose name the API server generates."""
    meta = {key: value for key, value in body["metadata"].items() if key != "name"}
    return Request("POST", path, body | {"metadata": meta | {"generateName": "made-up-"}})


def delete(path: str) -> Request:
    """Return a deletion."""
    return Request("DELETE", path)


def sweep(path: str, label: str) -> Request:
    """Return a deletion of a collection, by a label's `key=value`."""
    return Request("DELETE", f"{path}?labelSelector={label.replace('=', '%3D')}")


@dataclass(frozen=True)
class Row:
    """One case.

    Attributes:
        policy: The policy that refuses it, without the release's name; several where two may be
            the first to refuse, with a bar between them.
        what: The case in words.
        request: The request to send.
        refused: The accounts that are refused, separated by spaces.
        allowed: The accounts that are allowed.
        says: What the refusal must also contain.

    """

    policy: str
    what: str
    request: Request
    refused: str = ""
    allowed: str = ""
    says: str = ""

    @property
    def people(self) -> Mapping[str, bool]:
        """Return all accounts that send it, and whether each is allowed."""
        return dict.fromkeys(self.refused.split(), False) | dict.fromkeys(
            self.allowed.split(), True
        )


def refused_by(answer: Answer) -> str:
    """Return the policy that refused a request, without the release's name; empty if none did."""
    found = re.search(r"ValidatingAdmissionPolicy 'modelyard-([a-z-]+)'", answer.message)
    return found[1] if found and answer.code in {403, 422} else ""
