"""Asking before something goes. A program is not asked: it says --yes."""

import sys

import typer

from modelyard.cli.screen import Screen

__all__ = ["sure"]


def sure(screen: Screen, words: str, *, yes: bool) -> None:
    """Go on if the answer is yes.

    Raises:
        typer.BadParameter: Nobody is there to be asked, and --yes was not said.
        typer.Exit: The answer is no.

    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise typer.BadParameter(f"{words}? Nobody can be asked here: say --yes.")
    if not typer.confirm(f"{words}?", err=screen.where.document):
        raise typer.Exit(1)
