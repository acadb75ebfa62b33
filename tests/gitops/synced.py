"""Objects on an API server after a sync, and after the operator's changes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from tests.chart.api import Api, path_of
from tests.chart.helm import NAMESPACE, RELEASE, Manifest, documents, kubectl
from tests.cluster.apiserver import ApiServer
from tests.gitops.customizations import stand
from tests.gitops.states import states

__all__ = ["MANAGER", "Synced", "objects"]

MANAGER = "argocd-controller"
FINALIZER = "modelyard.io/external-cleanup"
OPERATOR = f"system:serviceaccount:{NAMESPACE}:{RELEASE}"
DONE = {"Experiment": "Synced", "TrainingRun": "Succeeded", "RegisteredModel": "Serving"}


def objects(source: Path) -> list[Manifest]:
    """Return the objects of a folder: built, if it is a kustomization; otherwise from its files."""
    if (source / "kustomization.yaml").exists():
        return documents(kubectl("kustomize", source))
    return [each for file in sorted(source.glob("*.yaml")) for each in documents(file.read_text())]


def text(manifests: Sequence[Manifest]) -> str:
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": list(manifests)})


class Synced:
    """The objects applied to a server."""

    def __init__(self, server: ApiServer) -> None:
        self.server = server
        self.admin = Api(server)
        self.applied: dict[str, Manifest] = {}

    def path(self, manifest: Manifest) -> str:
        group = manifest["apiVersion"]
        return path_of(
            f"{group}/{manifest['kind'].lower()}s",
            manifest["metadata"]["namespace"],
            manifest["metadata"]["name"],
        )

    def client_side(self, manifests: Sequence[Manifest]) -> None:
        """Apply as Argo CD does by default, and `kubectl apply`."""
        self.applied |= {self.path(each): each for each in manifests}
        kubectl(
            "apply",
            "--validate=strict",
            "--filename",
            "-",
            kubeconfig=self.server.kubeconfig,
            stdin=text(manifests),
        )

    def server_side(self, manifests: Sequence[Manifest], manager: str = MANAGER) -> None:
        """Apply as Argo CD does with ServerSideApply=true, and Flux always."""
        self.applied |= {self.path(each): each for each in manifests}
        words = (
            "apply",
            "--server-side",
            "--force-conflicts",
            f"--field-manager={manager}",
            "--validate=strict",
            "--filename",
            "-",
        )
        kubectl(*words, kubeconfig=self.server.kubeconfig, stdin=text(manifests))

    def operate(self, **said: str) -> None:
        """Act as the operator on all our objects: set a finalizer, and a status with a reason, or a
        Ready one.
        """
        done = DONE | said
        operator = self.admin.as_user(OPERATOR)
        for path, each in self.applied.items():
            if each["kind"] not in DONE:
                continue
            status = next(
                one["status"]
                for one in states()
                if one["kind"] == each["kind"] and stand(one)[1] == done[each["kind"]]
            )
            assert operator.merge(path, {"metadata": {"finalizers": [FINALIZER]}}).code == 200
            answer = operator.merge(f"{path}/status", {"status": status})
            assert answer.code == 200, answer.message

    def live(self, manifest: Manifest) -> Manifest:
        """Return the present object."""
        answer = self.admin.get(self.path(manifest))
        assert answer.code == 200, answer.message
        return answer.body

    def predicted(self, manifest: Manifest, manager: str = MANAGER) -> Manifest:
        """Return the result of another server-side apply, as a dry run."""
        answer = self.admin.apply(f"{self.path(manifest)}?dryRun=All", manifest, manager)
        assert answer.code == 200, answer.message
        return answer.body

    def diff(self, manifests: Sequence[Manifest]) -> str:
        """Run `kubectl diff`; raises ``Refused`` if it finds a difference, because it exits with 1
        then.
        """
        return kubectl(
            "diff", "--filename", "-", kubeconfig=self.server.kubeconfig, stdin=text(manifests)
        )

    def gone(self) -> None:
        """Delete everything again."""
        for path in self.applied:
            self.admin.merge(path, {"metadata": {"finalizers": None}})
            assert self.admin.delete(path).code in (200, 404)
