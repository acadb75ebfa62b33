"""What the API server's refusals mean to a person: one of our errors, without the boilerplate
around the words that help. Pure.

    spec.trainer: Invalid value: "object": name exactly one trainer   ->   spec.trainer: name exactly one trainer

Sending requests does not belong here.
"""

import json
import re
from dataclasses import dataclass
from typing import Any

from modelyard.api.base import GROUP
from modelyard.client.errors import ClientError, NotAllowed, NotFound, Refused, Unreachable

__all__ = ["Asked", "error"]


@dataclass(frozen=True)
class Asked:
    """A request, as far as its answer has to speak of it.

    Attributes:
        verb: `get`, `create`, `patch`, ...
        resource: Plural, with the subresource: `pods/log`.
        group: API group; empty for the core group.
        kind: `Pod`.
        namespace: Empty for the whole cluster.
        name: Empty when many are asked for.
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
        """What it was asked about: `TrainingRun risk/fraud-3`."""
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
"""What server-side apply says, with a 500, of a field that is not in the schema."""


def error(asked: Asked, code: int, text: bytes) -> ClientError:
    """Return the error that an answer of 400 and more stands for.

    Args:
        asked: What was asked.
        code: The answer's HTTP status code.
        text: Its body: a `Status`, if the API server wrote it.

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
        return _unknown_user(asked)
    if code == 403:
        return _forbidden(asked, message)
    if code == 404:
        return _not_found(asked, message, details)
    if code == 409:
        return _conflict(asked, status.get("reason", ""), causes)
    if code in {400, 405, 406, 413, 415, 422} or _UNTYPED in message:
        return _refused(asked, message, causes)
    return Unreachable(
        f"The API server at {asked.server} cannot {asked.verb} {asked.subject} now ({code}):"
        f" {message}. Try again later."
    )


def _unknown_user(asked: Asked) -> NotAllowed:
    where = f" of the context {asked.context}" if asked.context else ""
    return NotAllowed(
        f"The API server at {asked.server} does not know you. Log in again, or correct the"
        f" user{where} in the kubeconfig.",
        resource=asked.resource,
        namespace=asked.namespace,
    )


def _forbidden(asked: Asked, message: str) -> ClientError:
    if found := _RBAC.search(message):
        verb, resource, namespace = found["verb"], found["resource"], found["namespace"] or ""
        group = f" (group {found['group']})" if found["group"] else ""
        where = f"in the namespace {namespace}" if namespace else "in the whole cluster"
        # Of Secrets the one that is needed: a Role names it (resourceNames).
        needed = (
            f"the Secret {asked.name} alone"
            if resource == "secrets" and asked.name
            else f"{resource}{group}"
        )
        text = (
            f"{found['user']} may not {verb} {resource} {where}. Ask for the verb {verb} on"
            f" {needed} {where}."
        )
        return NotAllowed(text, verb=verb, resource=resource, namespace=namespace)
    if not (policy := _POLICY.search(message)):
        return Refused(f"{asked.subject} was refused: {_without_head(message)}")
    text = policy["text"]
    if not (ours := _OURS.search(text)):
        return Refused(f"{asked.subject} was refused: {text}")
    return NotAllowed(text, verb=ours["verb"], resource=ours["resource"], namespace=asked.namespace)


def _not_found(asked: Asked, message: str, details: dict[str, Any]) -> NotFound:
    if details.get("kind") == "namespaces" and asked.kind != "Namespace":
        name = str(details.get("name") or asked.namespace)
        return NotFound(
            f"There is no namespace {name} in this cluster.", kind="Namespace", name=name
        )
    if (
        not details.get("name") and "could not find the requested resource" in message
    ) or "page not found" in message:
        what = (
            "modelyard is not installed in this cluster"
            if asked.group == GROUP
            else f"This cluster has no {asked.resource}"
        )
        where = f" (context {asked.context})" if asked.context else ""
        return NotFound(
            f"{what}{where}: name another context, or have it installed.",
            kind=asked.kind,
            namespace=asked.namespace,
        )
    return NotFound(
        f"There is no {asked.subject}.", kind=asked.kind, name=asked.name, namespace=asked.namespace
    )


def _conflict(asked: Asked, reason: str, causes: list[dict[str, Any]]) -> Refused:
    if reason == "AlreadyExists":
        return Refused(
            f"{asked.subject} exists already: choose another name, or change the one that is there."
        )
    owners = [cause for cause in causes if cause.get("reason") == "FieldManagerConflict"]
    if owners:
        problems = tuple(
            f"{str(each.get('field', '')).lstrip('.')}: kept by"
            f" {_owner(str(each.get('message', '')))}"
            for each in owners
        )
        return Refused(
            f"Others keep fields of {asked.subject}: leave these out, change them there, or take"
            " them over by force.",
            problems,
        )
    return Refused(
        f"{asked.subject} was changed by somebody else at the same moment: look at it, and try"
        " again."
    )


def _owner(message: str) -> str:
    found = _OWNER.search(message)
    return found["owner"] if found else message


def _refused(asked: Asked, message: str, causes: list[dict[str, Any]]) -> Refused:
    text = f"{asked.subject} was refused:"
    if _STRICT in message:
        return Refused(text, tuple(message.split(_STRICT, 1)[1].split(", ")))
    if _UNTYPED in message:
        found = re.findall(
            r"^\s*\.(\S+): (.*)$", message.partition("): ")[2].removeprefix("errors:"), re.MULTILINE
        )
        return Refused(text, tuple(f"{field}: {words}" for field, words in found) or (message,))
    told = [
        (
            str(cause.get("field") or "").removeprefix("<nil>"),
            _without_value(str(cause.get("message", ""))),
        )
        for cause in causes
    ]
    advised = {field for field, words in told if _PATTERN not in words}
    kept = [(field, words) for field, words in told if not (_PATTERN in words and field in advised)]
    checked = [each for each in kept if _UNCHECKED not in each[1]]
    problems = dict.fromkeys(
        f"{field}: {words}" if field else words for field, words in (checked or kept)
    )
    return (
        Refused(text, tuple(problems)) if problems else Refused(f"{text} {_without_head(message)}")
    )


def _without_value(message: str) -> str:
    """Cut the value away, and say what is to be done about a text without quotes."""
    return _UNQUOTED.sub(r"is a \g<kind>, not a text: write it in quotes", _HEAD.sub("", message))


def _without_head(message: str) -> str:
    """Cut `experiments.modelyard.io "fraud" is forbidden: ` away."""
    return re.sub(r'^\S+ "[^"]*" is (?:forbidden|invalid): ', "", message)
