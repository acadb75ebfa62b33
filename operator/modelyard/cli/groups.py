"""Commands ("words") made from functions, and groups of commands, built on demand (`Later`).

typer imports pydantic to parse any option that was not given, even --help. That costs 0.2 s for
help and for every completion. So commands and groups without own options parse --help themselves.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from modelyard.cli.acting import with_acting
from modelyard.cli.exits import Exit

__all__ = ["Later", "Word", "Words", "group", "word", "words_of"]


class _AtOnce:
    """A command whose only option is --help."""

    _reading = False

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the arguments."""
        above: Any = super()
        if not args and self.no_args_is_help:  # type: ignore[attr-defined] # an attribute of the class that this is mixed into
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
        """Return the options: all of them for help, none while arguments are parsed."""
        above: Any = super()
        return [] if self._reading else list(above.get_params(ctx))


class Word(_AtOnce, TyperCommand):
    """A command without arguments."""


class Words(_AtOnce, TyperGroup):
    """A group of commands. An interrupt ends it with exit code 130."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise SystemExit(Exit.INTERRUPTED) from None


class Later(Mapping[str, Any]):
    """The commands of a group, each built on first use.

    Args:
        makers: For each command, in the order of the help text, a function that returns it.

    """

    def __init__(self, makers: Mapping[str, Callable[[], Any]]) -> None:
        self._makers = makers

    def __getitem__(self, name: str) -> Any:
        return self._makers[name]()

    def __iter__(self) -> Iterator[str]:
        return iter(self._makers)

    def __len__(self) -> int:
        return len(self._makers)


def word(
    function: Callable[..., None], name: str | None = None, cls: type[TyperCommand] = TyperCommand
) -> Any:
    """Return a command for a function's arguments and docstring, with the options of `acting`."""
    app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    app.command(name or function.__name__, cls=cls)(with_acting(function))
    return typer.main.get_command(app)


def group(name: str, about: str, makers: Mapping[str, Callable[[], Any]], **more: Any) -> Words:
    """Return a group of commands, `<program> <name> <command>`."""
    words: Any = Later(makers)
    return Words(
        name=name, help=about, commands=words, no_args_is_help=True, rich_markup_mode=None, **more
    )


def words_of(
    functions: Mapping[str, Callable[..., None]], cls: type[TyperCommand] = TyperCommand
) -> dict[str, Callable[[], Any]]:
    """Return the makers of commands from functions, for `group`."""
    return {name: partial(word, function, name, cls) for name, function in functions.items()}
