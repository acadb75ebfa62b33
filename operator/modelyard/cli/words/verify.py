"""`modelyard verify`: ask the gates of a stage again about what is effective."""

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
    """Ask the gates of a stage again about the version that is effective: its metrics, its data,
    its answers.

    One that fails keeps serving, and no stage takes it from there. It raises reverify.attempt of
    the stage, and needs the right to promote.
    """
    from modelyard.cli.commands import verify as command  # noqa: PLC0415
    from modelyard.cli.commands.promote import Asked  # noqa: PLC0415

    command.verify(
        Where(namespace, context, output),
        model,
        stage,
        Asked(wait=wait, timeout=timeout, dry_run=dry_run),
    )


command = word(verify)
