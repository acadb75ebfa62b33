"""How words without options of their own are read: at once.

typer loads pydantic to read any option that was not given, --help too, which costs all help and every completion 0.2 s; so these words read
--help themselves. What the words are does not belong here.
"""

from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from modelyard.cli.exits import Exit

__all__ = ["Word", "Words"]


class _AtOnce:
    """A word whose only option is --help."""

    _reading = False

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the arguments."""
        above: Any = super()
        if not args and self.no_args_is_help:  # type: ignore[attr-defined] # what it is mixed with has it
            return list(above.parse_args(ctx, args))
        if args and args[0] in ctx.help_option_names:
            typer.echo(ctx.get_help())
            raise typer.Exit
        self._reading = True
        try:
            return list(above.parse_args(ctx, args))
        finally:
            self._reading = False

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the options: all of them where they are shown, none where they are read."""
        above: Any = super()
        return [] if self._reading else list(above.get_params(ctx))


class Word(_AtOnce, TyperCommand):
    """A word without arguments."""


class Words(_AtOnce, TyperGroup):
    """A group of words. An interrupt ends it with an exit code of its own."""

    def invoke(self, ctx: Any) -> Any:
        """Do what the words say."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise SystemExit(Exit.INTERRUPTED) from None
