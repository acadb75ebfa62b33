"""The pages of docs/ that are generated and committed: the conditions and their reasons, and the
kinds, field by field.

Pages that are written by hand do not belong here; neither does the site that is made of them
(docs/conf.py).
"""

from collections.abc import Sequence

from modelyard import generated
from modelyard.api.kinds import KINDS
from modelyard.docs import conditions, kinds
from modelyard.docs.conditions import Explained, explained

__all__ = ["Explained", "explained", "files", "main"]


def files() -> generated.Files:
    """Return the committed pages."""
    return {"docs/conditions.md": conditions.page()} | {
        f"docs/reference/{kinds.name(kind)}.md": kinds.page(kind) for kind in KINDS
    }


def main(argv: Sequence[str]) -> int:
    """Run `modelyard docs`."""
    return generated.main("docs", "the pages of the conditions and of the kinds", files, argv)
