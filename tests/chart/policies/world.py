"""Who asks in the matrix, and what is there: an API server with the chart, people and objects."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.chart.api import APPROVALS, EXPERIMENTS, MODELS, RUNS, Api, Manifest, path_of
from tests.chart.helm import NAMESPACE, RELEASE, install
from tests.cluster.apiserver import ApiServer, running

__all__ = [
    "ADMISSION",
    "BINDINGS",
    "LONG",
    "PEOPLE",
    "SPACE",
    "TRAFFIC",
    "World",
    "approval",
    "controlled",
    "experiment",
    "model",
    "served",
    "training_run",
    "workload",
    "world",
]

SPACE = "risk"
RBAC = "rbac.authorization.k8s.io/v1"
ADMISSION = "admissionregistration.k8s.io/v1/validatingadmissionpolicies"
BINDINGS = "admissionregistration.k8s.io/v1/validatingadmissionpolicybindings"
KUBE_SYSTEM = "system:serviceaccount:kube-system"
# Each may change everything of Kubernetes and of modelyard in the namespace, by RBAC: only the
# policies stand between. The second is the verb promote, and the third may purge.
PEOPLE: dict[str, tuple[str, tuple[str, ...]]] = {
    "dora": ("dora", ()),
    "stan": ("stan", ("promote-staging",)),
    "fred": ("fred", ("promote-fraud",)),
    "rita": ("rita", (f"{RELEASE}-release-manager",)),
    "olga": ("olga", ("override-production",)),
    "gitops": (
        "system:serviceaccount:argocd:argocd-application-controller",
        (f"{RELEASE}-release-manager",),
    ),
    "named": ("system:serviceaccount:keda:keda-operator", ()),
    "unnamed": ("system:serviceaccount:risk:default", ("approve-production",)),
    "bob": ("bob", ("approve-production",)),
    "carla": ("carla", ("approve-production",)),
    "anna": ("anna", (f"{RELEASE}-approver",)),
    "ci": ("system:serviceaccount:ci:pipeline", ("attest-pipeline",)),
    "op": (f"system:serviceaccount:{NAMESPACE}:{RELEASE}", ("approve-production",)),
    "admin": ("root", ("cluster-admin",)),
    "gc": (f"{KUBE_SYSTEM}:generic-garbage-collector", ()),
    "namespaces": (f"{KUBE_SYSTEM}:namespace-controller", ()),
    "manager": ("system:kube-controller-manager", ()),
    "hpa": (f"{KUBE_SYSTEM}:horizontal-pod-autoscaler", ()),
    "replicasets": (f"{KUBE_SYSTEM}:replicaset-controller", ()),
    "scheduler": ("system:kube-scheduler", ()),
    "node": ("system:node:n1", ()),
}
GROUPS = {"node": ("system:nodes",)}
ROLES: dict[str, Manifest] = {
    # Not promote, not purge.
    "wide": {
        "apiGroups": [
            "",
            "apps",
            "batch",
            "autoscaling",
            "policy",
            "discovery.k8s.io",
            "modelyard.io",
        ],
        "resources": ["*"],
        "verbs": ["get", "list", "create", "update", "patch", "delete", "deletecollection"],
    },
    "promote-staging": {
        "apiGroups": ["modelyard.io"],
        "resources": ["registeredmodels/staging"],
        "verbs": ["promote"],
    },
    "override-production": {
        "apiGroups": ["modelyard.io"],
        "resources": ["registeredmodels/production"],
        "verbs": ["override"],
    },
    "promote-fraud": {
        "apiGroups": ["modelyard.io"],
        "resources": ["registeredmodels/production", "registeredmodels/staging"],
        "resourceNames": ["fraud"],
        "verbs": ["promote"],
    },
    "approve-production": {
        "apiGroups": ["modelyard.io"],
        "resources": ["registeredmodels/production"],
        "verbs": ["approve"],
    },
    "attest-pipeline": {
        "apiGroups": ["modelyard.io"],
        "resources": ["registeredmodels/production/pipeline"],
        "verbs": ["attest"],
    },
}


# --- how objects look -----------------------------------------------------------------------------
def ours(kind: str, name: str, spec: Manifest, **metadata: Any) -> Manifest:
    meta = {"name": name, "namespace": SPACE, **metadata}
    return {"apiVersion": "modelyard.io/v1alpha1", "kind": kind, "metadata": meta, "spec": spec}


def model(name: str, **spec: Any) -> Manifest:
    return ours("RegisteredModel", name, spec)


def experiment(name: str, **spec: Any) -> Manifest:
    return ours("Experiment", name, spec)


def training_run(name: str, registers: str = "", **metadata: Any) -> Manifest:
    """A TrainingRun that registers `model/version`, or nothing."""
    spec: Manifest = {"experiment": "kept", "trainer": {"external": {}}}
    if registers:
        spec["register"] = dict(zip(("model", "version"), registers.split("/"), strict=True))
    return ours("TrainingRun", name, spec, **metadata)


def approval(name: str, person: str, *, stage: str = "production", **more: Any) -> Manifest:
    """An approval of v3 of `fraud` in the name of one of the people."""
    spec = {
        "model": "fraud",
        "stage": stage,
        "version": "v3",
        "digest": f"sha256:{'3' * 64}",
        "decision": "Approve",
    }
    return ours(
        "ModelApproval", name, spec | {"approver": PEOPLE[person][0]} | more, labels={"team": "a"}
    )


def served(stage: str, model: str | None = "fraud") -> dict[str, str]:
    """The labels of what serves a stage."""
    labels = {
        "modelyard.io/uid": "uid-of-fraud",
        "modelyard.io/stage": stage,
        "modelyard.io/identity": "0a0a0a0a",
    }
    return labels | ({"modelyard.io/model": model} if model else {})


POD: Manifest = {
    "containers": [{"name": "c", "image": "i", "resources": {"requests": {"cpu": "1m"}}}]
}


def workload(
    kind: str, name: str, labels: dict[str, str] | None = None, pods: dict[str, str] | None = None
) -> Manifest:
    """An object of Kubernetes, with labels, and with others on its pods.

    Args:
        kind: `Pod`, `Deployment`, ...
        name: Its name.
        labels: The labels of the object itself.
        pods: Labels of its pod template besides `app`; for Services and budgets, the selector.

    """
    chosen = {"app": name} | (pods or {})
    template = {"metadata": {"labels": chosen}, "spec": POD}
    job = {
        "template": {"metadata": {"labels": pods or {}}, "spec": POD | {"restartPolicy": "Never"}}
    }
    selected = {"selector": {"matchLabels": chosen}, "template": template}
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "elsewhere"}
    version, body = {
        "Pod": ("v1", {"spec": POD}),
        "ConfigMap": ("v1", {"data": {"a": "b"}}),
        "Service": ("v1", {"spec": {"selector": chosen, "ports": [{"port": 80}]}}),
        "ReplicationController": ("v1", {"spec": {"selector": chosen, "template": template}}),
        "Deployment": ("apps/v1", {"spec": selected}),
        "ReplicaSet": ("apps/v1", {"spec": selected}),
        "DaemonSet": ("apps/v1", {"spec": selected}),
        "StatefulSet": ("apps/v1", {"spec": selected | {"serviceName": name}}),
        "ControllerRevision": ("apps/v1", {"revision": 1, "data": {}}),
        "Job": ("batch/v1", {"spec": job}),
        "CronJob": ("batch/v1", {"spec": {"schedule": "1 2 3 4 5", "jobTemplate": {"spec": job}}}),
        "PodDisruptionBudget": (
            "policy/v1",
            {"spec": {"selector": {"matchLabels": chosen}, "maxUnavailable": 1}},
        ),
        "HorizontalPodAutoscaler": (
            "autoscaling/v2",
            {"spec": {"maxReplicas": 2, "scaleTargetRef": target}},
        ),
        "EndpointSlice": (
            "discovery.k8s.io/v1",
            {"addressType": "IPv4", "endpoints": [{"addresses": ["10.0.0.1"]}]},
        ),
    }[kind]
    return {
        "apiVersion": version,
        "kind": kind,
        "metadata": {"name": name, "namespace": SPACE, "labels": labels or {}},
        **body,
    }


def controlled(
    manifest: Manifest, kind: str = "RegisteredModel", group: str = "modelyard.io", **more: Any
) -> Manifest:
    """The object, with the model `fraud` as its controller, or with something else."""
    reference = {
        "apiVersion": f"{group}/v1alpha1",
        "kind": kind,
        "name": "fraud",
        "uid": "uid-of-fraud",
        "controller": True,
    }
    return manifest | {"metadata": manifest["metadata"] | {"ownerReferences": [reference | more]}}


def plural_path(manifest: Manifest, name: str | None = None) -> str:
    """The path of an object's kind, or of the object."""
    plural = {"poddisruptionbudget": "poddisruptionbudgets"}.get(
        manifest["kind"].lower(), manifest["kind"].lower() + "s"
    )
    return path_of(
        f"{manifest['apiVersion']}/{plural}", manifest["metadata"].get("namespace"), name
    )


