"""`modelyard verify`: judge the effective version of a stage by its gates again."""

from modelyard.cli.groups import word
from modelyard.cli.options import (
    Context,
    DryRun,
    Model,
    Namespace,
    Output,
    Stage,
    Timeout,
    Wait,
    Where,
)

__all__ = ["command"]


def verify(
    model: Model,
    stage: Stage,
    *,
    wait: Wait = True,
    timeout: Timeout = 900,
    dry_run: DryRun = False,
    namespace: Namespace = None,
    context: Context = None,
    output: Output = None,
) -> None:
    """Judge the effective version of a stage by its gates again.

    The gates check its metrics, data and answers. A version that fails is still serving, but is not
    promoted from this stage to another. Raises reverify.attempt of the stage. Needs the verb
    promote.
    """
    from modelyard.cli.commands import verify as command  # noqa: PLC0415
    from modelyard.cli.commands.promote import ChangeOptions  # noqa: PLC0415

    command.verify(
        Where(namespace, context, output),
        model,
        stage,
        ChangeOptions(wait=wait, timeout=timeout, dry_run=dry_run),
    )


command = word(verify)
