"""Cases of the policies on what serves: serving, serving-workloads, serving-scale, names."""

from __future__ import annotations

from typing import Any

from tests.chart.api import Manifest
from tests.chart.policies.row import Row, apply, create, delete, generate, json_patch, merge, put, strategic
from tests.chart.policies.world import plural_path, served, workload

__all__ = ["ROWS"]

# Who may promote production of `fraud`, or is machinery; and who may not.
NOT = "dora stan unnamed"
MAY = "fred rita gitops admin named replicasets hpa scheduler manager"
LABELLED = ("Pod", "Service", "ControllerRevision", "PodDisruptionBudget", "HorizontalPodAutoscaler", "EndpointSlice")
WORKLOADS = ("Deployment", "ReplicaSet", "StatefulSet", "DaemonSet", "Job", "CronJob", "ReplicationController")
SCALED = ("Deployment", "ReplicaSet", "StatefulSet", "ReplicationController")
STAGE = "/metadata/labels/modelyard.io~1stage"
OWNER = {"metadata": {"ownerReferences": [{"apiVersion": "v1", "kind": "ConfigMap", "name": "a", "uid": "b"}]}}


def at(kind: str, name: str, subresource: str = "") -> str:
    """The path of an object that is there: `serves` or `plain`."""
    path = plural_path(workload(kind, "x"), f"{name}-{kind.lower()}")
    return f"{path}/{subresource}" if subresource else path


def new(kind: str, labels: dict[str, str] | None = None, pods: dict[str, str] | None = None, name: str = "new") -> Any:
    body = workload(kind, name, labels, pods)
    return create(plural_path(body), body)


def labelled(**labels: Any) -> Manifest:
    return {"metadata": {"labels": {f"modelyard.io/{key}": value for key, value in labels.items()}}}


def template(**changes: Any) -> Manifest:
    return {"spec": {"template": changes}}


def container(**changes: Any) -> Manifest:
    return {"containers": [{"name": "c", **changes}]}


PRODUCTION = served("production")
MORE = {"requests": {"cpu": "2m"}}
EPHEMERAL = {"spec": {"ephemeralContainers": [{"name": "debug", "image": "i"}]}}
RESTARTED = {"metadata": {"annotations": {"kubectl.kubernetes.io/restartedAt": "now"}}}
FOREIGN = {"metadata": {"labels": {"team": "a"}, "annotations": {"cni.example.com/ip": "1"}, "finalizers": ["a.b/c"]}}

