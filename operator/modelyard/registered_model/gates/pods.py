"""Build the Job of a gate that needs pods. Pure.

Its pods have the stage's labels, by which the chart's policies guard them, but no identity label,
so that no Service of the stage selects them.
"""

import hashlib
from datetime import timedelta
from typing import Any

from modelyard.api import wire
from modelyard.api.base import parse_duration
from modelyard.api.gates import Gate, JobGate, Requests, SignedGate, SmokeGate
from modelyard.api.pods import Resources
from modelyard.api.registered_model import ServedVersion, VersionStatus
from modelyard.kube.names import (
    GATE_LABEL,
    MODEL_LABEL,
    STAGE_LABEL,
    VERSION_LABEL,
    bounded,
    gate_job,
    mlflow_model_name,
    serving_name,
)
from modelyard.kube.owned import parent_of
from modelyard.kube.pods import (
    CONTAINER_SECURITY,
    DEFAULT_STORAGE,
    POD_SECURITY,
    STORAGE,
    connection,
    env,
    labels,
    literal,
    owner,
    pull_secrets,
    resources,
    scratch_mounts,
    scratch_volumes,
    store_keys,
    store_reach,
)
from modelyard.plan import Manifest
from modelyard.registered_model import build
from modelyard.registered_model.gates.judged import hash_of
from modelyard.registered_model.view import StageView

__all__ = ["job", "job_name", "live_job", "pods_of", "timeout_of"]

_SMOKE_TIMEOUT, _SIGNED_TIMEOUT = timedelta(minutes=10), timedelta(hours=1)
"""`signed` reads the whole model once: 360 GB at 100 MB a second."""
_KEPT_SECONDS = 24 * 60 * 60
"""How long Kubernetes keeps a finished Job for its log; the operator deletes most Jobs earlier."""
_REQUESTS = "requests"


def job_name(view: StageView, gate: Gate) -> str:
    """Return the name of a gate's Job.

    The name is derived from version, runtime, gate, the stage's spec and `attempt`, so that a
    finished Job is never read as the result for another version or spec. Each verification has its
    own Jobs.
    """
    what, verification = view.subject, view.status.verification
    assert what is not None, "gates are asked about a version"
    about: tuple[str, ...] = (
        what.runtime.identity,
        hash_of(gate),
        view.spec_hash,
        str(view.attempt),
    )
    if view.round is not None:
        number = verification.attempt if verification is not None else 0
        about = (what.runtime.identity, hash_of(gate), view.round.isoformat(), str(number))
    input_hash = hashlib.sha256("\n".join(about).encode()).hexdigest()[:8]
    return gate_job(view.model.metadata.name, view.name, gate.name, input_hash)


def live_job(view: StageView, gate: Gate) -> Manifest | None:
    """Return the existing Job of a gate.

    It is recognized by its labels, which only the operator and users who may promote the stage can
    write; any user who may edit the namespace can write an owner reference. The Job of an earlier
    gate of the same name has another hash in its name.
    """
    live = view.live("Job", job_name(view, gate))
    labels = (live["metadata"].get("labels") or {}) if live is not None else {}
    ours = _labels(view, gate)
    return (
        live
        if live is not None and all(labels.get(key) == value for key, value in ours.items())
        else None
    )


def pods_of(view: StageView, live: Manifest) -> list[Manifest]:
    """Return the pods that a Job controls."""
    uid = live["metadata"]["uid"]
    parents = ((pod, parent_of(pod)) for pod in view.of_kind("Pod"))
    return [pod for pod, parent in parents if parent is not None and parent.uid == uid]


def timeout_of(gate: Gate) -> timedelta:
    """Return the time limit of one try."""
    if gate.job is not None:
        return max(parse_duration(gate.job.timeout), timedelta(seconds=1))
    return _SIGNED_TIMEOUT if gate.signed is not None else _SMOKE_TIMEOUT


def job(view: StageView, gate: Gate) -> Manifest:
    """Return the Job of a gate.

    A pod that the cluster removes (a drained node, an eviction, a preemption) is replaced without
    counting as a retry. The time limit is the pod's, not the Job's: waiting for a node or for quota
    does not count.
    """
    meta = view.model.metadata
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": job_name(view, gate),
            "namespace": meta.namespace,
            "labels": _labels(view, gate),
            "ownerReferences": owner(view.model.KIND, meta.name, meta.uid),
        },
        "spec": {
            "backoffLimit": gate.job.retries if gate.job is not None else 0,
            "ttlSecondsAfterFinished": _KEPT_SECONDS,
            "podFailurePolicy": {
                "rules": [
                    {
                        "action": "Ignore",
                        "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}],
                    }
                ]
            },
            "template": {"metadata": {"labels": _labels(view, gate)}, "spec": _pod(view, gate)},
        },
    }


def _labels(view: StageView, gate: Gate) -> dict[str, str]:
    meta, what = view.model.metadata, view.subject
    assert what is not None, "gates are asked about a version"
    about = {
        MODEL_LABEL: bounded(meta.name),
        STAGE_LABEL: view.name,
        VERSION_LABEL: what.version,
        GATE_LABEL: gate.name,
    }
    return labels(meta.uid, "gate", **about)


