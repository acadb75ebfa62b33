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
    """What a folder says: built, where it is kustomize's; its files, where it is not."""
    if (source / "kustomization.yaml").exists():
        return documents(kubectl("kustomize", source))
    return [each for file in sorted(source.glob("*.yaml")) for each in documents(file.read_text())]


def text(manifests: Sequence[Manifest]) -> str:
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": list(manifests)})


class Synced:
    """What was applied to a server, by whom ever."""

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
        """As Argo CD applies by default, and `kubectl apply`."""
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
        """As Argo CD applies with ServerSideApply=true, and Flux always."""
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
        """Does to every object of ours what the operator does: a finalizer, and a status of a
        reason, or one that says that all is well.
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
        """The object as it is now."""
        answer = self.admin.get(self.path(manifest))
        assert answer.code == 200, answer.message
        return answer.body

    def predicted(self, manifest: Manifest, manager: str = MANAGER) -> Manifest:
        """What the API server would make of another server-side apply."""
        answer = self.admin.apply(f"{self.path(manifest)}?dryRun=All", manifest, manager)
        assert answer.code == 200, answer.message
        return answer.body

    def diff(self, manifests: Sequence[Manifest]) -> str:
        """`kubectl diff`; raises ``Refused`` where it finds anything, for it ends with 1 then."""
        return kubectl(
            "diff", "--filename", "-", kubeconfig=self.server.kubeconfig, stdin=text(manifests)
        )

    def gone(self) -> None:
        """Takes everything away again."""
        for path in self.applied:
            self.admin.merge(path, {"metadata": {"finalizers": None}})
            assert self.admin.delete(path).code in (200, 404)
