"""All built objects compared with golden files, and rules for every pod."""

from copy import deepcopy
from typing import Any

import pytest

from modelyard.api.wire import RULE_FOLDER
from modelyard.kube.names import UID_LABEL
from modelyard.plan import Manifest
from tests.golden.cases import CASES, PODS
from tests.golden.conftest import FILES, Golden
from tests.golden.restricted import violations

OBJECTS = [
    pytest.param(manifest, id=f"{name}/{manifest['kind']}")
    for name, built in CASES.items()
    for manifest in built
]


@pytest.mark.parametrize("name", CASES)
def test_what_is_built(name: str, golden: Golden):
    golden(name, CASES[name])


def test_no_golden_file_is_left_over():
    assert {
        path.relative_to(FILES).with_suffix("").as_posix() for path in FILES.rglob("*.yaml")
    } == set(CASES)


@pytest.mark.parametrize("pod", PODS.values(), ids=PODS)
def test_every_pod_meets_pod_security_restricted(pod: dict[str, Any]):
    assert violations(pod) == []


@pytest.mark.parametrize("pod", PODS.values(), ids=PODS)
def test_every_pod_is_closed(pod: dict[str, Any]):
    """No token, no neighbours' addresses in the environment, nothing to write but two empty
    folders, an end to what it may take.
    """
    assert pod["automountServiceAccountToken"] is False
    assert pod["enableServiceLinks"] is False
    assert [volume["name"] for volume in pod["volumes"] if "emptyDir" in volume] == [
        "tmp",
        "modelyard",
    ]
    assert all(
        volume["emptyDir"].get("sizeLimit") for volume in pod["volumes"] if "emptyDir" in volume
    )
    containers = [*pod.get("initContainers", []), *pod["containers"]]
    assert all("memory" in container["resources"]["limits"] for container in containers)
    ours = [container for container in containers if "modelyard/runtime" in container["image"]]
    for container in ours:
        assert container["securityContext"]["readOnlyRootFilesystem"] is True


def test_only_what_fetches_or_trains_and_a_users_gate_get_the_connection():
    """That of the pods, where the namespace has one; what reads a model or sends requests gets
    the keys of S3 by name, nothing else.
    """
    for name, pod in PODS.items():
        secret = (
            "modelyard-connection-pods"
            if name.split("/")[1] in {"everything", "smoke-s3"}
            else "modelyard-connection"
        )
        for container in pod.get("initContainers", []) + pod["containers"]:
            opened = container.get("envFrom") == [{"secretRef": {"name": secret}}]
            reads = (
                container["name"] == "fetch"
                or name in {"gates/signed/Job", "gates/again/Job"}
                or name.startswith("gates/smoke")
            )
            assert opened == (container["name"] != "model" and not reads), (name, container["name"])
            keys = [
                each["valueFrom"]["secretKeyRef"]
                for each in container.get("env", ())
                if "valueFrom" in each
            ]
            assert {key["name"] for key in keys} == ({secret} if reads else set())
            assert all(
                key["key"].startswith(("AWS_", "MLFLOW_S3_", "MODELYARD_"))
                or key["key"].endswith("_PROXY")
                for key in keys
            )


def test_only_what_serves_sees_how_it_splits_and_only_one_annotation():
    """What fetches has the keys of S3 and no business with traffic; no other volume tells a pod
    of itself.
    """
    for name, pod in PODS.items():
        volumes = {
            each["name"]: each["downwardAPI"] for each in pod["volumes"] if "downwardAPI" in each
        }
        fields = [
            item["fieldRef"]["fieldPath"] for volume in volumes.values() for item in volume["items"]
        ]
        assert fields == ["metadata.annotations['modelyard.io/traffic']"] * name.startswith(
            "serving/"
        ), name
        mounts = {
            container["name"]: (mount["mountPath"], mount.get("readOnly"))
            for container in [*pod.get("initContainers", []), *pod["containers"]]
            for mount in container["volumeMounts"]
            if mount["name"] in volumes
        }
        assert mounts == ({"model": (RULE_FOLDER, True)} if volumes else {}), name


