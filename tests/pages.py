"""The pages of docs/: their fenced blocks, and which of them are run.

The words after a block's fence decide: ```` ```sh ```` is run as written, ````
```sh not-run: <why> ```` is not. A code host shows both alike.
"""

import re
from dataclasses import dataclass
from pathlib import Path

__all__ = ["DOCS", "ROOT", "Block", "blocks", "pages", "script"]

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"

_FENCE = re.compile(
    r"^(?P<indent> *)```(?P<info>[^\n`]*)\n(?P<text>.*?)^(?P=indent)```[ ]*$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Block:
    """A fenced block: its place, its language, why it is not run (None: it is run, if its language
    can be), its text.
    """

    page: str
    line: int
    language: str
    not_run: str | None
    text: str

    def __str__(self) -> str:
        """Return its place in the form that editors open."""
        return f"{self.page}:{self.line}"


def pages() -> list[Path]:
    """Return all pages in their order on the front page; pages that it does not name come last."""
    listed = re.findall(
        r"^- \[[^\]]+\]\(([^)]+[.]md)\)", (DOCS / "index.md").read_text(), re.MULTILINE
    )
    order = {DOCS / name: place for place, name in enumerate(listed)}
    return sorted(DOCS.rglob("*.md"), key=lambda page: (order.get(page, len(order)), page))


def blocks(page: Path) -> list[Block]:
    """Return the fenced blocks of a page, in order."""
    text, found = page.read_text(), []
    for fence in _FENCE.finditer(text):
        language, _, rest = fence["info"].strip().partition(" ")
        why = rest.partition("not-run:")[2].strip() if "not-run" in rest else None
        line = text.count("\n", 0, fence.start()) + 1
        found.append(Block(page.relative_to(ROOT).as_posix(), line, language, why, fence["text"]))
    return found


def script(page: Path, language: str = "sh") -> str:
    """Return what a reader of the page types into one shell, or one Python; empty if nothing."""
    return "\n".join(
        block.text for block in blocks(page) if block.language == language and block.not_run is None
    )
