"""`history`: show the changes of a model's stages, or verify their record in S3."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.text import Text

from modelyard.api.history import HistoryEntry
from modelyard.cli.commands.live import status_line
from modelyard.cli.commands.session import Session, opened
from modelyard.cli.exits import Exit
from modelyard.cli.options import Format, Where
from modelyard.cli.views.history import history as drawn
from modelyard.cli.views.text import bar

__all__ = ["history", "verify"]


def history(where: Where, name: str, stage: str | None, *, every: bool = False) -> None:
    """Print a table, newest first; for programs the entries of the object, oldest first."""
    session = opened(where)
    model = session.model(name)
    found: tuple[HistoryEntry, ...] = model.status.history
    if every:
        with _reading(session) as seen:
            found = session.client.models.history(name, seen=seen)
    if stage is not None and not any(entry.stage == stage for entry in found):
        session.stage_of(model, stage)
    entries = [entry for entry in found if stage in (None, entry.stage)]
    if where.output is Format.NAME:
        session.screen.names([entry.to or "-" for entry in entries])
    elif where.document:
        session.screen.document(
            [entry.model_dump(by_alias=True, mode="json", exclude_none=True) for entry in entries]
        )
    else:
        session.screen.show_table(
            drawn(entries, stage, session.screen.table_width, wide=where.wide)
        )


def verify(where: Where, name: str, head: str) -> None:
    """Check the record in S3; exit with 1 if it has findings."""
    session = opened(where)
    session.model(name)
    with _reading(session) as seen:
        found = session.client.models.verify_history(name, head=head, seen=seen)
    if where.output is Format.NAME:
        session.screen.names([str(each.number) for each in found.findings])
    elif where.document:
        findings = [{"number": each.number, "message": each.message} for each in found.findings]
        facts = {
            "model": found.model,
            "entries": found.entries,
            "head": found.head,
            "pending": found.pending,
            "findings": findings,
        }
        session.screen.document(facts)
    else:
        session.screen.message(Text(str(found), style="" if found.ok else "red"))
    if not found.ok:
        raise SystemExit(Exit.FAILED)


@contextmanager
def _reading(session: Session) -> Iterator[Callable[[int, int], None]]:
    """Show a progress bar while the record is read, but only on a terminal."""
    if not session.screen.live:
        yield lambda _done, _total: None
        return
    with status_line(session.screen, "") as status:

        def seen(done: int, total: int) -> None:
            percent = 100 * done // total if total else 100
            status.show(
                Text.assemble(bar(percent, 30), f" {percent}%  {done} of {total} entries"),
                f"{percent // 10 * 10}%",
            )

        yield seen
