"""`verify`: judge the effective version of a stage by its gates again, and follow the result."""

from dataclasses import replace
from functools import partial

from rich.text import Text

from modelyard.api.registered_model import RegisteredModel
from modelyard.cli.commands.changing import watched
from modelyard.cli.commands.promote import ChangeOptions
from modelyard.cli.commands.session import DRY_RUN, opened
from modelyard.cli.options import Where
from modelyard.client import verifying
from modelyard.client.progress import Progress

__all__ = ["verify"]


def verify(where: Where, name: str, stage: str, options: ChangeOptions) -> None:
    """Raise `reverify.attempt` of a stage, and follow the verification."""
    session = opened(where)
    model = session.model(name)
    wanted, patch = verifying.patch(model, session.stage_of(model, stage))
    body = session.kube.patch(
        "RegisteredModel", model.metadata.name, patch, dry_run=options.dry_run
    )
    session.screen.message(Text(f"{model.key}  {stage}: the gates judge {wanted.version} again."))
    wanted = replace(wanted, generation=body["metadata"]["generation"])
    if options.dry_run:
        session.screen.message(Text(DRY_RUN))
    elif options.wait:
        read = partial(_read, wanted)
        body = watched(
            session,
            body,
            {stage: read},
            options.timeout,
            {stage: f"{stage}: {wanted.version} is verified."},
        )
    else:
        session.screen.message(
            Text(f"Requested. To see the result: {session.hint(f'status {name}')}")
        )
    if session.where.document:
        session.print_objects([body], single=True)


def _read(wanted: verifying.Verify, model: RegisteredModel) -> Progress:
    return verifying.verification_progress(model, wanted)
