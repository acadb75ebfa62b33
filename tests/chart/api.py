"""A plain client of an API server that can impersonate users."""

from __future__ import annotations

import http.client
import json
import ssl
import time
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from tests.cluster.apiserver import ApiServer

__all__ = [
    "APPROVALS",
    "EXPERIMENTS",
    "MODELS",
    "RUNS",
    "Answer",
    "Api",
    "Manifest",
    "eventually",
    "path_of",
    "wait_storage",
]

EXPERIMENTS, RUNS, MODELS, APPROVALS = (
    f"modelyard.io/v1alpha1/{plural}"
    for plural in ("experiments", "trainingruns", "registeredmodels", "modelapprovals")
)

Manifest = dict[str, Any]
MERGE, APPLY = "application/merge-patch+json", "application/apply-patch+yaml"
# Long, because tests may share a busy machine.
SECONDS = 180.0


@dataclass(frozen=True)
class Answer:
    """The server's answer: its code, and the object or the status."""

    code: int
    body: Manifest

    @property
    def message(self) -> str:
        return str(self.body.get("message", ""))


def path_of(resource: str, namespace: str | None = None, name: str | None = None) -> str:
    """Return the path of a resource, ``group/version/plural`` or ``v1/plural``."""
    *group, plural = resource.split("/")
    out = f"/apis/{'/'.join(group)}" if len(group) > 1 else f"/api/{group[0]}"
    return (
        out
        + (f"/namespaces/{namespace}" if namespace else "")
        + f"/{plural}"
        + (f"/{name}" if name else "")
    )


class Api:
    """A client of the administrator or of an impersonated user. It is for one thread."""

    def __init__(
        self, server: ApiServer, user: str | None = None, groups: Sequence[str] = ()
    ) -> None:
        self._server = server
        self._headers = {"Authorization": f"Bearer {server.token}"}
        if user is not None:
            self._headers["Impersonate-User"] = user
        if groups:
            self._headers["Impersonate-Group"] = groups[0]
        trusted = ssl.create_default_context(cafile=str(server.ca))
        self._connection = http.client.HTTPSConnection(
            urlsplit(server.url).netloc, timeout=120, context=trusted
        )
        weakref.finalize(self, self._connection.close)

    def as_user(self, user: str, *groups: str) -> Api:
        """Return a client that impersonates a user."""
        return Api(self._server, user, groups)

    def ask(
        self, method: str, path: str, body: Any = None, content: str = "application/json"
    ) -> Answer:
        data = None if body is None else json.dumps(body).encode()
        try:
            return self._asked(method, path, data, content)
        except (http.client.RemoteDisconnected, ConnectionError, ssl.SSLError):
            # The server closed the idle connection, or was restarted: open another one.
            self._connection.close()
            return self._asked(method, path, data, content)

    def _asked(self, method: str, path: str, data: bytes | None, content: str) -> Answer:
        self._connection.request(method, path, data, self._headers | {"Content-Type": content})
        answer = self._connection.getresponse()
        text = answer.read().decode()
        # If it does not serve such a kind at all, its answer is plain text.
        return Answer(
            answer.status, json.loads(text) if text.startswith("{") else {"message": text}
        )

    def get(self, path: str) -> Answer:
        return self.ask("GET", path)

    def create(self, path: str, body: Manifest) -> Answer:
        return self.ask("POST", path, body)

    def merge(self, path: str, body: Manifest) -> Answer:
        return self.ask("PATCH", path, body, MERGE)

    def apply(self, path: str, body: Manifest, manager: str = "tests") -> Answer:
        separator = "&" if "?" in path else "?"
        return self.ask("PATCH", f"{path}{separator}fieldManager={manager}&force=true", body, APPLY)

    def delete(self, path: str) -> Answer:
        return self.ask("DELETE", path)


def eventually(condition: Callable[[], Any], what: str) -> None:
    """Wait until a function returns something true; on a timeout fail with its last result."""
    deadline = time.monotonic() + SECONDS
    while not (found := condition()):
        assert time.monotonic() < deadline, (
            f"after {SECONDS:.0f} s it is not so that {what}: {found}"
        )
        time.sleep(0.05)


def wait_storage(admin: Api) -> None:
    """Return when our installed kinds can be listed.

    A CRD that is deleted within the second in which its storage starts is gone only minutes later:
    the API server's finalizer gets "storage is (re)initializing", and if its status write of that
    conflicts, it drops the CRD until the next resync (operator-framework/operator-controller#1437).
    Users do not delete kinds that were never used, but tests do.
    """
    for resource in (EXPERIMENTS, RUNS, MODELS, APPROVALS):
        path = path_of(resource)
        eventually(
            lambda path=path: admin.get(path).code in (200, 404), f"{resource} can be listed"
        )
