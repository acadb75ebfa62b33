"""Cases of the policies on objects that serve: serving, serving-workloads, serving-scale, names."""

from __future__ import annotations

from functools import partial
from typing import Any

from modelyard.kube.names import serving_name, version_workload
from tests.chart.api import Manifest
from tests.chart.policies.objects import LONG, TRAFFIC, plural_path, served, workload
from tests.chart.policies.row import (
    Row,
    apply,
    create,
    delete,
    generate,
    json_patch,
    merge,
    put,
    strategic,
)

__all__ = ["ROWS"]

# Accounts that may promote production of `fraud` or are controllers; and accounts that may not.
NOT, MAY = "dora stan unnamed", "fred rita admin named"
MACHINERY = "replicasets hpa scheduler manager"
serving, workloads, scale, names = (
    partial(Row, policy) for policy in ("serving", "serving-workloads", "serving-scale", "names")
)
LABELLED = (
    "Pod",
    "Service",
    "ControllerRevision",
    "PodDisruptionBudget",
    "HorizontalPodAutoscaler",
    "EndpointSlice",
)
WORKLOADS = (
    "Deployment",
    "ReplicaSet",
    "StatefulSet",
    "DaemonSet",
    "Job",
    "CronJob",
    "ReplicationController",
)
SCALED = ("Deployment", "ReplicaSet", "StatefulSet", "ReplicationController")
STAGE = "/metadata/labels/modelyard.io~1stage"
OWNER = {
    "metadata": {
        "ownerReferences": [{"apiVersion": "v1", "kind": "ConfigMap", "name": "a", "uid": "b"}]
    }
}


GATE = {
    "modelyard.io/uid": "uid-of-fraud",
    "modelyard.io/model": "fraud",
    "modelyard.io/stage": "production",
    "modelyard.io/gate": "tests",
}
"""The labels of a gate's Job, whose exit code the operator trusts."""


def at(kind: str, name: str, subresource: str = "") -> str:
    """Return the path of an existing object: `serves` or `plain`."""
    path = plural_path(workload(kind, "x"), f"{name}-{kind.lower()}")
    return f"{path}/{subresource}" if subresource else path


def annotated(
    kind: str, labels: dict[str, str] | None = None, pods: dict[str, str] | None = None
) -> Any:
    """Return a creation of an object whose pods would start with a traffic rule; a Pod is one
    itself.
    """
    body = workload(kind, "new", labels, pods)
    spec = body["spec"]
    made = {
        "Pod": body,
        "CronJob": spec.get("jobTemplate", {}).get("spec", {}).get("template"),
    }.get(kind) or spec["template"]
    made["metadata"] = made.get("metadata", {}) | {"annotations": {TRAFFIC: "{}"}}
    return create(plural_path(body), body)


def new(
    kind: str,
    labels: dict[str, str] | None = None,
    pods: dict[str, str] | None = None,
    name: str = "new",
) -> Any:
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
TOLD, UNTOLD = ({"metadata": {"annotations": {TRAFFIC: rule}}} for rule in ('{"weight":100}', None))
ALONE = "only the operator may set the annotation modelyard.io/traffic"
FOREIGN = {
    "metadata": {
        "labels": {"team": "a"},
        "annotations": {"cni.example.com/ip": "1"},
        "finalizers": ["a.b/c"],
    }
}

SPLIT = (("first", "serves", ""), ("otherwise", "told", ""), ("by its status", "serves", "status"))