# --- what is there --------------------------------------------------------------------------------
REFERENCES = [
    {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "name": name,
        "uid": f"00000000-0000-0000-0000-00000000000{number}",
    }
    for number, name in enumerate(("first", "second"), 1)
]
LONG = "customer-churn-of-the-years"
VERSIONS = {
    "v1": {"trainingRun": "source-of-v1"},
    "v2": {"runId": "r2"},
    "v3": {"runId": "r3"},
    "v5": {"runId": "r5"},
}
STAGES: Manifest = {
    "production": {"version": "v1", "serving": {"replicas": 2}},
    "staging": {"version": "v2"},
    # Nothing declares v9 yet.
    "waiting": {"version": "v9"},
    "failing": {"version": "v4"},
    "held": {"version": "v6"},
    "idle": {},
}
THERE: list[Manifest] = [
    ours("RegisteredModel", "fraud", {"versions": VERSIONS, "stages": STAGES}, labels={"team": "a"}),
    model("other", versions={"v1": {"runId": "r"}}, stages={"production": {"version": "v1"}}),
    model("empty", stages={"production": {}}),
    model("purging", deletionPolicy="Delete"),
    model(
        "overridden",
        stages={"production": {"override": {"version": "v3", "reason": "incident 4711", "until": "2030-01-01T00:00:00Z"}}},
    ),
    ours("RegisteredModel", "owned", {"stages": {"production": {"version": "v1"}}}, ownerReferences=REFERENCES),
    # What the operator holds, though the spec asks for nothing any more.
    # What stages hold, are taking, or keep for a rollback; v4 was displaced long ago.
    model(
        "guarded",
        versions={name: {"trainingRun": f"trained-{name}"} for name in ("v1", "v2", "v3", "v4")} | {"v5": {"runId": "r"}},
        stages={
            "production": {"version": "v2", "rollback": {"window": "1h"}},
            "staging": {"version": "v3"},
            "live": {"version": "v2", "rollback": {"automatic": {}}},
        },
    ),
    model("cleared", versions={"v1": {"runId": "r"}}, stages={"production": {}}),
    model("automatic", stages={"production": {"autoPromote": {"from": "newest"}}, "idle": {}}),
    model("frozen", stages={"production": {}}, freeze=[{"schedule": "0 18 * * 5", "duration": "62h", "reason": "weekend"}]),
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
    # Of these the status says what came of them: RECORDED and ENDED.
    training_run("late-for-v2", "fraud/v2"),
    training_run("late-for-v9", "fraud/v9"),
    training_run("first-for-v9", "fraud/v9"),
    training_run("failed", "fraud/v4"),
    training_run("failed-holder", "fraud/v6"),
    training_run("purging") | {"spec": {"experiment": "kept", "trainer": {"external": {}}, "deletionPolicy": "Delete"}},
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
            "Pod", "Service", "ReplicationController", "Deployment", "ReplicaSet", "StatefulSet", "DaemonSet",
            "Job", "CronJob", "PodDisruptionBudget", "HorizontalPodAutoscaler", "EndpointSlice", "ConfigMap",
        )
    ),
]  # fmt: skip
TRAFFIC = "modelyard.io/traffic"
# What pods are told, by whom it may be; `marked-pod` serves nothing.
TOLD = {
    "told-pod": ("op", {TRAFFIC: '{"revision":1}'}),
    "marked-pod": ("dora", {TRAFFIC: '{"revision":1}'}),
}
# What carries its author's name, and so is made by them.
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


