"""The world of the matrix: an API server with the chart, its accounts and objects."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.chart.api import EXPERIMENTS, MODELS, RUNS, Api, Manifest, path_of
from tests.chart.helm import RELEASE, install
from tests.chart.policies.accounts import GROUPS, PEOPLE, ROLES
from tests.chart.policies.objects import (
    LONG,
    REFERENCES,
    SPACE,
    STAGES,
    TRAFFIC,
    VERSIONS,
    approval,
    controlled,
    experiment,
    model,
    ours,
    plural_path,
    served,
    training_run,
    workload,
)
from tests.cluster.apiserver import ApiServer, running

__all__ = ["ADMISSION", "BINDINGS", "World", "world"]

RBAC = "rbac.authorization.k8s.io/v1"
ADMISSION = "admissionregistration.k8s.io/v1/validatingadmissionpolicies"
BINDINGS = "admissionregistration.k8s.io/v1/validatingadmissionpolicybindings"
THERE: list[Manifest] = [
    ours("RegisteredModel", "fraud", {"versions": VERSIONS, "stages": STAGES},
        labels={"team": "a"}),
    model("other", versions={"v1": {"runId": "r"}}, stages={"production": {"version": "v1"}}),
    model("empty", stages={"production": {}}),
    model("purging", deletionPolicy="Delete"),
    model(
        "overridden",
        stages={"production": {"override": {"version": "v3", "reason": "incident 4711",
            "until": "2030-01-01T00:00:00Z"}}},
    ),
    ours("RegisteredModel", "owned", {"stages": {"production": {"version": "v1"}}},
        ownerReferences=REFERENCES),
    # Versions that are effective, being promoted or kept for a rollback; v4 was displaced long ago.
    model(
        "guarded",
        versions={name: {"trainingRun": f"trained-{name}"} for name in ("v1", "v2", "v3",
            "v4")} | {"v5": {"runId": "r"}},
        stages={
            "production": {"version": "v2", "rollback": {"window": "1h"}},
            "staging": {"version": "v3"},
            "live": {"version": "v2", "rollback": {"automatic": {}}},
        },
    ),
    model("cleared", versions={"v1": {"runId": "r"}}, stages={"production": {}}),
    model("automatic", stages={"production": {"autoPromote": {"from": "newest"}}, "idle": {}}),
    model("frozen", stages={"production": {}}, freeze=[{"schedule": "0 18 * * 5", "duration": "62h",
        "reason": "weekend"}]),
    model("planned", stages={"production": {}}, dryRun=True),
    model(LONG, stages={"production": {}}),
    experiment("kept"),
    experiment("purging", deletionPolicy="Delete"),
    experiment("aged", retention={"runs": "30d", "keepBest": 3}),
    ours("Experiment", "sources", {"deletionPolicy": "Delete"}, labels={"kept": "true"}),
    experiment("retained"),
    *(training_run(f"trained-{name}") for name in ("v1", "v2", "v3", "v4")),
    training_run("plain"),
    training_run("source-of-v1", labels={"team": "a"}),
    training_run("source-of-v2", "fraud/v2"),
    training_run("source-of-v8", "fraud/v8"),
    # The status records these and how they ended: RECORDED and ENDED.
    training_run("late-for-v2", "fraud/v2"),
    training_run("late-for-v9", "fraud/v9"),
    training_run("first-for-v9", "fraud/v9"),
    training_run("failed", "fraud/v4"),
    training_run("failed-holder", "fraud/v6"),
    training_run("purging") | {"spec": {"experiment": "kept", "trainer": {"external": {}},
        "deletionPolicy": "Delete"}},
    *(
        workload(kind, f"serves-{kind.lower()}", served("production"), served("production"))
        for kind in (
            "Pod", "Service", "ReplicationController", "Deployment", "ReplicaSet", "StatefulSet",
            "ControllerRevision", "PodDisruptionBudget", "HorizontalPodAutoscaler", "EndpointSlice",
        )
    ),
    workload("Pod", "told-pod", served("production")),
    workload("Pod", "marked-pod"),
    *(
        workload(kind, f"plain-{kind.lower()}")
        for kind in (
            "Pod", "Service", "ReplicationController", "Deployment", "ReplicaSet", "StatefulSet",
                "DaemonSet",
            "Job", "CronJob", "PodDisruptionBudget", "HorizontalPodAutoscaler", "EndpointSlice",
                "ConfigMap",
        )
    ),
]  # fmt: skip
# The pods' annotations, and the accounts that may set them; `marked-pod` does not serve a stage.
TOLD = {
    "told-pod": ("op", {TRAFFIC: '{"revision":1}'}),
    "marked-pod": ("dora", {TRAFFIC: '{"revision":1}'}),
}
# Objects that contain their author's name, so their author creates them.
SIGNED: dict[str, list[Manifest]] = {
    "rita": [
        model(
            "asked",
            versions=VERSIONS,
            stages={"production": {"version": "v2", "requestedBy": "rita"}},
        )
    ],
    "bob": [approval("by-bob", "bob")],
    "op": [
        controlled(workload("ConfigMap", "serves-configmap", served("production"))),
        controlled(workload("ConfigMap", "owned-configmap")),
    ],
}


def _served(version: str) -> Manifest:
    return {
        "version": version,
        "digest": f"sha256:{version[1] * 64}",
        "runtime": {"image": "i", "revision": 3, "identity": "0a0a0a0a"},
    }


# The operator's record of versions: v2 came from a run, v9 is held by a run that trains, v6 still
# by a failed one.
RECORDED: list[Manifest] = [
    {"name": "v2", "trainingRun": "source-of-v2", "digest": f"sha256:{'2' * 64}"},
    {"name": "v9", "trainingRun": "first-for-v9", "heldBy": "first-for-v9"},
    {"name": "v4", "trainingRun": "failed"},
    {"name": "v6", "trainingRun": "failed-holder", "heldBy": "failed-holder"},
]
ENDED = {"failed": "False", "failed-holder": "False", "late-for-v2": "True"}
EFFECTIVE = {
    "fraud": {"production": {"version": "v5"}},
    "cleared": {"production": {"version": "v1"}},
}
GUARDED: Manifest = {
    "production": {
        "version": "v2",
        "previous": _served("v1") | {"untilTime": "2030-01-01T00:00:00Z"},
    },
    "staging": {"version": "v4", "candidate": _served("v3"), "previous": _served("v2")},
    "live": {
        "version": "v2",
        "previous": _served("v5"),
        "watch": {
            "sinceTime": "2029-12-31T23:45:00Z",
            "untilTime": "2030-01-01T00:00:00Z",
            "displaced": "0a0a0a0a",
        },
    },
}
"""The status of stages: v2 is effective, v1 and, by a watch, v5 warm, v3 a candidate; what was
displaced without either is free.
"""


class World:
    """The API server with the chart, and a client for each account."""

    def __init__(self, server: ApiServer) -> None:
        self.server = server
        self.admin = admin = Api(server)
        self.people = {
            name: admin.as_user(user, *GROUPS.get(name, ())) for name, (user, _) in PEOPLE.items()
        }
        self.viewer = admin.as_user("vera")

    def populate(self) -> None:
        """Create roles, bindings and the initial objects."""
        for name, rule in ROLES.items():
            self.made(
                path_of(f"{RBAC}/clusterroles"), {"metadata": {"name": name}, "rules": [rule]}
            )
        for name, (user, roles) in PEOPLE.items():
            for role in ("wide", *roles):
                self._bind(f"{name}-{role}", user, role)
        self._bind("vera", "vera", "view")
        self._bind("vera-of-ours", "vera", f"{RELEASE}-viewer")
        # The fence is tested in a namespace where the operator could do harm.
        self._bind("op-everywhere", PEOPLE["op"][0], "wide", namespace=None)
        for manifest in THERE:
            self.made(plural_path(manifest), manifest)
        for name, manifests in SIGNED.items():
            for manifest in manifests:
                answer = self.people[name].create(plural_path(manifest), manifest)
                assert answer.code == 201, answer.message
        for name, (person, told) in TOLD.items():
            self._annotate(name, "dora", {"cni.example.com/ip": "1"})
            self._annotate(name, person, told)
        for name, stages in EFFECTIVE.items():
            self._status(path_of(MODELS, SPACE, name), stages=stages)
        uids = {
            name: self.admin.get(path_of(RUNS, SPACE, name)).body["metadata"]["uid"]
            for name in ("first-for-v9", "failed-holder")
        }
        self._guard()
        held = [
            each | ({"heldBy": uids[each["heldBy"]]} if "heldBy" in each else {})
            for each in RECORDED
        ]
        self._status(path_of(MODELS, SPACE, "fraud"), versions=held)
        for name, succeeded in ENDED.items():
            ended = {
                "type": "Succeeded",
                "status": succeeded,
                "reason": "Told",
                "message": "",
                "lastTransitionTime": "2026-01-01T00:00:00Z",
            }
            self._status(path_of(RUNS, SPACE, name), conditions=[ended])

    def _guard(self) -> None:
        """Record which versions stages have, from which TrainingRuns; that of v4 was recreated
        under its name.
        """
        for name in ("sources", "retained"):
            artifacts = {"uri": f"s3://bucket/risk/{name}/", "objects": 1, "bytes": 1}
            self._status(path_of(EXPERIMENTS, SPACE, name), artifacts=artifacts)
        came = [
            {
                "name": f"v{number}",
                "trainingRun": f"trained-v{number}",
                "runId": f"run-{number}",
                "uri": f"s3://bucket/risk/{folder}/m/{number}",
            }
            for number, folder in enumerate(("sources", "retained", "sources", "sources"), 1)
        ]
        self._status(path_of(MODELS, SPACE, "guarded"), versions=came, stages=GUARDED)
        for number, run in enumerate(("run-1", "run-2", "run-3", "run-of-another"), 1):
            mlflow = {"runId": run, "experimentId": "1", "url": "http://mlflow"}
            self._status(path_of(RUNS, SPACE, f"trained-v{number}"), mlflow=mlflow)

    def _annotate(self, pod: str, person: str, annotations: dict[str, str]) -> None:
        answer = self.people[person].merge(
            path_of("v1/pods", SPACE, pod), {"metadata": {"annotations": annotations}}
        )
        assert answer.code == 200, answer.message

    def _status(self, path: str, **status: Any) -> None:
        """Write a status as the operator."""
        answer = self.people["op"].merge(f"{path}/status", {"status": status})
        assert answer.code == 200, answer.message

    def _bind(self, name: str, user: str, role: str, namespace: str | None = SPACE) -> None:
        subject = {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}
        reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role}
        kind = "rolebindings" if namespace else "clusterrolebindings"
        self.made(
            path_of(f"{RBAC}/{kind}", namespace),
            {"metadata": {"name": name}, "roleRef": reference, "subjects": [subject]},
        )

    def made(self, path: str, body: Manifest) -> None:
        """Create an object as the administrator."""
        answer = self.admin.create(path, body)
        assert answer.code == 201, f"{path} {body['metadata']['name']}: {answer.message}"


@contextmanager
def world(folder: Path) -> Iterator[World]:
    """Run an API server with the chart, accounts and objects, for the duration of a block."""
    values = folder / "values.json"
    tenant = {"namespace": SPACE, "existingSecret": True}
    policies = {"servingAccounts": [PEOPLE["named"][0]], "requesterAccounts": [PEOPLE["gitops"][0]]}
    values.write_text(json.dumps({"tenants": [tenant], "policies": policies}))
    with running(arguments=["--allow-privileged=true"]) as server:
        there = World(server)
        # Not created by the chart: Pod Security would refuse what the policies should refuse.
        there.made(path_of("v1/namespaces"), {"metadata": {"name": SPACE}})
        install(server.kubeconfig, values)
        there.populate()
        yield there
