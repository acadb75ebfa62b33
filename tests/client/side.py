"""The other side of the API server: an administrator who writes statuses as the operator would.

It does not use the client that is tested.
"""

from __future__ import annotations

import base64
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.cluster.apiserver import ApiServer, kubeconfig
from tests.harness import Answer, Cluster, Manifest, until

__all__ = ["Side"]

GROUPS = {
    "Experiment": ("modelyard.io/v1alpha1", "experiments"),
    "TrainingRun": ("modelyard.io/v1alpha1", "trainingruns"),
    "RegisteredModel": ("modelyard.io/v1alpha1", "registeredmodels"),
    "Namespace": ("v1", "namespaces"),
    "Secret": ("v1", "secrets"),
    "ConfigMap": ("v1", "configmaps"),
    "Service": ("v1", "services"),
    "ServiceAccount": ("v1", "serviceaccounts"),
    "Pod": ("v1", "pods"),
    "Role": ("rbac.authorization.k8s.io/v1", "roles"),
    "RoleBinding": ("rbac.authorization.k8s.io/v1", "rolebindings"),
}


class Side:
    """An administrator of one namespace, for one thread."""

    def __init__(self, server: ApiServer, namespace: str) -> None:
        self.server, self.namespace = server, namespace
        self._cluster = Cluster(server)

    def close(self) -> None:
        self._cluster.close()

    def path(self, kind: str, name: str = "") -> str:
        version, plural = GROUPS[kind]
        root = f"/apis/{version}" if "/" in version else f"/api/{version}"
        place = "" if kind == "Namespace" else f"/namespaces/{self.namespace}"
        return f"{root}{place}/{plural}" + (f"/{name}" if name else "")

    def request(self, *words: Any, **more: Any) -> Answer:
        return self._cluster.request(*words, **more)

    def apply(self, text: str) -> None:
        """Apply an object as `kubectl apply -f FILE` does."""
        self._cluster.kubectl("apply", "-n", self.namespace, "-f", "-", stdin=text)

    def create(self, version: str, kind: str, name: str, **more: Any) -> Manifest:
        """Create an object; `metadata` is merged in."""
        metadata = {"name": name, **more.pop("metadata", {})}
        answer = self.request(
            "POST",
            self.path(kind),
            {"apiVersion": version, "kind": kind, "metadata": metadata, **more},
        )
        assert answer.ok, answer.message
        return answer.body

    def ours(self, kind: str, name: str, spec: Manifest, **more: Any) -> Manifest:
        return self.create("modelyard.io/v1alpha1", kind, name, spec=spec, **more)

    def get(self, kind: str, name: str) -> Manifest:
        answer = self.request("GET", self.path(kind, name))
        assert answer.ok, answer.message
        return answer.body

    def gone(self, kind: str, name: str) -> bool:
        return self.request("GET", self.path(kind, name)).code == 404

    def patch(self, kind: str, name: str, patch: Manifest, sub: str = "") -> Manifest:
        answer = self.request(
            "PATCH", self.path(kind, name) + sub, patch, "application/merge-patch+json"
        )
        assert answer.ok, answer.message
        return answer.body

    def status(
        self,
        kind: str,
        name: str,
        reason: str = "",
        message: str = "",
        *,
        ready: bool | None = None,
        also: dict[str, bool] | None = None,
        **status: Any,
    ) -> Manifest:
        """Write a status for the present spec: Ready, stalled, or (None) reconciling; `also`: more
        conditions.
        """
        generation = self.get(kind, name)["metadata"]["generation"]
        words = {
            "reason": reason,
            "message": message,
            "observedGeneration": generation,
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        }
        now = {
            "Ready": ready is True,
            "Stalled": ready is False,
            "Reconciling": ready is None,
            **(also or {}),
        }
        conditions = [
            {"type": type_, "status": str(value), **words} for type_, value in now.items()
        ]
        status = {
            "observedGeneration": generation,
            **({"conditions": conditions} if reason else {}),
            **status,
        }
        return self.patch(kind, name, {"status": status}, "/status")

    def delete(self, kind: str, name: str) -> None:
        answer = self.request("DELETE", self.path(kind, name))
        assert answer.ok, answer.message

    def user(self, name: str, rules: list[Manifest], folder: Path) -> Path:
        """Create a service account with these rights in the namespace; return its kubeconfig."""
        self.create("v1", "ServiceAccount", name)
        self.create("rbac.authorization.k8s.io/v1", "Role", name, rules=rules)
        subject = {"kind": "ServiceAccount", "name": name, "namespace": self.namespace}
        role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name}
        self.create(
            "rbac.authorization.k8s.io/v1", "RoleBinding", name, roleRef=role, subjects=[subject]
        )
        made = self.request(
            "POST",
            self.path("ServiceAccount", name) + "/token",
            {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}},
        )
        assert made.ok, made.message
        path = folder / f"{name}.kubeconfig"
        path.write_text(
            kubeconfig(self.server.url, self.server.ca.read_bytes(), made.body["status"]["token"])
        )
        return path

    def secret(self, name: str, values: dict[str, str]) -> None:
        data = {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}
        self.create("v1", "Secret", name, data=data)

    @contextmanager
    def meanwhile(self, kind: str, name: str, act: Callable[[Side], None]) -> Iterator[None]:
        """Act on a separate thread and connection as soon as an object exists; its errors are
        raised at the end of the block.
        """
        other = Side(self.server, self.namespace)
        errors: list[BaseException] = []

        def work() -> None:
            try:
                until(lambda: not other.gone(kind, name), f"{kind} {name} is there")
                act(other)
            except BaseException as error:  # noqa: BLE001 - it belongs to the test
                errors.append(error)

        thread = threading.Thread(target=work)
        thread.start()
        try:
            yield
        finally:
            thread.join(60)
            other.close()
        assert not thread.is_alive()
        if errors:
            raise errors[0]