SERVING = [
    *(Row("serving", f"{kind} created", new(kind, PRODUCTION), NOT, MAY, "may not create what serves stage production of fraud") for kind in LABELLED),
    Row("serving", "created by server-side apply", apply(plural_path(workload("Service", "x"), "new"), workload("Service", "new", PRODUCTION)), NOT, MAY),
    Row("serving", "name made up", generate(plural_path(workload("Pod", "x")), workload("Pod", "", PRODUCTION)), NOT, MAY),
    Row("serving", "Pod created not as a dry run", new("Pod", PRODUCTION).real(), NOT),
    Row("serving", "Pod with another model's label", new("Pod", served("production", "other")), "fred stan", "rita"),
    Row("serving", "Pod without a model's label", new("Pod", served("production", None)), "fred stan", "rita"),
    Row("serving", "Pod of staging", new("Pod", served("staging")), "dora", "stan fred rita"),
    Row("serving", "mirror Pod by a node", new("Pod", PRODUCTION), "node"),
    *(Row("serving", f"labels put on a {kind}", merge(at(kind, "plain"), labelled(stage="production", model="fraud")), NOT, MAY) for kind in ("Pod", "EndpointSlice")),
    Row("serving", "labels put on a Service", strategic(at("Service", "plain"), labelled(stage="production", model="fraud")), NOT, MAY),
    *(Row("serving", f"label of a {kind} removed", json_patch(at(kind, "serves"), ("remove", STAGE)), NOT, MAY) for kind in LABELLED),
    Row("serving", "stage's label changed", merge(at("Pod", "serves"), labelled(stage="staging")), "dora stan", "fred rita"),
    Row("serving", "identity's label changed", merge(at("Pod", "serves"), labelled(identity="0b0b0b0b")), NOT, MAY),
    Row("serving", "managed-by changed", merge(at("Service", "serves"), {"metadata": {"labels": {"app.kubernetes.io/managed-by": "me"}}}), NOT, MAY),
    Row("serving", "owner changed", merge(at("Pod", "serves"), OWNER), NOT, MAY),
    Row("serving", "image of a Pod", strategic(at("Pod", "serves"), {"spec": container(image="other")}), NOT, MAY),
    Row("serving", "selector of a Service", merge(at("Service", "serves"), {"spec": {"selector": {"app": "mine"}}}), NOT, MAY),
    Row("serving", "Service by replacement", put(at("Service", "serves"), lambda body: body["spec"]["selector"].update(app="mine")), NOT, MAY),
    Row("serving", "external addresses of a Service", json_patch(at("Service", "serves"), ("add", "/spec/externalIPs", ["1.2.3.4"])), NOT, MAY),
    Row("serving", "target of an autoscaler", merge(at("HorizontalPodAutoscaler", "serves"), {"spec": {"maxReplicas": 9}}), NOT, MAY),
    Row("serving", "budget", merge(at("PodDisruptionBudget", "serves"), {"spec": {"maxUnavailable": 0}}), NOT, MAY),
    Row("serving", "addresses of an EndpointSlice", merge(at("EndpointSlice", "serves"), {"endpoints": [{"addresses": ["10.0.0.2"]}]}), NOT, MAY),
    Row("serving", "number of a ControllerRevision", merge(at("ControllerRevision", "serves"), {"revision": 9}), NOT, MAY),
    Row("serving", "ephemeral container", strategic(at("Pod", "serves", "ephemeralcontainers"), EPHEMERAL), NOT, MAY),
    Row("serving", "resize", strategic(at("Pod", "serves", "resize"), {"spec": container(resources=MORE)}), NOT, MAY),
    Row("serving", "our labels by a Pod's status", merge(at("Pod", "serves", "status"), labelled(stage="staging")), NOT, "rita"),
    Row("serving", "our labels by a Service's status", merge(at("Service", "serves", "status"), labelled(stage=None)), NOT, "rita"),
    Row("serving", "our labels by the status of another Pod", merge(at("Pod", "plain", "status"), labelled(stage="production", model="fraud")), NOT, "rita"),
    *(Row("serving", f"foreign labels, annotations, finalizers of a {kind}", merge(at(kind, "serves"), FOREIGN), allowed="dora unnamed") for kind in LABELLED),
    Row("serving", "status of a Pod", merge(at("Pod", "serves", "status"), {"status": {"phase": "Running"}}), allowed="dora node"),
    Row("serving", "labels of a Pod by a node", merge(at("Pod", "serves"), labelled(identity="0b0b0b0b")), allowed="node"),
    *(Row("serving", f"{kind} deleted", delete(at(kind, "serves")), allowed="dora unnamed") for kind in LABELLED),
    Row("serving", "Pod evicted", create(at("Pod", "serves", "eviction"), {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "serves-pod", "namespace": "risk"}}), allowed="dora"),
    *(Row("serving", f"a {kind} that serves nothing", new(kind), allowed="dora") for kind in LABELLED),
]  # fmt: skip

THREE = workload("CronJob", "new", served("staging"), PRODUCTION)
THREE["spec"]["jobTemplate"]["metadata"] = {"labels": served("idle")}
DEPLOYMENT = at("Deployment", "serves")
WORKLOAD_ROWS = [
    *(Row("serving-workloads", f"{kind} created", new(kind, PRODUCTION), NOT, MAY, "may not create what serves stage production of fraud") for kind in WORKLOADS),
    *(Row("serving-workloads", f"{kind} with labels in its template", new(kind, pods=PRODUCTION), NOT, MAY) for kind in WORKLOADS),
    Row("serving-workloads", "labels of a CronJob's Jobs", json_patch(at("CronJob", "plain"), ("add", "/spec/jobTemplate/metadata", {"labels": PRODUCTION})), NOT, MAY),
    Row("serving-workloads", "labels in the template of another model", new("Deployment", pods=served("production", "other")), "fred", "rita"),
    Row("serving-workloads", "two stages: both rights", new("Deployment", served("staging"), PRODUCTION), "dora stan", "fred rita"),
    Row("serving-workloads", "three stages", create(plural_path(THREE), THREE), "dora rita admin", says="one stage of one model"),
    *(Row("serving-workloads", f"labels put on a {kind}", merge(at(kind, "plain"), labelled(stage="production", model="fraud")), NOT, MAY) for kind in WORKLOADS),
    *(Row("serving-workloads", f"labels put into the template of a {kind}", merge(at(kind, "plain"), template(metadata={"labels": PRODUCTION})), NOT, MAY) for kind in ("Deployment", "DaemonSet", "StatefulSet", "ReplicationController")),
    Row("serving-workloads", "label removed", json_patch(DEPLOYMENT, ("remove", STAGE)), NOT, MAY),
    Row("serving-workloads", "managed-by changed", merge(DEPLOYMENT, {"metadata": {"labels": {"app.kubernetes.io/managed-by": "me"}}}), NOT, MAY),
    Row("serving-workloads", "kubectl set image", strategic(DEPLOYMENT, template(spec=container(image="other"))), NOT, MAY),
    Row("serving-workloads", "kubectl set env", strategic(DEPLOYMENT, template(spec=container(env=[{"name": "A", "value": "b"}]))), NOT, MAY),
    Row("serving-workloads", "kubectl rollout restart", strategic(DEPLOYMENT, template(**RESTARTED)), NOT, MAY),
    Row("serving-workloads", "kubectl rollout pause", merge(DEPLOYMENT, {"spec": {"paused": True}}), NOT, MAY),
    Row("serving-workloads", "replicas", merge(DEPLOYMENT, {"spec": {"replicas": 0}}), NOT, MAY),
    Row("serving-workloads", "replicas of a ReplicaSet", merge(at("ReplicaSet", "serves"), {"spec": {"replicas": 0}}), NOT, MAY),
    Row("serving-workloads", "owner", merge(DEPLOYMENT, OWNER), NOT, MAY),
    Row("serving-workloads", "by replacement", put(DEPLOYMENT, lambda body: body["spec"].update(replicas=0)), NOT, MAY),
    Row("serving-workloads", "foreign labels, annotations, finalizers", merge(DEPLOYMENT, FOREIGN), allowed="dora unnamed"),
    Row("serving-workloads", "status", merge(at("Deployment", "serves", "status"), {"status": {"observedGeneration": 1}}), allowed="dora"),
    Row("serving-workloads", "deleted", delete(DEPLOYMENT), allowed="dora"),
    *(Row("serving-workloads", f"a {kind} that serves nothing", new(kind), allowed="dora") for kind in WORKLOADS),
    Row("serving-workloads", "a Deployment that serves nothing scaled", merge(at("Deployment", "plain"), {"spec": {"replicas": 0}}), allowed="dora"),
]  # fmt: skip

