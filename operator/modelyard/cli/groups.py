"""How words are made of functions, and groups of words: each is made when it is said (`Later`).

Words without options of their own are read at once: typer loads pydantic to read any option that
was not given, --help too, which costs all help and every completion 0.2 s; so these words read
--help themselves. What the words are does not belong here.
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


class Later(Mapping[str, Any]):
    """The words of a group, each made when it is said.

    Args:
        makers: The words' names, in the order in which help lists them, and what returns each.

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
    """Return a word: a function's arguments and docstring, as typer reads them, and the options
    to act as another user.
    """
    app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    app.command(name or function.__name__, cls=cls)(with_acting(function))
    return typer.main.get_command(app)


def group(name: str, about: str, makers: Mapping[str, Callable[[], Any]], **more: Any) -> Words:
    """Return a group of words, `<program> <name> <word>`."""
    words: Any = Later(makers)
    return Words(
        name=name, help=about, commands=words, no_args_is_help=True, rich_markup_mode=None, **more
    )


def words_of(
    functions: Mapping[str, Callable[..., None]], cls: type[TyperCommand] = TyperCommand
) -> dict[str, Callable[[], Any]]:
    """Return what makes words of functions, for `group`."""
    return {name: partial(word, function, name, cls) for name, function in functions.items()}
