"""Build the Job of an attempt, and the ConfigMap that all attempts of a run share. Pure."""

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

__all__ = ["DATA", "TRAINER", "config_map", "invalid", "job", "queued", "too_large"]

_PARAMETERS_LIMIT = 120 * 1024
"""Bytes of the variable, with its name. Linux starts no process with one of 128 KiB."""
_SIGNING, _KEY_MODE = "signing", 0o440
"""Volume and file mode of the signing key, owned by root and the group of the pod's user."""
_QUEUE_LABEL = "kueue.x-k8s.io/queue-name"


def queued(run: TrainingRun) -> bool:
    """Tell whether Kueue decides when the Job starts, by its label on the TrainingRun."""
    return _QUEUE_LABEL in run.metadata.labels


def invalid(run: TrainingRun) -> str | None:
    """Return why no pod can take the parameters; None if they are valid."""
    if (key := bad_key(run.spec.parameters)) is not None:  # created before the CRD had this rule
        return f"spec.parameters: {key}. Train again in another TrainingRun."
    return too_large(run)


def too_large(run: TrainingRun) -> str | None:
    """Return why the parameters do not fit into a pod's environment; None if they do, or no pod."""
    size = len(f"{wire.PARAMETERS}={_parameters(run)}")
    if not run.spec.trainer.kind.in_cluster or size <= _PARAMETERS_LIMIT:
        return None
    return (
        f"The parameters are too large: {size / 1024:.1f} KiB as JSON, and the environment of a pod"
        f" has room for {_PARAMETERS_LIMIT // 1024} KiB. Put large values into the dataset or into"
        " a ConfigMap that a script reads, and train again in another TrainingRun."
    )


def _parameters(run: TrainingRun) -> str:
    """Return the parameters as ASCII JSON: one byte per character."""
    return json.dumps(dict(run.spec.parameters), sort_keys=True)


def config_map(run: TrainingRun) -> Manifest:
    """Return the ConfigMap that every container of the run mounts at /etc/modelyard."""
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
    """Return the Job of an attempt.

    Its back-off limit is 0, because each attempt has its own MLflow run. A disrupted pod (drained
    node, preemption) is replaced by Kubernetes within the attempt.
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
        # A pod requests the larger of the two containers, so this costs nothing.
        "resources": resources(spec.resources),
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
    """Return the trainer's container: one of our programs, or the user's image."""
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
    """Mount the signing key into the trainer's container; the init container does not get it."""
    environment = [
        *container["env"],
        {"name": wire.SIGNED_BY, "value": f"{wanted.secret}/{wanted.key}"},
    ]
    mount = {"name": _SIGNING, "mountPath": wire.SIGNING_FOLDER, "readOnly": True}
    return container | {"env": environment, "volumeMounts": [*container["volumeMounts"], mount]}


def _signing_key(wanted: Sign) -> dict[str, Any]:
    """Return the volume with the signing key.

    It is optional, so that the program starts and reports a missing Secret; the kubelet would only
    wait.
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
        # A user's image may write to its root; otherwise the pod meets the `restricted` standard.
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
