"""An API server with our kinds installed, and a small client that shows what a user would read. For
tests that need no kubelet.

    def test_...(cluster: Cluster):
        answer = cluster.create({...})

`tests.cluster.apiserver` starts the processes; `tests.shared` has the fixture. What starts MLflow
or MinIO does not belong here (`tests.servers`).
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
    """The first value of a condition that is neither None nor False; fails when there is none in
    time.

    The limit is long because the tests may share their machine: what is waited for comes at once on
    an idle one.
    """
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value is not None and value is not False:
            return value
        assert time.monotonic() < deadline, f"{what}: not in {seconds:.0f} s"
        time.sleep(0.05)


def manifests(path: Path) -> list[Manifest]:
    """The objects in a file of YAML."""
    return [document for document in yaml.safe_load_all(path.read_text()) if document]


@dataclass(frozen=True)
class Answer:
    """What the API server answered: the status code and the object, or the `Status` that says
    why not.
    """

    code: int
    body: Manifest

    @property
    def ok(self) -> bool:
        return self.code < 300

    @property
    def message(self) -> str:
        """What kubectl would print of a refusal."""
        return "" if self.ok else str(self.body.get("message", self.body))


class Cluster:
    """Our kinds on one API server, as an administrator. One connection, kept open; not for
    several threads.
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
        """One request. A connection that the server closed meanwhile is opened again."""
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
            ):  # the last one: closed while nobody asked, minutes ago
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
        """As `kubectl create` does it: with strict validation of fields."""
        return self.request(
            "POST", self.path(manifest["kind"]), manifest, fieldValidation="Strict", **query
        )

    def check(self, manifest: Manifest) -> Answer:
        """Creates nothing, but is refused where a creation would be, and answers with the object
        as it would be stored.
        """
        return self.create(manifest, dryRun="All")

    def apply(self, manifest: Manifest) -> Answer:
        """As `kubectl apply --server-side` does it."""
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
        """As `kubectl patch --type merge` does it."""
        return self.request(
            "PATCH",
            self.path(kind, name),
            patch,
            "application/merge-patch+json",
            fieldValidation="Strict",
        )

    def replace(self, manifest: Manifest) -> Answer:
        """As `kubectl replace` does it, whatever the object was meanwhile."""
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
        """Runs kubectl; without `check` a failure is returned, not raised."""
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
        """Installs our kinds and waits until each is served."""
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
    """An API server with our kinds, for the length of a block."""
    with running(controllers=controllers) as server:
        cluster = Cluster(server)
        cluster.install()
        try:
            yield cluster
        finally:
            cluster.close()
