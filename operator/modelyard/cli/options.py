"""Options that every command has, and what they come to. They are read before anything heavy is
loaded.
"""

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
    """What `-o` may say."""

    JSON = "json"
    YAML = "yaml"
    NAME = "name"
    WIDE = "wide"


Namespace = Annotated[
    str | None,
    typer.Option(
        "--namespace", "-n", metavar="NAME", help="The namespace; the context's own if absent."
    ),
]
AllNamespaces = Annotated[bool, typer.Option("--all-namespaces", "-A", help="All namespaces.")]
Context = Annotated[
    str | None,
    typer.Option(
        "--context",
        metavar="NAME",
        help="The context of the kubeconfig; the current one if absent.",
    ),
]
Output = Annotated[
    Format | None,
    typer.Option(
        "--output",
        "-o",
        metavar="FORM",
        help="For programs: json, yaml, name. For people: wide, which is more.",
    ),
]
Follow = Annotated[
    float | None,
    typer.Option(
        "--timeout",
        metavar="SECONDS",
        min=1,
        help="Seconds to wait for the end at most. If absent: 900 and as long as the holds of a"
        " rollout, and it ends at once when it waits for people, other programs, a soak, a"
        " freeze or a pause.",
    ),
]
Timeout = Annotated[
    float,
    typer.Option(
        "--timeout", metavar="SECONDS", min=1, help="Seconds to wait for the end at most."
    ),
]
Reason = Annotated[str, typer.Option("--reason", metavar="WORDS", help="Why; kept with the model.")]
Wait = Annotated[
    bool,
    typer.Option("--wait/--no-wait", help="Follow it to the end, or leave it to the operator."),
]
DryRun = Annotated[
    bool,
    typer.Option(
        "--dry-run",
        help="Say what would change, ask the API server whether it may, change nothing.",
    ),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
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
    """Where to look, and how to tell of it."""

    namespace: str | None = None
    context: str | None = None
    output: Format | None = None
    everywhere: bool = False
    acting: Acting = field(default_factory=acting.get)

    @property
    def wide(self) -> bool:
        """Tell whether people want more."""
        return self.output is Format.WIDE

    @property
    def document(self) -> bool:
        """Tell whether a program reads: nothing but the document goes to standard output."""
        return self.output in (Format.JSON, Format.YAML, Format.NAME)


@dataclass(frozen=True)
class Target:
    """`MODEL@WHICH`: a model and, after the @, a stage or a version."""

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
