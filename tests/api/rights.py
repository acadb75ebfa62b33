"""An operator with exactly the rights of the table, on an API server with an audit log.

Expectations about the audit log are in `test_rights`.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

from modelyard.rbac import RIGHTS, Right, Scope
from tests.api.objects import Manifest
from tests.cluster.apiserver import kubeconfig, running
from tests.harness import Cluster

__all__ = ["OPERATOR", "ROOT", "SERVED", "Guarded", "Use", "guarded", "needed"]

ROOT = Path(__file__).parents[2]
OPERATOR = "modelyard-system"
SERVED = "risk"
ACCOUNT = f"system:serviceaccount:{OPERATOR}:modelyard"
RBAC = "/apis/rbac.authorization.k8s.io/v1"


@dataclass(frozen=True, order=True)
class Use:
    """A request that was sent, or that a right allows."""

    verb: str
    group: str
    resource: str


def needed(rights: tuple[Right, ...] = RIGHTS) -> set[Use]:
    """The requests that a table allows."""
    return {
        Use(verb, right.group, resource)
        for right in rights
        for resource in right.resources
        for verb in right.verbs
    }


@dataclass(frozen=True)
class Guarded:
    """The API server, the operator's kubeconfig, and the log of requests."""

    cluster: Cluster
    kubeconfig: Path
    log: Path

    def seen(self) -> tuple[set[Use], list[Manifest]]:
        """The operator's requests, and those that were refused."""
        uses, refused = set(), []
        for line in self.log.read_text().splitlines():
            entry = json.loads(line)
            about, code = entry.get("objectRef", {}), entry.get("responseStatus", {}).get("code")
            if entry["user"]["username"] != ACCOUNT or "resource" not in about:
                continue
            if code == 403:
                refused.append(entry)
                continue
            resource = "/".join(filter(None, (about["resource"], about.get("subresource"))))
            uses.add(Use(entry["verb"], about.get("apiGroup", ""), resource))
            if entry["verb"] == "patch" and code == 201:
                # Server-side apply of a missing object: the API server checks `create` too.
                uses.add(Use("create", about.get("apiGroup", ""), resource))
        return uses, refused

    def operator(self, out: Path) -> subprocess.Popen[bytes]:
        """Start the operator as that account."""
        environment = {
            key: value for key, value in os.environ.items() if not key.startswith("MODELYARD_")
        } | {
            "KUBECONFIG": str(self.kubeconfig),
            "PYTHONPATH": str(ROOT / "operator"),
            "MODELYARD_OPERATOR_NAMESPACE": OPERATOR,
            "MODELYARD_POLICIES": "modelyard-promote=0/0",
            "MODELYARD_LISTEN_HEALTH": "0",
            "MODELYARD_LISTEN_METRICS": "0",
        }
        with out.open("wb") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "modelyard", "run"],
                env=environment,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def token(self, name: str = "modelyard") -> str:
        path = f"/api/v1/namespaces/{OPERATOR}/serviceaccounts/{name}/token"
        answer = self.cluster.request(
            "POST",
            path,
            {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}},
        )
        assert answer.ok, answer.message
        return str(answer.body["status"]["token"])


def _made(cluster: Cluster, path: str, body: Manifest) -> None:
    answer = cluster.request("POST", path, body)
    assert answer.ok or answer.code == 409, answer.message


def grant(cluster: Cluster, rights: Manifest, account: str = "modelyard") -> None:
    """Give an account the rules of the committed file, as the chart does."""
    _made(
        cluster, f"/api/v1/namespaces/{OPERATOR}/serviceaccounts", {"metadata": {"name": account}}
    )
    subject = [{"kind": "ServiceAccount", "name": account, "namespace": OPERATOR}]
    for scope, where, kind in (
        ((Scope.SERVED, Scope.CLUSTER), "", "ClusterRole"),
        ((Scope.OWN,), f"/namespaces/{OPERATOR}", "Role"),
    ):
        rules = [rule for each in scope for rule in rights[each]]
        _made(
            cluster,
            f"{RBAC}{where}/{kind.lower()}s",
            {"metadata": {"name": account}, "rules": rules},
        )
        reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": account}
        _made(
            cluster,
            f"{RBAC}{where}/{kind.lower()}bindings",
            {"metadata": {"name": account}, "roleRef": reference, "subjects": subject},
        )


@contextmanager
def guarded(folder: Path) -> Iterator[Guarded]:
    """Run the API server with our kinds, two namespaces and the account, for the duration of a
    block.
    """
    policy, log = folder / "audit.yaml", folder / "audit.log"
    policy.write_text(
        "apiVersion: audit.k8s.io/v1\n"
        "kind: Policy\n"
        "omitStages: [RequestReceived, ResponseStarted]\n"
        "rules: [{level: Metadata}]\n"
    )
    arguments = [
        f"--audit-policy-file={policy}",
        f"--audit-log-path={log}",
        # Off by default, on in OpenShift: it checks rights on an owner's finalizers.
        "--enable-admission-plugins=OwnerReferencesPermissionEnforcement",
    ]
    with running(arguments=arguments) as server:
        cluster = Cluster(server)
        cluster.install()
        for namespace in (OPERATOR, SERVED):
            _made(cluster, "/api/v1/namespaces", {"metadata": {"name": namespace}})
        grant(
            cluster,
            yaml.safe_load((ROOT / "charts" / "modelyard" / "files" / "rbac.yaml").read_text()),
        )
        there = Guarded(cluster, folder / "kubeconfig", log)
        there.kubeconfig.write_text(kubeconfig(server.url, server.ca.read_bytes(), there.token()))
        try:
            yield there
        finally:
            cluster.close()
