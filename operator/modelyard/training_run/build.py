"""Build the Job of one attempt and the ConfigMap beside it. Pure; when they are made is decided
elsewhere.
"""

import json
from typing import Any

from modelyard.api import wire
from modelyard.api.keys import bad_key
from modelyard.api.training_run import Container, Sign, TrainingRun
from modelyard.api.wire import DATA, TRAINER
from modelyard.kube.applied import with_content
from modelyard.kube.names import CONNECTION_SECRET, RUN_LABEL, bounded, experiment_name, job_name
from modelyard.kube.pods import (
    CONTAINER_SECURITY,
    DEFAULT_STORAGE,
    POD_SECURITY,
    STORAGE,
    Runtime,
    connection,
    env,
    labels,
    owner,
    pull_secrets,
    resources,
    scratch_mounts,
    scratch_volumes,
)
from modelyard.plan import Manifest

__all__ = ["DATA", "TRAINER", "config_map", "job", "queued", "refused", "too_large"]

_PARAMETERS_LIMIT = 120 * 1024
"""Bytes of the environment variable, name and all. Linux starts no process with one of 128 KiB."""
_SIGNING, _KEY_MODE = "signing", 0o440
"""Volume of the signing key; its file belongs to root and to the group of the pod's user."""
_QUEUE_LABEL = "kueue.x-k8s.io/queue-name"


def queued(run: TrainingRun) -> bool:
    """Tell whether a queue, not we, decides when the Job starts (Kueue, by its label on the
    TrainingRun).
    """
    return _QUEUE_LABEL in run.metadata.labels


def refused(run: TrainingRun) -> str | None:
    """Say why no attempt can be made with the parameters; None when one can."""
    if (key := bad_key(run.spec.parameters)) is not None:  # admitted before there was a rule
        return f"spec.parameters: {key}. Train again in another TrainingRun."
    return too_large(run)


def too_large(run: TrainingRun) -> str | None:
    """Say why the parameters do not fit into a pod's environment; None when they do. Without a
    pod they always do.
    """
    size = len(f"{wire.PARAMETERS}={_parameters(run)}")
    if not run.spec.trainer.kind.in_cluster or size <= _PARAMETERS_LIMIT:
        return None
    return (
        f"The parameters take {size / 1024:.1f} KiB as JSON, and the environment of a pod holds"
        f" {_PARAMETERS_LIMIT // 1024} KiB of them. Put large values into the dataset, or into a"
        " ConfigMap that a script reads, and train again in another TrainingRun."
    )


def _parameters(run: TrainingRun) -> str:
    """The parameters as JSON, in ASCII: as many bytes as characters."""
    return json.dumps(dict(run.spec.parameters), sort_keys=True)


def config_map(run: TrainingRun) -> Manifest:
    """Return the files that every container of the run finds under /etc/modelyard."""
    meta = run.metadata
    dataset = (
        run.spec.dataset.model_dump(by_alias=True, exclude_none=True) if run.spec.dataset else None
    )
    content = {
        "trainer": run.trainer_settings(),
        "dataset": dataset,
        "run": {"namespace": meta.namespace, "name": meta.name, "uid": meta.uid},
    }
    found = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": _metadata(run, _config_name(run)),
        "data": {
            wire.PARAMETERS_FILE: _parameters(run),
            wire.RUN_FILE: json.dumps(content, sort_keys=True),
        },
    }
    return with_content(found | {"immutable": True})


def job(
    run: TrainingRun,
    attempt: int,
    mlflow_run: str,
    runtime: Runtime,
    secret: str = CONNECTION_SECRET,
) -> Manifest:
    """Return the Job of an attempt. It never repeats a pod by itself: another attempt has another
    MLflow run.

    A pod that the cluster takes away (a drained node, a preemption) is replaced within the attempt,
    as Kubernetes does it.
    """
    spec, metadata = run.spec, _metadata(run, job_name(run.metadata.name, attempt))
    metadata["labels"] |= {
        key: value
        for key, value in run.metadata.labels.items()
        if key.startswith("kueue.x-k8s.io/")
    }
    body: dict[str, Any] = {
        "backoffLimit": 0,
        "suspend": spec.suspend or queued(run),
        "podFailurePolicy": {
            "rules": [
                {
                    "action": "Ignore",
                    "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}],
                }
            ]
        },
        "template": {
            "metadata": {"labels": dict(_labels(run))},
            "spec": _pod(run, attempt, mlflow_run, runtime, secret),
        },
    }
    if spec.active_deadline_seconds is not None:
        body["activeDeadlineSeconds"] = spec.active_deadline_seconds
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": body}