SERVING = [
    *(serving(f"{kind} created", new(kind, PRODUCTION), NOT, f"{MAY} {MACHINERY} gitops",
        "may not create objects that serve stage production of fraud") for kind in LABELLED),
    serving("created by server-side apply",
        apply(plural_path(workload("Service", "x"), "new"), workload("Service", "new", PRODUCTION)),
        NOT, MAY),
    serving("name made up",
        generate(plural_path(workload("Pod", "x")), workload("Pod", "", PRODUCTION)), NOT, MAY),
    serving("Pod created not as a dry run", new("Pod", PRODUCTION).real(), NOT),
    serving("Pod with another model's label", new("Pod", served("production", "other")),
        "fred stan", "rita"),
    serving("Pod without a model's label", new("Pod", served("production", None)), "fred stan",
        "rita"),
    serving("Pod of staging", new("Pod", served("staging")), "dora", "stan fred rita"),
    serving("mirror Pod by a node", new("Pod", PRODUCTION), "node"),
    *(serving(f"labels put on a {kind}",
        merge(at(kind, "plain"), labelled(stage="production", model="fraud")), NOT, MAY)
        for kind in ("Pod", "EndpointSlice")),
    serving("labels put on a Service",
        strategic(at("Service", "plain"), labelled(stage="production", model="fraud")), NOT, MAY),
    *(serving(f"label of a {kind} removed", json_patch(at(kind, "serves"), ("remove", STAGE)), NOT,
        MAY) for kind in LABELLED),
    serving("stage's label changed", merge(at("Pod", "serves"), labelled(stage="staging")),
        "dora stan", "fred rita"),
    serving("identity's label changed", merge(at("Pod", "serves"), labelled(identity="0b0b0b0b")),
        NOT, MAY),
    serving("managed-by changed",
        merge(at("Service", "serves"),
        {"metadata": {"labels": {"app.kubernetes.io/managed-by": "me"}}}), NOT, MAY),
    serving("owner changed", merge(at("Pod", "serves"), OWNER), NOT, MAY),
    serving("image of a Pod", strategic(at("Pod", "serves"), {"spec": container(image="other")}),
        NOT, MAY),
    serving("selector of a Service",
        merge(at("Service", "serves"), {"spec": {"selector": {"app": "mine"}}}), NOT, MAY),
    serving("Service by replacement",
        put(at("Service", "serves"), lambda body: body["spec"]["selector"].update(app="mine")), NOT,
        MAY),
    serving("external addresses of a Service",
        json_patch(at("Service", "serves"), ("add", "/spec/externalIPs", ["1.2.3.4"])), NOT, MAY),
    serving("target of an autoscaler",
        merge(at("HorizontalPodAutoscaler", "serves"), {"spec": {"maxReplicas": 9}}), NOT, MAY),
    serving("budget", merge(at("PodDisruptionBudget", "serves"), {"spec": {"maxUnavailable": 0}}),
        NOT, MAY),
    serving("addresses of an EndpointSlice",
        merge(at("EndpointSlice", "serves"), {"endpoints": [{"addresses": ["10.0.0.2"]}]}), NOT,
        MAY),
    serving("number of a ControllerRevision",
        merge(at("ControllerRevision", "serves"), {"revision": 9}), NOT, MAY),
    serving("ephemeral container", strategic(at("Pod", "serves", "ephemeralcontainers"), EPHEMERAL),
        NOT, MAY),
    serving("resize", strategic(at("Pod", "serves", "resize"), {"spec": container(resources=MORE)}),
        NOT, MAY),
    serving("our labels by a Pod's status",
        merge(at("Pod", "serves", "status"), labelled(stage="staging")), NOT, "rita"),
    serving("our labels by a Service's status",
        merge(at("Service", "serves", "status"), labelled(stage=None)), NOT, "rita"),
    *(serving(f"our labels by the status of a {kind}",
        merge(at(kind, "serves", "status"), labelled(stage="staging")), NOT, "rita")
        for kind in ("PodDisruptionBudget", "HorizontalPodAutoscaler")),
    *(serving(f"our labels by the status of another {kind}",
        merge(at(kind, "plain", "status"), labelled(stage="production", model="fraud")), NOT,
        "rita hpa") for kind in ("PodDisruptionBudget", "HorizontalPodAutoscaler")),
    *(serving(f"owner by the status of a {kind}", merge(at(kind, "serves", "status"), OWNER), NOT,
        "rita") for kind in ("Service", "PodDisruptionBudget", "HorizontalPodAutoscaler")),
    serving("our labels by the status of another Pod",
        merge(at("Pod", "plain", "status"), labelled(stage="production", model="fraud")), NOT,
        "rita"),
    *(serving(f"foreign labels, annotations, finalizers of a {kind}",
        merge(at(kind, "serves"), FOREIGN), allowed="dora unnamed") for kind in LABELLED),
    serving("status of a Pod",
        merge(at("Pod", "serves", "status"), {"status": {"phase": "Running"}}),
        allowed="dora node"),
    serving("labels of a Pod by a node", merge(at("Pod", "serves"), labelled(identity="0b0b0b0b")),
        allowed="node"),
    *(serving(f"how a Pod splits, {what}", merge(at("Pod", name, part), TOLD), NOT, "op",
        "may not change objects that serve stage production of fraud") for what, name,
            part in SPLIT),
    *(serving(f"how a Pod splits, {what}, with the right to promote",
        merge(at("Pod", name, part), TOLD), "fred rita admin gitops", f"named {MACHINERY} node",
        ALONE) for what, name, part in SPLIT),
    *(serving(f"that a Pod splits no longer{part and ', by its ' + part}",
        merge(at("Pod", "told", part), UNTOLD), NOT, f"{MAY} {MACHINERY} op") for part in ("",
            "status")),
    serving("Pod created that splits", annotated("Pod", PRODUCTION), "fred rita admin",
        "replicasets", ALONE),
    serving("labels put on a Pod that is to split",
        merge(at("Pod", "marked"), labelled(stage="production", model="fraud")), "fred rita admin",
        "replicasets", ALONE),
    serving("labels of a Pod that splits", merge(at("Pod", "told"), labelled(identity="0b0b0b0b")),
        NOT, MAY),
    serving("label of a Pod that splits removed", json_patch(at("Pod", "told"), ("remove", STAGE)),
        NOT, MAY),
    serving("foreign labels, annotations, finalizers of a Pod that splits",
        merge(at("Pod", "told"), FOREIGN), allowed="dora unnamed"),
    serving("that annotation on a Pod that serves nothing", merge(at("Pod", "plain"), TOLD),
        allowed="dora"),
    *(serving(f"{kind} deleted", delete(at(kind, "serves")), allowed="dora unnamed")
        for kind in LABELLED),
    serving("Pod evicted",
        create(at("Pod", "serves", "eviction"),
        {"apiVersion": "policy/v1", "kind": "Eviction",
        "metadata": {"name": "serves-pod", "namespace": "risk"}}), allowed="dora"),
    *(serving(f"a {kind} that serves nothing", new(kind), allowed="dora") for kind in LABELLED),
]  # fmt: skip

