"""`download`: fetch all files of a version, with a progress bar."""

from pathlib import Path

from rich.text import Text

from modelyard.cli.commands.live import status_line
from modelyard.cli.commands.session import opened
from modelyard.cli.options import Format, Where, parts
from modelyard.cli.views.text import bar
from modelyard.client.text import short_digest, size

__all__ = ["download"]


def download(where: Where, text: str, path: Path) -> None:
    """Download a version, and print where it is."""
    target, session = parts(text), opened(where)
    model = session.model(target.model)
    name = session.version_of(model, target.which)
    with status_line(
        session.screen, "\nThe files so far are kept. Run the same command again to resume."
    ) as status:

        def seen(done: int, total: int) -> None:
            percent = 100 * done // total if total else 100
            status.show(
                Text.assemble(bar(percent, 30), f" {percent}%  {size(done)} of {size(total)}"),
                f"{percent // 10 * 10}%",
            )

        folder = session.client.models.download(target.model, path, name, seen=seen)
    version = next(each for each in model.status.versions if each.name == name)
    if where.output is Format.NAME:
        session.screen.names([str(folder)])
    elif where.document:
        facts = {
            "model": target.model,
            "version": name,
            "path": str(folder),
            "digest": version.digest,
            "bytes": version.bytes,
        }
        session.screen.document(facts)
    else:
        digest = version.digest if where.wide else short_digest(version.digest)
        session.screen.message(
            Text(
                f"{target.model}@{name} is in {folder}: {size(version.bytes)}, digest {digest}"
                " verified."
            )
        )