def test_only_a_trainer_that_signs_gets_a_key_and_only_that_one():
    """As a file that its user may read, and no environment: a process that it starts does not
    inherit it.
    """
    for name, pod in PODS.items():
        volumes = {
            volume["name"]: volume["secret"] for volume in pod["volumes"] if "secret" in volume
        }
        assert set(volumes) == ({"signing"} if name == "training/signed/Job" else set())
        for volume in volumes.values():
            assert (len(volume["items"]), volume["defaultMode"], volume["secretName"]) == (
                1,
                0o440,
                "modelyard-signing-fraud",
            )
        for container in pod.get("initContainers", []) + pod["containers"]:
            mounted = any(
                mount["name"] in volumes and mount["readOnly"]
                for mount in container["volumeMounts"]
            )
            assert mounted == (bool(volumes) and container["name"] == "trainer")


@pytest.mark.parametrize("manifest", OBJECTS)
def test_every_object_belongs_to_its_owner(manifest: Manifest):
    (reference,) = manifest["metadata"]["ownerReferences"]
    assert reference["controller"] is True
    assert manifest["metadata"]["labels"][UID_LABEL] == reference["uid"]
    assert manifest["metadata"]["namespace"] == "risk"


@pytest.mark.parametrize("manifest", OBJECTS)
def test_what_selects_pods_selects_those_of_one_identity_of_one_stage_of_one_model(
    manifest: Manifest,
):
    selector = manifest.get("spec", {}).get("selector")
    if selector is None:
        return
    labels = selector.get("matchLabels", selector)
    assert set(labels) == {
        "modelyard.io/uid",
        "modelyard.io/model",
        "modelyard.io/stage",
        "modelyard.io/identity",
    }
    template = manifest["spec"].get("template")
    assert template is None or labels.items() <= template["metadata"]["labels"].items()


BREAKING = {
    "hostNetwork is set": lambda pod: pod.update(hostNetwork=True),
    "the volume disk is a hostPath": lambda pod: pod["volumes"].append(
        {"name": "disk", "hostPath": {"path": "/"}}
    ),
    "sysctls are set": lambda pod: pod["securityContext"].update(
        sysctls=[{"name": "kernel.msgmax"}]
    ),
    "trainer: is privileged": lambda pod: pod["containers"][0]["securityContext"].update(
        privileged=True
    ),
    "trainer: may gain privileges": lambda pod: pod["containers"][0]["securityContext"].pop(
        "allowPrivilegeEscalation"
    ),
    "data: may be root": lambda pod: pod["initContainers"][0]["securityContext"].update(
        runAsNonRoot=False
    ),
    "data: is root": lambda pod: pod["initContainers"][0]["securityContext"].update(runAsUser=0),
    "trainer: keeps capabilities": lambda pod: pod["containers"][0]["securityContext"].update(
        capabilities={}
    ),
    "trainer: adds capabilities": lambda pod: pod["containers"][0]["securityContext"][
        "capabilities"
    ].update(add=["SYS_ADMIN"]),
    "trainer: has no seccomp profile": lambda pod: pod["securityContext"].pop("seccompProfile"),
    "trainer: sees all of /proc": lambda pod: pod["containers"][0]["securityContext"].update(
        procMount="Unmasked"
    ),
    "trainer: takes a port of the host": lambda pod: pod["containers"][0].update(
        ports=[{"containerPort": 1, "hostPort": 1}]
    ),
}


@pytest.mark.parametrize("violation", BREAKING)
def test_the_check_sees_each_safeguard_that_is_missing(violation: str):
    pod = deepcopy(PODS["training/xgboost/Job"])
    BREAKING[violation](pod)
    assert violation in violations(pod)
