"""The TrainingRun of `modelyard train`: from options, a file, or a file that options change.

This module parses the options; `client.training` makes the TrainingRun from them.
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer
import yaml

from modelyard.api.document import loaded_all
from modelyard.cli.options import parts
from modelyard.client.kube import Manifest
from modelyard.client.training import Training, TrainingOptions, training_run

__all__ = ["TrainOptions", "training"]


@dataclass(frozen=True)
class TrainOptions:
    """The options of `modelyard train` as given; None or empty where absent."""

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


def training(given: TrainOptions) -> Training:
    """Return the TrainingRun: the file's, with the options over it.

    Raises:
        typer.BadParameter: The file or an option cannot be read, or is missing. The API server
            checks the rest.

    """
    if given.file is None and given.experiment is None:
        raise typer.BadParameter(
            "Say what to train: --file FILE, or --experiment NAME with options."
        )
    options = TrainingOptions(
        experiment=given.experiment,
        name=given.name,
        task=given.task,
        script=given.script,
        image=given.image,
        args=given.arguments,
        parameters=dict(_pair(text) for text in given.parameters),
        dataset=_dataset(given),
        register=_register(given.register),
        requests=_present(cpu=given.cpu, memory=given.memory),
        limits=_present(memory=given.memory),
        spec=_present(backoffLimit=given.retries, activeDeadlineSeconds=given.deadline),
    )
    try:
        return training_run(options, _read(given.file) if given.file else None)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def _read(path: Path) -> Manifest:
    """Return the one TrainingRun in a file."""
    try:
        text = sys.stdin.read() if str(path) == "-" else path.read_text(encoding="utf-8")
        found = loaded_all(text)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise typer.BadParameter(f"{path} cannot be read: {error}") from None
    runs = [
        document
        for document in found
        if isinstance(document, dict) and document.get("kind") == "TrainingRun"
    ]
    if len(runs) != 1:
        raise typer.BadParameter(
            f"{path} has {len(runs)} TrainingRuns; train takes a file with exactly one."
        )
    if len(found) > 1:
        raise typer.BadParameter(
            f"{path} has other objects besides the TrainingRun. Apply those first with kubectl"
            " apply -f, and give train a file with only the run."
        )
    return dict(runs[0])


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise typer.BadParameter(f"{text!r} is not NAME=VALUE, such as max_depth=6")
    return name, value


def _dataset(given: TrainOptions) -> Mapping[str, Any]:
    name, _, uri = (given.dataset or "").partition("=")
    return _present(name=name or None, uri=uri or None, digest=given.digest, target=given.target)


def _register(text: str | None) -> tuple[str, str] | None:
    if not text:
        return None
    target = parts(text)
    if target.which is None:
        raise typer.BadParameter(f"--register {text}: name the version too, such as {text}@v1")
    return target.model, target.which


def _present(**values: Any) -> Mapping[str, Any]:
    return {key: value for key, value in values.items() if value is not None}
