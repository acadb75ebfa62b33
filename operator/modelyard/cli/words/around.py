"""Words around everything else: doctor, completion."""

from enum import StrEnum
from typing import Annotated

import typer

from modelyard.cli.options import Context, Namespace, Output, Where

__all__ = ["Shell", "add_to"]


class Shell(StrEnum):
    """Shells for which there is a completion; kubectl has one of its own for plugins."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"
    POWERSHELL = "powershell"
    KUBECTL = "kubectl"


def doctor(*, namespace: Namespace = None, context: Context = None, output: Output = None) -> None:
    """Look whether everything is there that modelyard needs; each finding comes with its cure."""
    from modelyard.cli.commands import doctor as command  # noqa: PLC0415

    command.doctor(Where(namespace, context, output))


def completion(shell: Annotated[Shell, typer.Argument(help="The shell.")]) -> None:
    """Print the script that lets a shell complete commands, options and names in the cluster."""
    from modelyard.cli.commands import completion as command  # noqa: PLC0415

    command.completion(shell.value)


def add_to(app: typer.Typer) -> None:
    """Add these words to the program."""
    app.command()(doctor)
    app.command()(completion)