def _pod(view: StageView, gate: Gate) -> Manifest:
    what, spec = view.subject, gate.job
    assert what is not None, "gates are asked about a version"
    size = (
        spec.resources.limits.get(STORAGE, DEFAULT_STORAGE) if spec is not None else DEFAULT_STORAGE
    )
    volumes = scratch_volumes(size, size)
    common: dict[str, Any] = {
        "name": wire.GATE,
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": scratch_mounts(),
    }
    version = view.versions[what.version]
    variables = _environment(view, gate, what, version)
    if spec is not None:
        container = common | _users(spec, variables, view.pod_settings.pods_secret)
    elif gate.signed is not None:
        container = common | _signed(view, gate.signed, variables)
    else:
        assert gate.smoke is not None, "only these kinds have pods"
        container = common | _smoke(view, gate.smoke, variables, version)
        if gate.smoke.requests is not None and gate.smoke.requests.uri is None:
            container["volumeMounts"] = [
                *scratch_mounts(),
                {"name": _REQUESTS, "mountPath": wire.REQUESTS_FOLDER, "readOnly": True},
            ]
            volumes.append(_mounted(gate.smoke.requests))
    pod: dict[str, Any] = {
        "restartPolicy": "Never",
        "activeDeadlineSeconds": int(timeout_of(gate).total_seconds()),
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": POD_SECURITY,
        "containers": [container],
        "volumes": volumes,
    }
    if names := (*view.pod_settings.pull_secrets, *view.runtime.pull_secrets):
        pod["imagePullSecrets"] = pull_secrets(*names)
    return pod


def _environment(
    view: StageView, gate: Gate, what: ServedVersion, version: VersionStatus
) -> dict[str, str]:
    """Return the environment variables that say which version is judged."""
    meta = view.model.metadata
    found = {
        wire.MODEL_NAME: mlflow_model_name(meta.namespace, meta.name),
        wire.CANDIDATE_URI: str(version.uri),
        wire.CANDIDATE_DIGEST: what.digest,
        wire.CANDIDATE_VERSION: what.version,
        wire.CANDIDATE_STAGE: view.name,
    }
    if gate.job is not None and version.run_id is not None:
        found[wire.CANDIDATE_RUN_ID] = version.run_id
    if gate.asks_candidate:
        # A candidate is reached at its private Service, the effective version at the stage's.
        own = build.workload_name(view.model, view.name, what)
        address = own if view.round is None else serving_name(meta.name, view.name)
        found[wire.CANDIDATE_URL] = f"http://{address}.{meta.namespace}"
    return found


def _users(wanted: JobGate, variables: dict[str, str], secret: str) -> dict[str, Any]:
    container: dict[str, Any] = {
        "image": wanted.image,
        # A user's program may write to its root file system; the rest of `restricted` applies.
        "securityContext": CONTAINER_SECURITY | {"readOnlyRootFilesystem": False},
        "envFrom": connection(secret),
        "env": env(variables | {each.name: each.value for each in wanted.env}),
        "resources": resources(wanted.resources),
    }
    if wanted.command:
        container["command"] = list(wanted.command)
    if wanted.args:
        container["args"] = list(wanted.args)
    return container


def _smoke(
    view: StageView, wanted: SmokeGate, variables: dict[str, str], version: VersionStatus
) -> dict[str, Any]:
    """Return the container that sends the requests.

    It runs the operator's own runtime image, so that arguments and program are of one release. Of
    the connection Secret it gets only the S3 keys, and the locations that the namespace may read:
    it reads the input example and the requests.
    """
    meta = view.model.metadata
    arguments = [
        *("--name", meta.name, "--namespace", meta.namespace),
        *(_requests(wanted.requests) if wanted.requests is not None else ()),
        *(("--listing", version.listing_digest) if version.listing_digest is not None else ()),
        *("--tolerance", wanted.tolerance),
        *(("--max-latency", wanted.max_latency) if wanted.max_latency is not None else ()),
    ]
    secret = view.pod_settings.pods_secret
    return {
        "image": view.runtime.image,
        "imagePullPolicy": view.runtime.pull_policy,
        "command": wire.program("smoke", *map(literal, arguments)),
        "securityContext": CONTAINER_SECURITY,
        "env": [*env(variables), *store_keys(secret), *store_reach(secret)],
        "resources": resources(Resources()),
    }


def _signed(view: StageView, wanted: SignedGate, variables: dict[str, str]) -> dict[str, Any]:
    """Return the container that verifies the signature.

    It runs the operator's present runtime image: no model is run, so the candidate's is not needed.
    Of the connection Secret it gets only the S3 keys, so that a user who may write the Secret
    cannot change what is run.
    """
    arguments = [argument for key in wanted.keys for argument in ("--key", key)]
    return {
        "image": view.runtime.image,
        "imagePullPolicy": view.runtime.pull_policy,
        "command": wire.program("signed", *map(literal, arguments)),
        "securityContext": CONTAINER_SECURITY,
        "env": [*env(variables), *store_keys(view.pod_settings.pods_secret)],
        "resources": resources(Resources()),
    }


def _requests(wanted: Requests) -> tuple[str, ...]:
    """Return the arguments for the location of the requests; the API allows only one of the two."""
    where = (
        ("--uri", wanted.uri)
        if wanted.uri is not None
        else ("--config-map", str(wanted.config_map), "--key", str(wanted.key))
    )
    return (*where, "--digest", wanted.digest)


def _mounted(wanted: Requests) -> dict[str, Any]:
    """Return the volume with the requests.

    It is optional, so that without the ConfigMap the program starts and reports that it is missing.
    """
    items = [{"key": wanted.key, "path": wire.REQUESTS_FILE}]
    return {
        "name": _REQUESTS,
        "configMap": {"name": wanted.config_map, "items": items, "optional": True},
    }
