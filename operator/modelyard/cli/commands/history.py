"""`history`: what happened to a model's stages."""

from modelyard.cli.commands.session import opened
from modelyard.cli.options import Format, Where
from modelyard.cli.views.history import history as drawn

__all__ = ["history"]


def history(where: Where, name: str, stage: str | None) -> None:
    """Show it, newest first; for programs the entries as the object has them, oldest first."""
    session = opened(where)
    model = session.model(name)
    if stage is not None and not any(entry.stage == stage for entry in model.status.history):
        session.stage_of(model, stage)
    entries = [entry for entry in model.status.history if stage in (None, entry.stage)]
    if where.output is Format.NAME:
        session.screen.names([entry.to or "-" for entry in entries])
    elif where.document:
        session.screen.document([entry.model_dump(by_alias=True, mode="json", exclude_none=True) for entry in entries])
    else:
        session.screen.show_table(drawn(model, stage, session.screen.table_width, wide=where.wide))
