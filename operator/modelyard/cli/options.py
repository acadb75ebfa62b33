"""Options that commands share. Imported before anything heavy is loaded."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated

import typer

from modelyard.cli import completing
from modelyard.cli.acting import Acting, acting

__all__ = [
    "AllNamespaces",
    "Context",
    "DryRun",
    "Follow",
    "Format",
    "Model",
    "Namespace",
    "Output",
    "Reason",
    "Run",
    "Target",
    "Timeout",
    "Wait",
    "Where",
    "Yes",
    "parts",
]


class Format(StrEnum):
    """The values of `-o`."""

    JSON = "json"
    YAML = "yaml"
    NAME = "name"
    WIDE = "wide"


Namespace = Annotated[
    str | None,
    typer.Option(
        "--namespace", "-n", metavar="NAME", help="The namespace. Default: the context's."
    ),
]
AllNamespaces = Annotated[bool, typer.Option("--all-namespaces", "-A", help="All namespaces.")]
Context = Annotated[
    str | None,
    typer.Option(
        "--context",
        metavar="NAME",
        help="The context of the kubeconfig. Default: the current one.",
    ),
]
Output = Annotated[
    Format | None,
    typer.Option(
        "--output",
        "-o",
        metavar="FORMAT",
        help="For programs: json, yaml or name. For people: wide.",
    ),
]
Follow = Annotated[
    float | None,
    typer.Option(
        "--timeout",
        metavar="SECONDS",
        min=1,
        help="Seconds to follow at most. Default: 900 plus the holds of a rollout, or until the"
        " promotion waits for people, other programs, a soak, a freeze or a pause.",
    ),
]
Timeout = Annotated[
    float,
    typer.Option("--timeout", metavar="SECONDS", min=1, help="Seconds to wait at most."),
]
Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; kept in the history.")]
Wait = Annotated[
    bool,
    typer.Option("--wait/--no-wait", help="Follow it to the end, or return at once."),
]
DryRun = Annotated[
    bool,
    typer.Option(
        "--dry-run",
        help="Change nothing: print what would change, and have the API server check it.",
    ),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")]
Model = Annotated[
    str,
    typer.Argument(metavar="MODEL", help="The RegisteredModel.", autocompletion=completing.models),
]
Stage = Annotated[
    str,
    typer.Option(
        "--stage", "-s", metavar="STAGE", help="The stage.", autocompletion=completing.stages
    ),
]
Run = Annotated[
    list[str], typer.Argument(metavar="RUN", help="TrainingRuns.", autocompletion=completing.runs)
]


@dataclass(frozen=True)
class Where:
    """Which cluster and namespace to use, as whom, and how to print."""

    namespace: str | None = None
    context: str | None = None
    output: Format | None = None
    everywhere: bool = False
    acting: Acting = field(default_factory=acting.get)

    @property
    def wide(self) -> bool:
        """Whether `-o wide` was given."""
        return self.output is Format.WIDE

    @property
    def document(self) -> bool:
        """Whether a program reads the output: only the document goes to standard output."""
        return self.output in (Format.JSON, Format.YAML, Format.NAME)


@dataclass(frozen=True)
class Target:
    """`MODEL[@WHICH]`: a model, and a stage or a version."""

    model: str
    which: str | None = None


def parts(text: str) -> Target:
    """Read `MODEL[@WHICH]`.

    Raises:
        typer.BadParameter: A part is empty.

    """
    model, at, which = text.partition("@")
    if not model or (at and not which):
        raise typer.BadParameter(f"{text!r} is not MODEL or MODEL@WHICH, such as fraud@production")
    return Target(model, which or None)
