"""An API server with our kinds installed, and a small client that shows users' messages. For tests
that need no kubelet.

    def test_...(cluster: Cluster):
        answer = cluster.create({...})

`tests.cluster.apiserver` starts the processes; `tests.shared` has the fixture. `tests.servers`
starts MLflow and MinIO.
"""

import http.client
import json
import os
import ssl
import subprocess
import sys
import time
import urllib.parse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml

from modelyard.api.kinds import KINDS
from tests.cluster.apiserver import ApiServer, running
from tests.cluster.bringup import Bringup
from tests.cluster.console import Console
from tests.cluster.settings import Settings

__all__ = ["Answer", "Cluster", "manifests", "serving", "until"]

ROOT = Path(__file__).parents[1]
PLURALS = {kind.resource.KIND: kind.resource.PLURAL for kind in KINDS}
OURS = "/apis/modelyard.io/v1alpha1"
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"

Manifest = dict[str, Any]
T = TypeVar("T")


def until(condition: Callable[[], T | None], what: str, seconds: float = 180) -> T:
    """Return the first value of a condition that is neither None nor False; fail on a timeout.

    The limit is long because the tests may share their machine: on an idle one there is no wait.
    """
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value is not None and value is not False:
            return value
        assert time.monotonic() < deadline, f"{what}: not in {seconds:.0f} s"
        time.sleep(0.05)


def manifests(path: Path) -> list[Manifest]:
    """Return the objects in a YAML file."""
    return [document for document in yaml.safe_load_all(path.read_text()) if document]


@dataclass(frozen=True)
class Answer:
    """The API server's answer: the status code and the object, or a `Status` with the reason."""

    code: int
    body: Manifest

    @property
    def ok(self) -> bool:
        return self.code < 300

    @property
    def message(self) -> str:
        """The text that kubectl would print for a refusal."""
        return "" if self.ok else str(self.body.get("message", self.body))


class Cluster:
    """A client of one API server with our kinds, as an administrator. One connection, kept open;
    not thread-safe.
    """

    def __init__(self, server: ApiServer) -> None:
        self.server = server
        self._host = urllib.parse.urlsplit(server.url).netloc
        self._connection: http.client.HTTPSConnection | None = None

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        media: str = "application/json",
        **query: str,
    ) -> Answer:
        """Send one request. A connection that the server closed meanwhile is opened again."""
        if query:
            path = f"{path}?{urllib.parse.urlencode(query)}"
        headers = {
            "Authorization": f"Bearer {self.server.token}",
            "Content-Type": media,
            "Accept": "application/json",
        }
        data = None if body is None else json.dumps(body)
        for again in (True, False):
            if self._connection is None:
                self._connection = http.client.HTTPSConnection(
                    self._host,
                    context=ssl.create_default_context(cafile=str(self.server.ca)),
                    timeout=120,
                )
            try:
                self._connection.request(method, path, body=data, headers=headers)
                response = self._connection.getresponse()
                text = response.read()
            except (
                http.client.HTTPException,
                ConnectionError,
                ssl.SSLError,
            ):  # last one: closed while idle, minutes ago
                self.close()
                if not again:
                    raise
            else:
                return Answer(
                    response.status,
                    json.loads(text) if text.startswith(b"{") else {"message": text.decode()},
                )
        raise AssertionError("unreachable")

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def path(self, kind: str, name: str = "", namespace: str = "default") -> str:
        return f"{OURS}/namespaces/{namespace}/{PLURALS[kind]}" + (f"/{name}" if name else "")

    def create(self, manifest: Manifest, **query: str) -> Answer:
        """Create an object as `kubectl create` does: with strict validation of fields."""
        return self.request(
            "POST", self.path(manifest["kind"]), manifest, fieldValidation="Strict", **query
        )

    def check(self, manifest: Manifest) -> Answer:
        """Create an object as a dry run: it is refused like a creation, and the answer is the
        object as it would be stored.
        """
        return self.create(manifest, dryRun="All")

    def apply(self, manifest: Manifest) -> Answer:
        """Apply an object as `kubectl apply --server-side` does."""
        path = self.path(manifest["kind"], manifest["metadata"]["name"])
        media = "application/apply-patch+yaml"
        return self.request(
            "PATCH",
            path,
            manifest,
            media,
            fieldManager="tests",
            force="true",
            fieldValidation="Strict",
        )

    def patch(self, kind: str, name: str, patch: Manifest) -> Answer:
        """Patch an object as `kubectl patch --type merge` does."""
        return self.request(
            "PATCH",
            self.path(kind, name),
            patch,
            "application/merge-patch+json",
            fieldValidation="Strict",
        )

    def replace(self, manifest: Manifest) -> Answer:
        """Replace an object as `kubectl replace` does, whatever its present version."""
        return self.request(
            "PUT",
            self.path(manifest["kind"], manifest["metadata"]["name"]),
            manifest,
            fieldValidation="Strict",
        )

    def write_status(self, kind: str, name: str, status: Manifest) -> Answer:
        return self.request(
            "PATCH",
            f"{self.path(kind, name)}/status",
            {"status": status},
            "application/merge-patch+json",
            fieldValidation="Strict",
        )

    def get(self, kind: str, name: str) -> Answer:
        return self.request("GET", self.path(kind, name))

    def delete(self, kind: str, name: str) -> Answer:
        return self.request("DELETE", self.path(kind, name))

    def kubectl(
        self, *arguments: str, stdin: str = "", check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run kubectl; without `check` a failure is returned, not raised."""
        program = _kubectl()
        environment = os.environ | {"KUBECONFIG": str(self.server.kubeconfig)}
        done = subprocess.run(
            [program, *arguments],
            input=stdin,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert not check or done.returncode == 0, f"kubectl {' '.join(arguments)}: {done.stderr}"
        return done

    def install(self, folder: Path = ROOT / "crds") -> None:
        """Install our kinds and wait until each is served."""
        for path in sorted(folder.glob("*.yaml")):
            for definition in manifests(path):
                answer = self.request("POST", CRDS, definition)
                assert answer.ok, f"{path.name}: {answer.message}"
        for plural in PLURALS.values():
            until(
                lambda plural=plural: self.request("GET", f"{OURS}/{plural}").ok,
                f"{plural} is served",
            )


def _kubectl() -> Path:
    settings = Settings.read()
    program = settings.bin / "kubectl"
    if not program.exists():
        Bringup(settings, Console(sys.stderr)).programs(["kubectl"])
    return program


@contextmanager
def serving(*, controllers: bool = False) -> Iterator[Cluster]:
    """Run an API server with our kinds for the duration of a block."""
    with running(controllers=controllers) as server:
        cluster = Cluster(server)
        cluster.install()
        try:
            yield cluster
        finally:
            cluster.close()
