"""The generated pages of docs/: conditions with their reasons, and the reference of the kinds.

Pages written by hand are in docs/; the site is built by docs/conf.py. In reading order:
`conditions`, `kinds`.
"""

from collections.abc import Sequence

from modelyard import generated
from modelyard.api.kinds import KINDS
from modelyard.docs import conditions, kinds
from modelyard.docs.conditions import Explained, explained

__all__ = ["Explained", "explained", "files", "main"]


def files() -> generated.Files:
    """Return the generated pages."""
    return {"docs/conditions.md": conditions.page()} | {
        f"docs/reference/{kinds.name(kind)}.md": kinds.page(kind) for kind in KINDS
    }


def main(argv: Sequence[str]) -> int:
    """Run `modelyard docs`."""
    return generated.main("docs", "the pages of the conditions and of the kinds", files, argv)
