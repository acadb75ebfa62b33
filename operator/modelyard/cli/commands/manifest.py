"""The TrainingRun that `modelyard train` asks for: from options, from a file, or from a file that
options change.

How options become a TrainingRun is the client's (`client.training`); how they are written is here.
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

__all__ = ["Words", "training"]


@dataclass(frozen=True)
class Words:
    """The options of `modelyard train` as they were written; None or empty where absent."""

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


def training(words: Words) -> Training:
    """Return the TrainingRun. What the file says is kept, unless an option says otherwise.

    Raises:
        typer.BadParameter: The file or an option cannot be read, or something is missing. The API
            server says the rest.

    """
    if words.file is None and words.experiment is None:
        raise typer.BadParameter(
            "Say what to train: --file FILE, or --experiment NAME and options."
        )
    options = TrainingOptions(
        experiment=words.experiment,
        name=words.name,
        task=words.task,
        script=words.script,
        image=words.image,
        args=words.arguments,
        parameters=dict(_pair(text) for text in words.parameters),
        dataset=_dataset(words),
        register=_register(words.register),
        requests=_present(cpu=words.cpu, memory=words.memory),
        limits=_present(memory=words.memory),
        spec=_present(backoffLimit=words.retries, activeDeadlineSeconds=words.deadline),
    )
    try:
        return training_run(options, _read(words.file) if words.file else None)
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
            f"{path} holds {len(runs)} TrainingRuns; train takes a file with one."
        )
    if len(found) > 1:
        raise typer.BadParameter(
            f"{path} holds more than a TrainingRun: apply the rest first, by kubectl apply -f, and"
            " give train the run alone."
        )
    return dict(runs[0])


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise typer.BadParameter(f"{text!r} is not NAME=VALUE, such as max_depth=6")
    return name, value


def _dataset(words: Words) -> Mapping[str, Any]:
    name, _, uri = (words.dataset or "").partition("=")
    return _present(name=name or None, uri=uri or None, digest=words.digest, target=words.target)


def _register(text: str | None) -> tuple[str, str] | None:
    if not text:
        return None
    target = parts(text)
    if target.which is None:
        raise typer.BadParameter(f"--register {text}: say under which version, {text}@v1")
    return target.model, target.which


def _present(**values: Any) -> Mapping[str, Any]:
    return {key: value for key, value in values.items() if value is not None}
