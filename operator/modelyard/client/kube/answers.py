"""A refusal of the API server as an exception of the client, without boilerplate. Pure.

spec.trainer: Invalid value: "object": name exactly one trainer
    becomes
spec.trainer: name exactly one trainer
"""

import json
import re
from dataclasses import dataclass
from typing import Any

from modelyard.api.base import GROUP
from modelyard.client.errors import ClientError, NotAllowed, NotFound, Refused, Unreachable

__all__ = ["Request", "error"]


@dataclass(frozen=True)
class Request:
    """What an error's text needs to know of the request.

    Attributes:
        verb: `get`, `create`, `patch`, ...
        resource: Plural, with the subresource: `pods/log`.
        group: API group; empty for the core group.
        kind: `Pod`.
        namespace: Namespace; empty for the whole cluster.
        name: Name of the object; empty for a list.
        server: The API server's address.
        context: The kubeconfig's context, if one is used.

    """

    verb: str
    resource: str
    group: str
    kind: str
    namespace: str
    name: str = ""
    server: str = ""
    context: str = ""

    @property
    def subject(self) -> str:
        """The object of the request: `TrainingRun risk/fraud-3`."""
        where = "/".join(part for part in (self.namespace, self.name) if part)
        return f"{self.kind} {where}".rstrip()


_RBAC = re.compile(
    r'User "(?P<user>[^"]*)" cannot (?P<verb>\S+) resource "(?P<resource>[^"]+)" in API group'
    r' "(?P<group>[^"]*)"(?: in the namespace "(?P<namespace>[^"]*)")?'
)
_POLICY = re.compile(r"denied request: (?P<text>.*)", re.DOTALL)
_OURS = re.compile(r"(?:needs|has) the verb (?P<verb>\S+) on (?P<resource>\S+(?:, \S+)*) in group")
_HEAD = re.compile(
    r'^(?:Invalid value|Unsupported value|Duplicate value): (?:"(?:[^"\\]|\\.)*"|\S+): '
)
_UNQUOTED = re.compile(r"^.+ in body must be of type string: \"(?P<kind>integer|number|boolean)\"$")
_PATTERN = "in body should match"
_UNCHECKED = "some validation rules were not checked"
_OWNER = re.compile(r'conflict with "(?P<owner>[^"]*)"')
_STRICT = "strict decoding error: "
_UNTYPED = "failed to create typed patch object"
"""In the text of server-side apply's response, a 500, to a field that is not in the schema."""


def error(request: Request, code: int, text: bytes) -> ClientError:
    """Return the exception for a response of status 400 or more.

    Args:
        request: The request.
        code: The response's HTTP status code.
        text: The response's body: a `Status`, if the API server wrote it.

    """
    try:
        status = json.loads(text)
    except ValueError:
        status = None
    if not isinstance(status, dict):
        status = {"message": text[:200].decode(errors="replace")}
    message = str(status.get("message") or f"HTTP {code}")
    details = status.get("details") or {}
    causes = details.get("causes") or []
    if code == 401:
        return _unknown_user(request)
    if code == 403:
        return _forbidden(request, message)
    if code == 404:
        return _not_found(request, message, details)
    if code == 409:
        return _conflict(request, status.get("reason", ""), causes)
    if code in {400, 405, 406, 413, 415, 422} or _UNTYPED in message:
        return _refused(request, message, causes)
    return Unreachable(
        f"The API server at {request.server} cannot {request.verb} {request.subject} now ({code}):"
        f" {message}. Try again later."
    )


def _unknown_user(request: Request) -> NotAllowed:
    where = f" of the context {request.context}" if request.context else ""
    return NotAllowed(
        f"The API server at {request.server} does not accept your credentials. Log in again, or"
        f" correct the user{where} in the kubeconfig.",
        resource=request.resource,
        namespace=request.namespace,
    )


