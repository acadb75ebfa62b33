"""Ask for confirmation before a deletion. Programs use --yes."""

import sys

import typer

from modelyard.cli.screen import Screen

__all__ = ["confirm"]


def confirm(screen: Screen, words: str, *, yes: bool) -> None:
    """Return if the answer is yes.

    Raises:
        typer.BadParameter: Standard input is no terminal, and --yes was not given.
        typer.Exit: The answer is no.

    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise typer.BadParameter(f"{words}? There is no terminal to confirm this; use --yes.")
    if not typer.confirm(f"{words}?", err=screen.where.document):
        raise typer.Exit(1)