THREE = workload("CronJob", "new", served("staging"), PRODUCTION)
THREE["spec"]["jobTemplate"]["metadata"] = {"labels": served("idle")}
DEPLOYMENT = at("Deployment", "serves")
SPLITS = "pods must not be created with the annotation modelyard.io/traffic"
WORKLOAD_ROWS = [
    *(workloads(f"{kind} created", new(kind, PRODUCTION), NOT, f"{MAY} {MACHINERY} gitops",
        "may not create objects that serve stage production of fraud") for kind in WORKLOADS),
    *(workloads(f"{kind} with labels in its template", new(kind, pods=PRODUCTION), NOT, MAY)
        for kind in WORKLOADS),
    workloads("Job of a gate created", new("Job", GATE, GATE), NOT, MAY,
        "may not create objects that serve stage production of fraud"),
    workloads("Job of a gate applied", apply(plural_path(workload("Job", "x"), "new"),
        workload("Job", "new", GATE, GATE)), NOT, MAY),
    workloads("labels of a gate put on a Job", merge(at("Job", "plain"),
        {"metadata": {"labels": GATE}}),
        NOT, MAY),
    workloads("labels of a CronJob's Jobs",
        json_patch(at("CronJob", "plain"),
        ("add", "/spec/jobTemplate/metadata", {"labels": PRODUCTION})), NOT, MAY),
    workloads("labels in the template of another model",
        new("Deployment", pods=served("production", "other")), "fred", "rita"),
    workloads("two stages: both rights", new("Deployment", served("staging"), PRODUCTION),
        "dora stan", "fred rita"),
    workloads("three stages", create(plural_path(THREE), THREE), "dora rita admin",
        says="labels of one stage of one model"),
    *(workloads(f"labels put on a {kind}",
        merge(at(kind, "plain"), labelled(stage="production", model="fraud")), NOT, MAY)
        for kind in WORKLOADS),
    *(workloads(f"labels put into the template of a {kind}",
        merge(at(kind, "plain"), template(metadata={"labels": PRODUCTION})), NOT, MAY)
        for kind in ("Deployment", "DaemonSet", "StatefulSet", "ReplicationController")),
    *(workloads(f"a {kind} whose Pods are to split", annotated(kind, pods=PRODUCTION),
        "dora fred rita admin", "named replicasets manager", SPLITS) for kind in WORKLOADS),
    workloads("how Pods of a Deployment are to split",
        merge(DEPLOYMENT, template(metadata=TOLD["metadata"])), "dora fred rita admin", "named",
            SPLITS),
    *(workloads(f"a {kind} that serves nothing, whose Pods have that annotation", annotated(kind),
        allowed="dora") for kind in WORKLOADS),
    workloads("label removed", json_patch(DEPLOYMENT, ("remove", STAGE)), NOT, MAY),
    workloads("managed-by changed",
        merge(DEPLOYMENT, {"metadata": {"labels": {"app.kubernetes.io/managed-by": "me"}}}), NOT,
        MAY),
    workloads("kubectl set image", strategic(DEPLOYMENT, template(spec=container(image="other"))),
        NOT, MAY),
    workloads("kubectl set env",
        strategic(DEPLOYMENT, template(spec=container(env=[{"name": "A", "value": "b"}]))), NOT,
        MAY),
    workloads("kubectl rollout restart", strategic(DEPLOYMENT, template(**RESTARTED)), NOT, MAY),
    workloads("kubectl rollout pause", merge(DEPLOYMENT, {"spec": {"paused": True}}), NOT, MAY),
    workloads("replicas", merge(DEPLOYMENT, {"spec": {"replicas": 0}}), NOT, MAY),
    workloads("replicas of a ReplicaSet",
        merge(at("ReplicaSet", "serves"), {"spec": {"replicas": 0}}), NOT, MAY),
    workloads("owner", merge(DEPLOYMENT, OWNER), NOT, MAY),
    workloads("by replacement", put(DEPLOYMENT, lambda body: body["spec"].update(replicas=0)), NOT,
        MAY),
    workloads("foreign labels, annotations, finalizers", merge(DEPLOYMENT, FOREIGN),
        allowed="dora unnamed"),
    *(workloads(f"our labels by the status of another {kind}",
        merge(at(kind, "plain", "status"), labelled(stage="production", model="fraud")), NOT,
        f"{MAY} {MACHINERY}") for kind in WORKLOADS if kind != "Deployment"),
    *(workloads(f"owner by the status of a {kind}", merge(at(kind, "serves", "status"), OWNER), NOT,
        MAY) for kind in SCALED),
    workloads("status",
        merge(at("Deployment", "serves", "status"), {"status": {"observedGeneration": 1}}),
        allowed="dora"),
    workloads("deleted", delete(DEPLOYMENT), allowed="dora"),
    *(workloads(f"a {kind} that serves nothing", new(kind), allowed="dora") for kind in WORKLOADS),
    workloads("a Deployment that serves nothing scaled",
        merge(at("Deployment", "plain"), {"spec": {"replicas": 0}}), allowed="dora"),
]  # fmt: skip

