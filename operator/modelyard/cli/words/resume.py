"""`modelyard resume`: continue a rollout that is at a pause."""

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


def resume(
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
    """Continue a rollout that is at a pause.

    Follows it to its end or the next pause. Raises resumed of the stage's rollout. Needs the verb
    promote.
    """
    from modelyard.cli.commands import rollouts as command  # noqa: PLC0415
    from modelyard.cli.commands.promote import ChangeOptions  # noqa: PLC0415

    options = ChangeOptions(wait=wait, timeout=timeout, dry_run=dry_run)
    command.resume(Where(namespace, context, output), model, stage, options)


command = word(resume)
