"""A TrainingRun from options, for `client.runs.submit`, `client.runs.start` and `modelyard train`.

training = training_run(TrainingOptions(experiment="fraud", task="regression"))
created(kube, training)
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from modelyard.api.base import GROUP, VERSION
from modelyard.client.errors import ClientError
from modelyard.client.kube import Kube, Manifest
from modelyard.client.text import as_text

__all__ = ["Training", "TrainingOptions", "created", "training_run"]

_API_VERSION = f"{GROUP}/{VERSION}"
_SUFFIX = "bcdfghjklmnpqrstvwxz2456789"
"""Characters that are not confused with each other, as in names that Kubernetes generates."""
_SUFFIX_LENGTH = 5
_LONGEST_NAME = 50
"""Characters in the name of a TrainingRun at most."""


@dataclass(frozen=True)
class TrainingOptions:
    """Options of a TrainingRun.

    An absent option keeps the value of the manifest that is changed, or the API's default.

    Attributes:
        experiment: The Experiment of the run.
        name: Its name; generated from the experiment's name if absent.
        task: `classification` or `regression`, for the tabular trainer.
        script: A Python file of this machine, or `<ConfigMap>[/<key>]`.
        image: A container image that trains.
        command: Entry point of the image.
        args: Arguments of the image.
        external: Whether the client trains, so that the cluster only records the run.
        parameters: Hyper-parameters, merged into those of the manifest.
        dataset: `name`, `uri`, `digest`, `target`. Without a name it changes the manifest's
            dataset.
        register: (model, version) to register the model as.
        requests: Resource requests of the pod.
        limits: Resource limits of the pod.
        spec: Further fields of the spec.
        labels: Labels of the TrainingRun.

    """

    experiment: str | None = None
    name: str | None = None
    task: str | None = None
    script: str | Path | None = None
    image: str | None = None
    command: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    external: bool = False
    parameters: Mapping[str, Any] = field(default_factory=dict)
    dataset: Mapping[str, Any] = field(default_factory=dict)
    register: tuple[str, str] | None = None
    requests: Mapping[str, str] = field(default_factory=dict)
    limits: Mapping[str, str] = field(default_factory=dict)
    spec: Mapping[str, Any] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Training:
    """A TrainingRun that can be created.

    Attributes:
        manifest: The TrainingRun.
        files: Contents of its script's ConfigMap, by file name; empty if none has to be created.

    """

    manifest: Manifest
    files: Mapping[str, str] = field(default_factory=dict)


def training_run(options: TrainingOptions, manifest: Manifest | None = None) -> Training:
    """Return the TrainingRun that the options ask for. Reads the script if it is a local file.

    Args:
        options: The options.
        manifest: A TrainingRun for the options to change; absent: a new one.

    Raises:
        ValueError: The options contradict each other, or the script is neither a file nor a
            ConfigMap.

    """
    body = manifest or {"apiVersion": _API_VERSION, "kind": "TrainingRun"}
    spec: dict[str, Any] = dict(body.get("spec") or {})
    if options.experiment:
        spec["experiment"] = options.experiment
    script, files = _script(options.script)
    metadata = _metadata(
        options, body.get("metadata") or {}, spec.get("experiment") or "run", fixed=bool(files)
    )
    if files:
        script = {"configMap": f"{metadata['name']}-script", **script}
    spec["trainer"] = _trainer(options, script) or spec.get("trainer") or {"xgboost": {}}
    if options.parameters:
        added = {name: as_text(value) for name, value in options.parameters.items()}
        spec["parameters"] = {**(spec.get("parameters") or {}), **added}
    if options.dataset:
        spec["dataset"] = _dataset(options.dataset, spec.get("dataset") or {})
    if options.requests or options.limits:
        spec["resources"] = _resources(options, spec.get("resources") or {})
    if options.register:
        spec["register"] = dict(zip(("model", "version"), options.register, strict=True))
    spec |= options.spec
    return Training({**body, "metadata": metadata, "spec": spec}, files)


def created(kube: Kube, training: Training, *, dry_run: bool = False) -> Manifest:
    """Create a TrainingRun and its script's ConfigMap, and return the TrainingRun.

    The ConfigMap is created first, so that no pod waits for it, and is owned by the TrainingRun, so
    that Kubernetes deletes it with the run.

    Raises:
        Refused: A value is invalid, or a name is taken.

    """
    if dry_run or not training.files:
        return kube.create(training.manifest, dry_run=dry_run)
    kube.create(training.manifest, dry_run=True)
    name = training.manifest["spec"]["trainer"]["script"]["configMap"]
    namespace = training.manifest["metadata"].get("namespace")
    metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
    kube.create(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": metadata,
            "data": dict(training.files),
        }
    )
    try:
        body = kube.create(training.manifest)
    except ClientError:
        kube.delete("ConfigMap", name, namespace)
        raise
    run = body["metadata"]
    owner = {
        "apiVersion": _API_VERSION,
        "kind": "TrainingRun",
        "name": run["name"],
        "uid": run["uid"],
    }
    kube.patch("ConfigMap", name, {"metadata": {"ownerReferences": [owner]}}, namespace)
    return body


def _trainer(options: TrainingOptions, script: dict[str, str]) -> dict[str, Any] | None:
    named = (options.task, options.script, options.image, options.external or None)
    if sum(each is not None for each in named) > 1:
        raise ValueError("name one trainer: a task, a script or an image")
    if options.image is None and (options.command or options.args):
        raise ValueError(
            f"{' '.join((*options.command, *options.args))}: an entry point and arguments belong to"
            " an image"
        )
    if options.task is not None:
        return {"xgboost": {"task": options.task}}
    if options.script is not None:
        return {"script": script}
    if options.image is not None:
        lists = {"command": list(options.command), "args": list(options.args)}
        return {
            "container": {
                "image": options.image,
                **{name: words for name, words in lists.items() if words},
            }
        }
    return {"external": {}} if options.external else None


def _script(script: str | Path | None) -> tuple[dict[str, str], dict[str, str]]:
    """Return `spec.trainer.script`, and the contents of its ConfigMap if one has to be created."""
    if script is None:
        return {}, {}
    path = Path(script)
    if path.suffix == ".py" and path.is_file():
        return {"key": path.name}, {path.name: path.read_text(encoding="utf-8")}
    config_map, slash, key = str(script).partition("/")
    if (
        isinstance(script, Path)
        or not config_map
        or bool(slash) != bool(key)
        or "/" in key
        or (not slash and path.suffix == ".py")
    ):
        raise ValueError(f"{script} is neither a Python file of this machine nor <ConfigMap>/<key>")
    return {"configMap": config_map, **({"key": key} if key else {})}, {}


def _dataset(option: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    if not option.get("name") and not given:
        raise ValueError(f"{', '.join(option)}: name the dataset that this belongs to")
    return dict(option) if option.get("name") else {**given, **option}


def _resources(options: TrainingOptions, given: Mapping[str, Any]) -> dict[str, Any]:
    named = {"requests": options.requests, "limits": options.limits}
    changed = {key: {**(given.get(key) or {}), **values} for key, values in named.items() if values}
    return {**given, **changed}


def _metadata(
    options: TrainingOptions, given: Mapping[str, Any], experiment: str, *, fixed: bool
) -> dict[str, Any]:
    """Return the run's metadata. `fixed`: its name must be known before it is created."""
    metadata = dict(given)
    if options.labels:
        metadata["labels"] = {**(given.get("labels") or {}), **options.labels}
    name = options.name or metadata.get("name")
    if name is None:
        start = (
            metadata.get("generateName") or f"{experiment[: _LONGEST_NAME - _SUFFIX_LENGTH - 1]}-"
        )
        if not fixed:
            return metadata | {"generateName": start}
        name = start + "".join(secrets.choice(_SUFFIX) for _ in range(_SUFFIX_LENGTH))
    return {key: value for key, value in metadata.items() if key != "generateName"} | {"name": name}
