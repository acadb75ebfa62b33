"""`modelyard retry`: try a rejected version again."""

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
    """Try a rejected version again.

    Its gates are judged again, and its pods start again. Raises the stage's attempt. Needs the verb
    promote.
    """
    from modelyard.cli.commands import promote as command  # noqa: PLC0415

    options = command.ChangeOptions(wait=wait, timeout=timeout, dry_run=dry_run)
    command.retry(Where(namespace, context, output), model, stage, options)


command = word(retry)