NONE = {"spec": {"replicas": 0}}


def forged(body: Manifest) -> None:
    """A Scale that says that it scales something else."""
    body["spec"]["replicas"] = 0
    body["status"]["selector"] = "app=other"


SCALE_ROWS = [
    *(Row("serving-scale", f"{kind} scaled", merge(at(kind, "serves", "scale"), NONE), NOT, f"{MAY} op", "what serves stage production of fraud") for kind in SCALED),
    *(Row("serving-scale", f"{kind} scaled with a forged selector", put(at(kind, "serves", "scale"), forged), NOT, "rita") for kind in SCALED),
    *(Row("serving-scale", f"another {kind} scaled", merge(at(kind, "plain", "scale"), NONE), allowed="dora") for kind in SCALED),
]  # fmt: skip


def targets(deployment: str) -> Manifest:
    return {"spec": {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": deployment}}}


HPA, SLICE = at("HorizontalPodAutoscaler", "plain"), at("EndpointSlice", "plain")
# Names of four stages in one object: more than one expression could ask about.
FOUR = workload("HorizontalPodAutoscaler", "fraud-staging", {"kubernetes.io/service-name": "fraud-production"})
FOUR["spec"]["scaleTargetRef"]["name"] = "fraud-idle-v1"
NAMES_ROWS = [
    *(Row("names", f"{kind} named {name}", new(kind, name=name), NOT, MAY, "names that begin with fraud-production") for kind in ("Service", "Deployment", "PodDisruptionBudget") for name in ("fraud-production", "fraud-production-v1")),
    Row("names", "Service under staging's name", new("Service", name="fraud-staging"), "dora", "stan fred rita"),
    Row("names", "Service under another model's name", new("Service", name="other-production"), "dora stan fred", "rita"),
    Row("names", "by server-side apply", apply(plural_path(workload("Service", "x"), "fraud-production"), workload("Service", "fraud-production")), NOT, MAY),
    Row("names", "autoscaler of a stage's Deployment", merge(HPA, targets("fraud-production-v1-0a0a0a0a")), NOT, MAY),
    Row("names", "EndpointSlice of a stage's Service", merge(SLICE, {"metadata": {"labels": {"kubernetes.io/service-name": "fraud-production"}}}), NOT, MAY),
    Row("names", "EndpointSlice created for a stage's Service", new("EndpointSlice", {"kubernetes.io/service-name": "fraud-production"}), NOT, MAY),
    Row("names", "several stages at once", create(plural_path(FOUR), FOUR), "dora stan fred", "rita admin"),
    *(Row("names", f"Service named {name}, which is no stage", new("Service", name=name), allowed="dora") for name in ("fraud-productions", "my-fraud-production", "fraud", "fraud-prod")),
    Row("names", "autoscaler of another Deployment", merge(HPA, targets("elsewhere-2")), allowed="dora"),
]  # fmt: skip

ROWS = SERVING + WORKLOAD_ROWS + SCALE_ROWS + NAMES_ROWS