def _forbidden(request: Request, message: str) -> ClientError:
    if found := _RBAC.search(message):
        verb, resource, namespace = found["verb"], found["resource"], found["namespace"] or ""
        group = f" (group {found['group']})" if found["group"] else ""
        where = f"in the namespace {namespace}" if namespace else "in the whole cluster"
        # For a Secret ask for that one only, which a Role can name (resourceNames).
        needed = (
            f"the Secret {request.name} alone"
            if resource == "secrets" and request.name
            else f"{resource}{group}"
        )
        text = (
            f"{found['user']} may not {verb} {resource} {where}. Ask for the verb {verb} on"
            f" {needed} {where}."
        )
        return NotAllowed(text, verb=verb, resource=resource, namespace=namespace)
    if not (policy := _POLICY.search(message)):
        return Refused(f"{request.subject} was refused: {_without_head(message)}")
    text = policy["text"]
    if not (ours := _OURS.search(text)):
        return Refused(f"{request.subject} was refused: {text}")
    return NotAllowed(
        text, verb=ours["verb"], resource=ours["resource"], namespace=request.namespace
    )


def _not_found(request: Request, message: str, details: dict[str, Any]) -> NotFound:
    if details.get("kind") == "namespaces" and request.kind != "Namespace":
        name = str(details.get("name") or request.namespace)
        return NotFound(
            f"There is no namespace {name} in this cluster.", kind="Namespace", name=name
        )
    if (
        not details.get("name") and "could not find the requested resource" in message
    ) or "page not found" in message:
        what = (
            "modelyard is not installed in this cluster"
            if request.group == GROUP
            else f"This cluster has no {request.resource}"
        )
        where = f" (context {request.context})" if request.context else ""
        return NotFound(
            f"{what}{where}: name another context, or have it installed.",
            kind=request.kind,
            namespace=request.namespace,
        )
    return NotFound(
        f"There is no {request.subject}.",
        kind=request.kind,
        name=request.name,
        namespace=request.namespace,
    )


def _conflict(request: Request, reason: str, causes: list[dict[str, Any]]) -> Refused:
    if reason == "AlreadyExists":
        return Refused(
            f"{request.subject} exists already: choose another name, or change the existing object."
        )
    owners = [cause for cause in causes if cause.get("reason") == "FieldManagerConflict"]
    if owners:
        problems = tuple(
            f"{str(each.get('field', '')).lstrip('.')}: owned by"
            f" {_owner(str(each.get('message', '')))}"
            for each in owners
        )
        return Refused(
            f"Other managers own fields of {request.subject}: leave these fields out, change them"
            " there, or use force.",
            problems,
        )
    return Refused(
        f"{request.subject} was changed by another user at the same time. Read it again, and retry."
    )


def _owner(message: str) -> str:
    found = _OWNER.search(message)
    return found["owner"] if found else message


def _refused(request: Request, message: str, causes: list[dict[str, Any]]) -> Refused:
    text = f"{request.subject} was refused:"
    if _STRICT in message:
        return Refused(text, tuple(message.split(_STRICT, 1)[1].split(", ")))
    if _UNTYPED in message:
        found = re.findall(
            r"^\s*\.(\S+): (.*)$", message.partition("): ")[2].removeprefix("errors:"), re.MULTILINE
        )
        return Refused(text, tuple(f"{field}: {words}" for field, words in found) or (message,))
    named = [
        (
            str(cause.get("field") or "").removeprefix("<nil>"),
            _without_value(str(cause.get("message", ""))),
        )
        for cause in causes
    ]
    # A pattern helps less than a rule's message on the same field; "not checked" only if alone.
    advised = {field for field, words in named if _PATTERN not in words}
    kept = [
        (field, words) for field, words in named if not (_PATTERN in words and field in advised)
    ]
    checked = [each for each in kept if _UNCHECKED not in each[1]]
    problems = dict.fromkeys(
        f"{field}: {words}" if field else words for field, words in (checked or kept)
    )
    return (
        Refused(text, tuple(problems)) if problems else Refused(f"{text} {_without_head(message)}")
    )


def _without_value(message: str) -> str:
    """Remove the value, and explain a number or boolean that should be a text in quotes."""
    return _UNQUOTED.sub(r"is a \g<kind>, not a text: write it in quotes", _HEAD.sub("", message))


def _without_head(message: str) -> str:
    """Remove a prefix such as `experiments.modelyard.io "fraud" is forbidden: `."""
    return re.sub(r'^\S+ "[^"]*" is (?:forbidden|invalid): ', "", message)
