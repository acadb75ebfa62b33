"""`modelyard history`: show the changes of a model's stages, or verify their record."""

from typing import Annotated

import typer

from modelyard.cli import completing
from modelyard.cli.groups import word
from modelyard.cli.options import Context, Namespace, Output, Where
from modelyard.cli.program import hint

__all__ = ["command"]

_VERIFY = "verify"
_BOTH = 2


def history(
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="[verify] MODEL",
            help="The model. After verify, its record in S3 is checked.",
        ),
    ],
    *,
    stage: Annotated[
        str | None,
        typer.Option(
            "--stage",
            "-s",
            metavar="STAGE",
            help="Only this stage.",
            autocompletion=completing.stages,
        ),
    ] = None,
    every: Annotated[
        bool, typer.Option("--all", help="All entries, from S3, instead of the newest 50.")
    ] = False,
    head: Annotated[
        str,
        typer.Option(
            "--head",
            metavar="NUMBER:DIGEST",
            help="With verify: an entry's number and digest, from its Event.",
        ),
    ] = "",
    namespace: Namespace = None,
    context: Context = None,
    output: Output = None,
) -> None:
    """Show when which version was in which stage, newest first. `history verify MODEL` checks the
    record in S3.

    The record is a chain: each entry holds the digest of the entry before it. verify finds entries
    that are missing, altered or reordered. With --head, a copy kept elsewhere, it also finds a
    record that was rewritten as a whole. The exit code is then 1.
    """
    from modelyard.cli.commands import history as command  # noqa: PLC0415

    where = Where(namespace, context, output)
    if len(words) == _BOTH and words[0] == _VERIFY:
        if stage is not None or every:
            raise typer.BadParameter("verify checks the whole record: omit --stage and --all.")
        command.verify(where, words[1], head)
        return
    if len(words) != 1:
        raise typer.BadParameter("use modelyard history MODEL or modelyard history verify MODEL.")
    if head:
        verify = hint(f"history verify {words[0]} --head NUMBER:DIGEST", namespace, context)
        raise typer.BadParameter(f"use it with {verify}.", param_hint="'--head'")
    command.history(where, words[0], stage, every=every)


command = word(history)
