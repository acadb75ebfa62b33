"""`modelyard retry`: try a version again that a stage has rejected."""

from modelyard.cli.groups import word
from modelyard.cli.options import (
    Context,
    DryRun,
    Follow,
    Model,
    Namespace,
    Output,
    Stage,
    Wait,
    Where,
)

__all__ = ["command"]


def retry(
    model: Model,
    stage: Stage,
    *,
    wait: Wait = True,
    timeout: Follow = None,
    dry_run: DryRun = False,
    namespace: Namespace = None,
    context: Context = None,
    output: Output = None,
) -> None:
    """Try a version again that a stage has rejected: its gates are asked again, its pods start
    again.

    It raises the stage's attempt, and needs the right to promote.
    """
    from modelyard.cli.commands import promote as command  # noqa: PLC0415

    asked = command.Asked(wait=wait, timeout=timeout, dry_run=dry_run)
    command.retry(Where(namespace, context, output), model, stage, asked)


command = word(retry)