def _pod(
    run: TrainingRun, attempt: int, mlflow_run: str, runtime: Runtime, secret: str
) -> dict[str, Any]:
    spec = run.spec
    mounts = [
        *scratch_mounts(),
        {"name": "config", "mountPath": wire.CONFIG_FOLDER, "readOnly": True},
    ]
    environment = env(
        {
            wire.RUN_ID: mlflow_run,
            "MLFLOW_EXPERIMENT_NAME": experiment_name(run.metadata.namespace, spec.experiment),
            wire.ATTEMPT: str(attempt),
            wire.PARAMETERS: _parameters(run),
            wire.DATASET_PATH: wire.DATASET_FOLDER,
        }
    )
    common = {
        "envFrom": connection(secret),
        "env": environment,
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }
    size = spec.resources.limits.get(STORAGE, DEFAULT_STORAGE)
    volumes: list[dict[str, Any]] = [
        *scratch_volumes(size, size),
        {"name": "config", "configMap": {"name": _config_name(run)}},
    ]
    if spec.trainer.script is not None:
        volumes.append({"name": "script", "configMap": {"name": spec.trainer.script.config_map}})
        mounts = [*mounts, {"name": "script", "mountPath": wire.SCRIPT_FOLDER, "readOnly": True}]
    container = (
        common
        | _trainer(run, runtime)
        | {"resources": resources(spec.resources), "volumeMounts": mounts}
    )
    if spec.trainer.sign is not None:
        container, volumes = (
            _signing(container, spec.trainer.sign),
            [*volumes, _signing_key(spec.trainer.sign)],
        )
    data = {
        "name": DATA,
        "image": runtime.image,
        "imagePullPolicy": runtime.pull_policy,
        "command": wire.program("data"),
        "resources": resources(
            spec.resources
        ),  # a pod asks for the larger of the two, so they cost nothing
        "securityContext": CONTAINER_SECURITY,
        "volumeMounts": mounts,
    }
    pod: dict[str, Any] = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": POD_SECURITY,
        "containers": [container],
        "volumes": volumes,
    }
    if spec.dataset is not None:
        pod["initContainers"] = [common | data]
    if spec.node_selector:
        pod["nodeSelector"] = dict(spec.node_selector)
    if spec.tolerations:
        pod["tolerations"] = [
            toleration.model_dump(by_alias=True, exclude_none=True)
            for toleration in spec.tolerations
        ]
    if secrets := pull_secrets(*spec.image_pull_secrets, *runtime.pull_secrets):
        pod["imagePullSecrets"] = secrets
    return pod


def _trainer(run: TrainingRun, runtime: Runtime) -> dict[str, Any]:
    """Return what the trainer's container runs: one of our programs, or the user's image."""
    trainer = run.spec.trainer
    if trainer.container is not None:
        return _users(trainer.container)
    if not trainer.kind.program:
        raise ValueError(f"the trainer {trainer.name} runs no pod")
    arguments = [f"{wire.SCRIPT_FOLDER}/{trainer.script.key}"] if trainer.script is not None else []
    return {
        "name": TRAINER,
        "image": runtime.image,
        "imagePullPolicy": runtime.pull_policy,
        "securityContext": CONTAINER_SECURITY,
        "command": wire.program(trainer.kind.program, *arguments),
    }


def _signing(container: dict[str, Any], wanted: Sign) -> dict[str, Any]:
    """Return the trainer's container with the key that it signs with; the step before it, which
    reads the dataset, has none.
    """
    told = [*container["env"], {"name": wire.SIGNED_BY, "value": f"{wanted.secret}/{wanted.key}"}]
    mount = {"name": _SIGNING, "mountPath": wire.SIGNING_FOLDER, "readOnly": True}
    return container | {"env": told, "volumeMounts": [*container["volumeMounts"], mount]}


def _signing_key(wanted: Sign) -> dict[str, Any]:
    """Return the volume with the key. Without the Secret it is empty: the program says that, and
    the kubelet would not.
    """
    items = [{"key": wanted.key, "path": wire.SIGNING_FILE}]
    secret = {
        "secretName": wanted.secret,
        "items": items,
        "defaultMode": _KEY_MODE,
        "optional": True,
    }
    return {"name": _SIGNING, "secret": secret}


def _users(wanted: Container) -> dict[str, Any]:
    container: dict[str, Any] = {
        "name": TRAINER,
        "image": wanted.image,
        # A user's image may write beside itself; everything else that `restricted` asks for holds.
        "securityContext": CONTAINER_SECURITY | {"readOnlyRootFilesystem": False},
    }
    if wanted.command:
        container["command"] = list(wanted.command)
    if wanted.args:
        container["args"] = list(wanted.args)
    return container


def _config_name(run: TrainingRun) -> str:
    return bounded(f"{run.metadata.name}-config", 253)


def _labels(run: TrainingRun) -> dict[str, str]:
    return labels(run.metadata.uid, "training", **{RUN_LABEL: bounded(run.metadata.name)})


def _metadata(run: TrainingRun, name: str) -> dict[str, Any]:
    meta = run.metadata
    return {
        "name": name,
        "namespace": meta.namespace,
        "labels": _labels(run),
        "ownerReferences": owner(run.KIND, meta.name, meta.uid),
    }