NONE = {"spec": {"replicas": 0}}


def forged(body: Manifest) -> None:
    """Change a Scale so that it claims to scale something else."""
    body["spec"]["replicas"] = 0
    body["status"]["selector"] = "app=other"


SCALE_ROWS = [
    *(scale(f"{kind} scaled", merge(at(kind, "serves", "scale"), NONE), NOT, f"{MAY} {MACHINERY}"
        " gitops op",
        "objects that serve stage production of fraud") for kind in SCALED),
    *(scale(f"{kind} scaled with a forged selector", put(at(kind, "serves", "scale"), forged), NOT,
        "rita") for kind in SCALED),
    *(scale(f"another {kind} scaled", merge(at(kind, "plain", "scale"), NONE), allowed="dora")
        for kind in SCALED),
]  # fmt: skip


def targets(deployment: str) -> Manifest:
    return {
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": deployment}
        }
    }


HPA, SLICE = at("HorizontalPodAutoscaler", "plain"), at("EndpointSlice", "plain")
# Names of four stages in one object: more than one expression could check.
FOUR = workload(
    "HorizontalPodAutoscaler", "fraud-staging", {"kubernetes.io/service-name": "fraud-production"}
)
FOUR["spec"]["scaleTargetRef"]["name"] = "fraud-idle-v1"
NAMES_ROWS = [
    *(names(f"{kind} named {name}", new(kind, name=name), NOT, MAY,
        "names that begin with fraud-production")
        for kind in ("Service", "Deployment", "PodDisruptionBudget")
        for name in ("fraud-production", "fraud-production-v1")),
    names("Service under staging's name", new("Service", name="fraud-staging"), "dora",
        "stan fred rita"),
    names("Service under another model's name", new("Service", name="other-production"),
        "dora stan fred", "rita"),
    names("by server-side apply",
        apply(plural_path(workload("Service", "x"), "fraud-production"),
        workload("Service", "fraud-production")), NOT, MAY),
    names("Service of a candidate",
        new("Service", name=version_workload("fraud", "production", "v2", "0a0a0a0a")), NOT, MAY),
    names("EndpointSlice of a candidate's Service", merge(SLICE, {"metadata": {"labels":
        {"kubernetes.io/service-name": version_workload("fraud", "production", "v2",
            "0a0a0a0a")}}}),
        NOT, MAY),
    names("autoscaler of a stage's Deployment", merge(HPA, targets("fraud-production-v1-0a0a0a0a")),
        NOT, MAY, "it scales fraud-production-v1-0a0a0a0a, which serves stage production of"
            " fraud: "),
    names("autoscaler that names the cure", merge(HPA, targets("fraud-production-v1")), "dora",
        "rita", "promote on registeredmodels/production in group modelyard.io. Or set "
        "serving.autoscaling of the stage"),
    names("EndpointSlice of a stage's Service",
        merge(SLICE, {"metadata": {"labels": {"kubernetes.io/service-name": "fraud-production"}}}),
        NOT, MAY, "it adds addresses to the Service fraud-production, which serves stage"
            " production"),
    names("EndpointSlice created for a stage's Service",
        new("EndpointSlice", {"kubernetes.io/service-name": "fraud-production"}), NOT, MAY),
    names("several stages at once", create(plural_path(FOUR), FOUR), "dora stan fred",
        "rita admin"),
    *(names(f"Service named {name}, which is no stage", new("Service", name=name), allowed="dora")
        for name in ("fraud-productions", "my-fraud-production", "fraud", "fraud-prod")),
    *(names(f"{what} by a shortened name", request, "dora stan fred", "rita admin",
        f"{LONG}-production" if "Deployment" in what or "Service" in what else "stage production"
            f" of {LONG}")
        for what, request in {
            "autoscaler": merge(HPA, targets(version_workload(LONG, "production", "v1",
                "0a0a0a0a"))),
            "Deployment": new("Deployment", name=version_workload(LONG, "production", "v1",
                "0a0a0a0a")),
            "Service": new("Service", name=serving_name(LONG, "production")),
            "candidate's Service": new("Service",
                name=version_workload(LONG, "production", "v1", "0a0a0a0a")),
            "EndpointSlice": new("EndpointSlice",
                {"kubernetes.io/service-name": serving_name(LONG, "production")}),
        }.items()),
    names("Service whose name is not shortened", new("Service", name=f"{LONG}-frontend"),
        allowed="dora"),
    names("autoscaler of another Deployment", merge(HPA, targets("elsewhere-2")), allowed="dora"),
]  # fmt: skip

ROWS = SERVING + WORKLOAD_ROWS + SCALE_ROWS + NAMES_ROWS
