"""`modelyard abort`: cancel a promotion that is under way."""

from modelyard.cli.groups import word
from modelyard.cli.options import (
    Context,
    DryRun,
    Follow,
    Model,
    Namespace,
    Output,
    Reason,
    Stage,
    Wait,
    Where,
)

__all__ = ["command"]


def abort(
    model: Model,
    stage: Stage,
    *,
    reason: Reason = "",
    wait: Wait = True,
    timeout: Follow = None,
    dry_run: DryRun = False,
    namespace: Namespace = None,
    context: Context = None,
    output: Output = None,
) -> None:
    """Cancel a promotion that is under way or was rejected.

    Sets the stage's spec back to the effective version, which keeps the stage. The weight of a
    rollout drops to 0 within half a second, and no request is lost.
    """
    from modelyard.cli.commands import rollouts as command  # noqa: PLC0415
    from modelyard.cli.commands.promote import ChangeOptions  # noqa: PLC0415

    options = ChangeOptions(reason, wait=wait, timeout=timeout, dry_run=dry_run)
    command.abort(Where(namespace, context, output), model, stage, options)


command = word(abort)
