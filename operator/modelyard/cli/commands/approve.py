"""`approve` and `reject`: create a ModelApproval with the version's digest and the user's name."""

from rich.text import Text

from modelyard.cli.commands.session import DRY_RUN, opened
from modelyard.cli.options import Where
from modelyard.cli.views import approvals
from modelyard.client import approving

__all__ = ["decide"]


def decide(where: Where, name: str, request: approving.ApprovalRequest, *, dry_run: bool) -> None:
    """Approve or reject a version for a stage."""
    session = opened(where)
    model = session.model(name)
    made = approving.decide(session.kube, model, request, dry_run=dry_run)
    session.screen.message(approvals.decided(model, made))
    if dry_run:
        session.screen.message(Text(DRY_RUN))
    else:
        session.screen.message(
            Text(f"To watch the stage: {session.hint(f'status {name} --watch')}")
        )
    if session.where.document and not dry_run:
        session.print_objects(
            [session.kube.get(made.KIND, made.metadata.name, made.metadata.namespace)], single=True
        )
