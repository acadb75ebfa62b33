"""A TrainingRun as it was asked for: from a file, from options, or from a file that options change.

Asking the cluster does not belong here.
"""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer
import yaml

from modelyard.api.base import GROUP, VERSION
from modelyard.api.document import loaded_all
from modelyard.cli.options import parts
from modelyard.client.kube import Manifest

__all__ = ["Asked", "manifest"]


@dataclass(frozen=True)
class Asked:
    """What the options said; what was not said is None or empty."""

    file: Path | None = None
    name: str | None = None
    experiment: str | None = None
    parameters: tuple[str, ...] = ()
    dataset: str | None = None
    digest: str | None = None
    target: str | None = None
    task: str | None = None
    script: str | None = None
    image: str | None = None
    arguments: tuple[str, ...] = ()
    cpu: str | None = None
    memory: str | None = None
    register: str | None = None
    retries: int | None = None
    deadline: int | None = None

    @property
    def local_script(self) -> Path | None:
        """The script, if it is a file of this machine and not a key in a ConfigMap."""
        return Path(self.script) if self.script and self.script.endswith(".py") and Path(self.script).is_file() else None


def manifest(asked: Asked) -> Manifest:
    """Return the TrainingRun. What the file says stands, unless an option says otherwise; parameters are added one by one.

    Raises:
        typer.BadParameter: The file or an option cannot be read, or something is missing; the API server says the rest.

    """
    if asked.file is None and asked.experiment is None:
        raise typer.BadParameter("Say what to train: --file FILE, or --experiment NAME and options.")
    body: Manifest = (
        _read(asked.file) if asked.file else {"apiVersion": f"{GROUP}/{VERSION}", "kind": "TrainingRun", "metadata": {}, "spec": {}}
    )
    metadata, spec = dict(body.get("metadata") or {}), dict(body.get("spec") or {})
    if asked.experiment:
        spec["experiment"] = asked.experiment
    if asked.parameters:
        spec["parameters"] = dict(spec.get("parameters") or {}) | dict(_pair(text) for text in asked.parameters)
    if (dataset := _dataset(asked, spec.get("dataset"))) is not None:
        spec["dataset"] = dataset
    spec["trainer"] = _trainer(asked) or spec.get("trainer") or {"xgboost": {}}
    if resources := _resources(asked):
        spec["resources"] = resources
    if asked.register:
        target = parts(asked.register)
        if target.which is None:
            raise typer.BadParameter(f"--register {asked.register}: say under which version, {asked.register}@v1")
        spec["register"] = {"model": target.model, "version": target.which}
    spec |= {key: value for key, value in (("backoffLimit", asked.retries), ("activeDeadlineSeconds", asked.deadline)) if value is not None}
    if asked.name:
        metadata = {key: value for key, value in metadata.items() if key != "generateName"} | {"name": asked.name}
    elif not metadata.get("name") and not metadata.get("generateName"):
        metadata["generateName"] = f"{spec.get('experiment', 'run')}-"
    return body | {"metadata": metadata, "spec": spec}


def _read(path: Path) -> Manifest:
    """Return the one TrainingRun in a file."""
    try:
        text = sys.stdin.read() if str(path) == "-" else path.read_text(encoding="utf-8")
        found = loaded_all(text)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise typer.BadParameter(f"{path} cannot be read: {error}") from None
    runs = [document for document in found if isinstance(document, dict) and document.get("kind") == "TrainingRun"]
    if len(runs) != 1:
        raise typer.BadParameter(f"{path} holds {len(runs)} TrainingRuns; train takes a file with one.")
    if len(found) > 1:
        raise typer.BadParameter(
            f"{path} holds more than a TrainingRun: apply the rest first, by kubectl apply -f, and give train the run alone."
        )
    return dict(runs[0])


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise typer.BadParameter(f"{text!r} is not NAME=VALUE, such as max_depth=6")
    return name, value


def _dataset(asked: Asked, given: Any) -> dict[str, Any] | None:
    said = {key: value for key, value in (("digest", asked.digest), ("target", asked.target)) if value is not None}
    if asked.dataset:
        name, _, uri = asked.dataset.partition("=")
        return {"name": name, **({"uri": uri} if uri else {}), **said}
    if said and not given:
        raise typer.BadParameter("--digest and --target speak of a dataset: name it, --dataset NAME=s3://...")
    return {**given, **said} if said else None


def _trainer(asked: Asked) -> dict[str, Any] | None:
    if sum(value is not None for value in (asked.task, asked.script, asked.image)) > 1:
        raise typer.BadParameter("Name one trainer: --task, --script or --image.")
    if asked.arguments and asked.image is None:
        raise typer.BadParameter(f"{' '.join(asked.arguments)}: arguments belong to --image.")
    if asked.task is not None:
        return {"xgboost": {"task": asked.task}}
    if asked.script is not None:
        config_map, _, key = asked.script.partition("/")
        return {"script": {"configMap": config_map, **({"key": key} if key else {})}}
    if asked.image is not None:
        return {"container": {"image": asked.image, **({"args": list(asked.arguments)} if asked.arguments else {})}}
    return None


def _resources(asked: Asked) -> dict[str, Any]:
    requests = {key: value for key, value in (("cpu", asked.cpu), ("memory", asked.memory)) if value}
    return {"requests": requests, **({"limits": {"memory": asked.memory}} if asked.memory else {})} if requests else {}