# What the operator recorded of versions: v2 came from a run, v9 is held by one that trains, v6
# still by one that failed.
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
    """The API server with the chart, and everybody's client."""

    def __init__(self, server: ApiServer) -> None:
        self.server = server
        self.admin = admin = Api(server)
        self.people = {
            name: admin.as_user(user, *GROUPS.get(name, ())) for name, (user, _) in PEOPLE.items()
        }
        self.viewer = admin.as_user("vera")

    def populate(self) -> None:
        """Make roles, bindings, and what is there."""
        for name, rule in ROLES.items():
            self.made(
                path_of(f"{RBAC}/clusterroles"), {"metadata": {"name": name}, "rules": [rule]}
            )
        for name, (user, roles) in PEOPLE.items():
            for role in ("wide", *roles):
                self._bind(f"{name}-{role}", user, role)
        self._bind("vera", "vera", "view")
        self._bind("vera-of-ours", "vera", f"{RELEASE}-viewer")
        # The fence is tried where the operator could do harm.
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
        """Record which versions stages have, from which TrainingRuns; that of v4 was made again
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
    """Run an API server with the chart, people and objects, for the length of a block."""
    values = folder / "values.json"
    tenant = {"namespace": SPACE, "existingSecret": True}
    policies = {"servingAccounts": [PEOPLE["named"][0]], "requesterAccounts": [PEOPLE["gitops"][0]]}
    values.write_text(json.dumps({"tenants": [tenant], "policies": policies}))
    with running(arguments=["--allow-privileged=true"]) as server:
        there = World(server)
        # Not by the chart: Pod Security would refuse what the policies are to refuse.
        there.made(path_of("v1/namespaces"), {"metadata": {"name": SPACE}})
        install(server.kubeconfig, values)
        there.populate()
        yield there


FRAUD, OTHER, EMPTY = (path_of(MODELS, SPACE, name) for name in ("fraud", "other", "empty"))
ALL_MODELS, ALL_RUNS, ALL_EXPERIMENTS, ALL_APPROVALS = (
    path_of(resource, SPACE) for resource in (MODELS, RUNS, EXPERIMENTS, APPROVALS)
)
