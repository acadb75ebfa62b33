"""Cases of the fence around the operator's account: its own objects pass, harmful ones do not."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial
from typing import Any

from modelyard.kube.pods import POD_SECURITY
from tests.chart.api import RUNS, Manifest, path_of
from tests.chart.policies.objects import FRAUD, SPACE, TRAFFIC, plural_path, training_run
from tests.chart.policies.row import (
    Request,
    Row,
    apply,
    create,
    delete,
    json_patch,
    merge,
    strategic,
)
from tests.chart.policies.serving import at
from tests.golden.cases import CASES

__all__ = ["ROWS"]

fence = partial(Row, "operator-fence")
BUILT = {name: objects for name, objects in CASES.items() if name != "training/long-name"}


def applied(manifest: Manifest) -> Request:
    """Return a request that applies an object as the operator does."""
    return apply(plural_path(manifest, manifest["metadata"]["name"]), manifest)


def picked(name: str, kind: str) -> Manifest:
    """Return a copy of an object that the operator creates."""
    return copy.deepcopy(next(each for each in CASES[name] if each["kind"] == kind))


JOB, SERVICE, CONFIG = (
    picked("training/xgboost", "Job"),
    picked("serving/plain", "Service"),
    picked("training/xgboost", "ConfigMap"),
)


def changed(manifest: Manifest, change: Callable[[Manifest], Any]) -> Request:
    out = copy.deepcopy(manifest)
    change(out)
    return applied(out)


def pod(**fields: Any) -> Request:
    """Return a request for a Job whose pods differ from ours in these fields."""
    return changed(JOB, lambda job: job["spec"]["template"]["spec"].update(fields))


def container(place: str = "containers", **fields: Any) -> Request:
    """Return a request for a Job whose containers differ from ours in these fields."""
    return changed(JOB, lambda job: job["spec"]["template"]["spec"][place][0].update(fields))


def volume(**source: Any) -> Request:
    """Return a request for a Job with one more volume."""
    return changed(
        JOB,
        lambda job: job["spec"]["template"]["spec"]["volumes"].append({"name": "more", **source}),
    )


def security(place: str = "containers", **fields: Any) -> Request:
    """Return a request for a Job whose containers have another security context."""
    return changed(
        JOB, lambda job: job["spec"]["template"]["spec"][place][0]["securityContext"].update(fields)
    )


def projected(**source: Any) -> Request:
    return volume(projected={"sources": [source]})


CRON = {
    **{key: value for key, value in JOB.items() if key not in {"kind", "spec"}},
    "kind": "CronJob",
    "spec": {
        "schedule": "1 2 3 4 5",
        "jobTemplate": {
            "spec": {
                "template": {
                    "spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]}
                }
            }
        },
    },
}
UNCONFINED = {"type": "Unconfined"}
METADATA = {"host": "169.254.169.254", "port": 80}


def unconfined(job: Manifest) -> None:
    meta = job["spec"]["template"].setdefault("metadata", {})
    meta.setdefault("annotations", {})["container.apparmor.security.beta.kubernetes.io/trainer"] = (
        "unconfined"
    )


TOKENS, NODE, RESTRICTED, SECRETS = (
    "no service account token",
    "path or device of the node",
    "level restricted",
    "may read only the Secrets",
)
TEMPLATES = [
    ("a token", pod(automountServiceAccountToken=True), TOKENS),
    (
        "no word about the token",
        changed(
            JOB, lambda job: job["spec"]["template"]["spec"].pop("automountServiceAccountToken")
        ),
        TOKENS,
    ),
    ("a service account", pod(serviceAccountName="other"), TOKENS),
    ("a service account by its old name", pod(serviceAccount="other"), TOKENS),
    ("a node's name", pod(nodeName="n1"), TOKENS),
    ("the node's network", pod(hostNetwork=True), NODE),
    ("the node's processes", pod(hostPID=True), NODE),
    ("the node's shared memory", pod(hostIPC=True), NODE),
    ("a path of the node", volume(hostPath={"path": "/"}), NODE),
    ("a driver's volume", volume(csi={"driver": "example.com"}), NODE),
    ("a share", volume(nfs={"server": "a", "path": "/"}), NODE),
    ("a projected token", projected(serviceAccountToken={"path": "token"}), NODE),
    ("privileges", security(privileged=True, allowPrivilegeEscalation=True), RESTRICTED),
    (
        "privileges of an init container",
        security("initContainers", privileged=True, allowPrivilegeEscalation=True),
        RESTRICTED,
    ),
    ("escalation", security(allowPrivilegeEscalation=True), RESTRICTED),
    (
        "no word about escalation",
        container(securityContext={"capabilities": {"drop": ["ALL"]}}),
        RESTRICTED,
    ),
    (
        "a capability",
        security(capabilities={"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]}),
        RESTRICTED,
    ),
    ("capabilities that are kept", security(capabilities={}), RESTRICTED),
    (
        "root",
        pod(securityContext={"runAsNonRoot": False, "seccompProfile": {"type": "RuntimeDefault"}}),
        RESTRICTED,
    ),
    ("root in a container", security(runAsNonRoot=False), RESTRICTED),
    ("no seccomp profile", pod(securityContext={"runAsNonRoot": True}), RESTRICTED),
    ("no seccomp profile in a container", security(seccompProfile=UNCONFINED), RESTRICTED),
    ("root by its number", pod(securityContext=POD_SECURITY | {"runAsUser": 0}), RESTRICTED),
    ("root by its number in a container", security(runAsUser=0), RESTRICTED),
    (
        "another SELinux type",
        pod(securityContext=POD_SECURITY | {"seLinuxOptions": {"type": "spc_t"}}),
        RESTRICTED,
    ),
    (
        "another SELinux type in a container",
        security("initContainers", seLinuxOptions={"type": "spc_t"}),
        RESTRICTED,
    ),
    (
        "no AppArmor profile",
        pod(securityContext=POD_SECURITY | {"appArmorProfile": UNCONFINED}),
        RESTRICTED,
    ),
    ("no AppArmor profile in a container", security(appArmorProfile=UNCONFINED), RESTRICTED),
    ("no AppArmor profile by the old annotation", changed(JOB, unconfined), RESTRICTED),
    (
        "a sysctl",
        pod(securityContext=POD_SECURITY | {"sysctls": [{"name": "kernel.msgmax", "value": "1"}]}),
        RESTRICTED,
    ),
    ("a probe of another host", container(livenessProbe={"httpGet": METADATA}), RESTRICTED),
    (
        "a hook that asks another host",
        container(lifecycle={"postStart": {"httpGet": METADATA}}),
        RESTRICTED,
    ),
    (
        "a claim of a device",
        pod(resourceClaims=[{"name": "a", "resourceClaimName": "b"}]),
        "no resource claims",
    ),
    ("a priority", pod(priorityClassName="system-node-critical"), "no priority"),
    ("a runtime", pod(runtimeClassName="unsafe"), "no runtime class"),
    ("a port of the node", container(ports=[{"containerPort": 80, "hostPort": 80}]), RESTRICTED),
    (
        "another Secret as environment",
        container(envFrom=[{"secretRef": {"name": "other"}}]),
        SECRETS,
    ),
    (
        "a key of another Secret",
        container(
            env=[{"name": "A", "valueFrom": {"secretKeyRef": {"name": "other", "key": "a"}}}]
        ),
        SECRETS,
    ),
    ("a volume of another Secret", volume(secret={"secretName": "other"}), SECRETS),
    (
        "a signing key as environment",
        container(envFrom=[{"secretRef": {"name": "modelyard-signing"}}]),
        SECRETS,
    ),
    ("a projected signing key", projected(secret={"name": "modelyard-signing"}), SECRETS),
    ("a projected other Secret", projected(secret={"name": "other"}), SECRETS),
    ("a CronJob's pods", applied(CRON), TOKENS),
]
OWN = "whose controller is one of modelyard's kinds"
REFERENCE = CONFIG["metadata"]["ownerReferences"][0]


def owner(*references: Manifest) -> Request:
    return changed(CONFIG, lambda body: body["metadata"].update(ownerReferences=list(references)))


def placed(namespace: str) -> Request:
    return changed(CONFIG, lambda body: body["metadata"].update(namespace=namespace))


def service(**fields: Any) -> Request:
    return changed(SERVICE, lambda body: body["spec"].update(fields))


def told(rule: str | None) -> Manifest:
    return {"metadata": {"annotations": {TRAFFIC: rule}}}


SPEC, TYPE, PODS = "never a spec", "of type ClusterIP", "and only of pods that serve a stage"
ANNOTATED = {"metadata": {"annotations": {"example.com/a": "b"}}}
ROWS = [
    *(
        fence(f"{name}: its {each['kind']}", applied(each), allowed="op")
        for name, objects in BUILT.items()
        for each in objects
    ),
    *(fence(f"pods with {what}", request, "op", says=says) for what, request, says in TEMPLATES),
    fence("no owner", owner(), "op", says=OWN),
    fence("an owner of another group", owner(REFERENCE | {"apiVersion": "example.com/v1"}), "op",
        says=OWN),
    fence("an owner that is no controller", owner(REFERENCE | {"controller": False}), "op",
        says=OWN),
    *(fence(f"an object in {name}", placed(name), "op", says="system's namespaces")
        for name in ("kube-system", "kube-public", "modelyard-system")),
    *(fence(f"another's {kind} changed", merge(at(kind, "plain"), ANNOTATED), "op", says=OWN)
        for kind in ("Deployment", "Service", "Job")),
    fence("another's Deployment deleted", delete(at("Deployment", "plain")), "op", says=OWN),
    fence("another's Service taken over",
        merge(at("Service", "plain"), {"metadata": {"ownerReferences": [REFERENCE]}}), "op",
        says=OWN),
    fence("a Service of type NodePort", service(type="NodePort"), "op", says=TYPE),
    fence("a Service with external addresses", service(externalIPs=["1.2.3.4"]), "op", says=TYPE),
    fence("a Service that selects anything", service(selector={"app": "other"}), "op", says=TYPE),
    fence("a TrainingRun created", create(path_of(RUNS, SPACE), training_run("new")), "op",
        says=SPEC),
    fence("a TrainingRun deleted", delete(path_of(RUNS, SPACE, "plain")), "op", says=SPEC),
    fence("a spec changed", merge(FRAUD, {"spec": {"description": "x"}}), "op", says=SPEC),
    fence("metadata of ours",
        json_patch(FRAUD, ("add", "/metadata/finalizers", ["modelyard.io/external-cleanup"])),
        allowed="op"),
    *(fence(f"what a Pod that serves is told: {what}", merge(at("Pod", name), told(rule)),
        allowed="op") for what, name, rule in (("first", "serves", "{}"), ("another", "told", "{}"),
        ("no longer", "told", None), ("nothing, which it never was", "serves", None))),
    *(fence(f"what a Pod is told that serves nothing: {what}", merge(at("Pod", name), told(rule)),
        "op", says=PODS) for what, name, rule in (("first", "plain", "{}"), ("another", "marked",
            "{}"),
        ("no longer", "marked", None))),
    *(fence(f"besides what a Pod that serves is told: {what}", strategic(at("Pod", "told"), change),
        "op", says=PODS) for what, change in {
            "another annotation": ANNOTATED,
            "another annotation with it": {"metadata": {"annotations": {TRAFFIC: "{}", "a": "b"}}},
            "an annotation changed": {"metadata": {"annotations": {"cni.example.com/ip": "2"}}},
            "an annotation removed": {"metadata": {"annotations": {"cni.example.com/ip": None}}},
            "all annotations removed": {"metadata": {"annotations": None}},
            "a label": {"metadata": {"labels": {"a": "b"}}},
            "the stage's label": {"metadata": {"labels": {"modelyard.io/stage": "staging"}}},
            "a finalizer": {"metadata": {"finalizers": ["a.b/c"]}},
            "an owner": {"metadata": {"ownerReferences": [REFERENCE]}},
            "its image": {"spec": {"containers": [{"name": "c", "image": "other"}]}},
            "its deadline": {"spec": {"activeDeadlineSeconds": 1}},
        }.items()),
    fence("what others do", merge(at("Deployment", "plain"), ANNOTATED), allowed="dora admin"),
]  # fmt: skip
