"""`verify`: have the gates of a stage asked again about what is effective, and follow that to
its word.
"""

from dataclasses import replace
from functools import partial

from rich.text import Text

from modelyard.api.registered_model import RegisteredModel
from modelyard.cli.commands.changing import watched
from modelyard.cli.commands.promote import Asked
from modelyard.cli.commands.session import opened
from modelyard.cli.options import Where
from modelyard.client import verifying
from modelyard.client.progress import Progress

__all__ = ["verify"]


def verify(where: Where, name: str, stage: str, asked: Asked) -> None:
    """Raise `reverify.attempt` of a stage, and follow the round."""
    session = opened(where)
    model = session.model(name)
    wanted, patch = verifying.patch(model, session.stage_of(model, stage))
    session.screen.tell(
        Text(f"{model.key}  {stage}: the gates are asked again about {wanted.version}.")
    )
    body = session.kube.patch("RegisteredModel", model.metadata.name, patch, dry_run=asked.dry_run)
    wanted = replace(wanted, generation=body["metadata"]["generation"])
    if asked.dry_run:
        session.screen.tell(Text("The API server would take it; nothing was changed."))
    elif asked.wait:
        look = partial(_look, wanted)
        body = watched(
            session,
            body,
            {stage: look},
            asked.timeout,
            {stage: f"{stage}: {wanted.version} is verified."},
        )
    else:
        session.screen.tell(
            Text(f"Asked for. To see what comes of it: {session.hint(f'status {name}')}")
        )
    if session.where.document:
        session.print_objects([body], single=True)


def _look(wanted: verifying.Verify, model: RegisteredModel) -> Progress:
    return verifying.standing(model, wanted)
