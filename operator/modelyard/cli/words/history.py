"""`modelyard history`: which version held which stage, and whether the record of it is whole."""

from typing import Annotated

import typer

from modelyard.cli import completing
from modelyard.cli.groups import word
from modelyard.cli.options import Context, Namespace, Output, Where

__all__ = ["command"]

_VERIFY = "verify"
_BOTH = 2


def history(
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="[verify] MODEL",
            help="The model; with verify before it, its record is checked.",
        ),
    ],
    *,
    stage: Annotated[
        str | None,
        typer.Option(
            "--stage",
            "-s",
            metavar="STAGE",
            help="Of one stage only.",
            autocompletion=completing.stages,
        ),
    ] = None,
    every: Annotated[
        bool, typer.Option("--all", help="All of it, from S3; not only the newest 50.")
    ] = False,
    head: Annotated[
        str,
        typer.Option(
            "--head",
            metavar="NUMBER:DIGEST",
            help="With verify: an entry's number and digest, as its Event had them.",
        ),
    ] = "",
    namespace: Namespace = None,
    context: Context = None,
    output: Output = None,
) -> None:
    """Show which version held which stage, and when, newest first. `history verify MODEL` checks
    the record in S3.

    The record is a chain: each entry holds the digest of the one before. verify finds one that is
    missing, altered or reordered; with --head, which was kept elsewhere, also a record that was
    rewritten whole. Its exit code is 1 then.
    """
    from modelyard.cli.commands import history as command  # noqa: PLC0415

    where = Where(namespace, context, output)
    if len(words) == _BOTH and words[0] == _VERIFY:
        if stage is not None or every:
            raise typer.BadParameter("verify checks the whole record: leave out --stage and --all.")
        command.verify(where, words[1], head)
        return
    if len(words) != 1:
        raise typer.BadParameter(
            "write modelyard history MODEL, or modelyard history verify MODEL."
        )
    if head:
        raise typer.BadParameter(
            f"--head is for modelyard history verify {words[0]}.", param_hint="'--head'"
        )
    command.history(where, words[0], stage, every=every)


command = word(history)
