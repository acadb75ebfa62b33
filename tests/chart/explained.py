"""Read the descriptions of values in ``values.yaml``."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import yaml

__all__ = ["comments", "leaves", "table"]


def leaves(node: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the paths of all values that a user may set; `resources` is one value."""
    if isinstance(node, dict) and node and path[-1:] != ("resources",):
        for key, value in node.items():
            yield from leaves(value, (*path, key))
    else:
        yield path


def comments(text: str) -> dict[tuple[str, ...], str]:
    """Return the comment `# --` above each value."""
    out: dict[tuple[str, ...], str] = {}
    stack: list[str] = []
    words = ""
    for line in text.splitlines():
        if found := re.fullmatch(r"\s*# -- (.+)", line):
            words = found[1]
        elif found := re.match(r"(\s*)([A-Za-z0-9]+):", line):
            stack = [*stack[: len(found[1]) // 2], found[2]]
            if words:
                out[tuple(stack)] = words
            words = ""
    return out


def table(text: str) -> str:
    """Return all values in one table of Markdown: name, default, description."""
    values, said = yaml.safe_load(text), comments(text)
    lines = ["| value | default | description |", "|---|---|---|"]
    for path in leaves(values):
        default = values
        for key in path:
            default = default[key]
        lines.append(
            f"| `{'.'.join(path)}` | `{json.dumps(default)}` |"
            f" {said[path].replace('|', chr(92) + '|')} |"
        )
    return "\n".join(lines) + "\n"
