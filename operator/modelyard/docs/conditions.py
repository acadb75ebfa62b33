"""docs/conditions.md: all reasons of conditions, from the docstrings of enumerations' members.

What to do about a reason is in docs/troubleshooting.md, which is written by hand.
"""

import ast
import inspect
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from modelyard.api.conditions import EngineReason
from modelyard.api.kinds import KINDS
from modelyard.api.structural import paragraphs

__all__ = ["Explained", "explained", "page"]

_HEAD = """\
# Conditions

Generated from the kinds in `operator/modelyard/api` by `make crds`. Never edit it.

`kubectl wait --for=condition=Ready` works on every kind, and so do tools that read kstatus. A
condition's `observedGeneration` names the generation of the spec that it is about, its `message`
says what is the case and what to do, and its `reason` is one of those below. Why it happens and
what to do is in [troubleshooting](troubleshooting.md).

| condition | True means |
|---|---|
| Ready | The object is as its spec asks. |
| Reconciling | The object is not as its spec asks yet. The operator continues automatically. |
| Stalled | The object is not as its spec asks, and a user must do what the message says. |
"""


@dataclass(frozen=True)
class Explained:
    """A reason, its meaning, and what to do, if anything."""

    reason: str
    meaning: str
    remedy: str = ""


def explained(reasons: type[StrEnum]) -> list[Explained]:
    """Read the docstrings of an enumeration's members.

    The first paragraph is the meaning, the second the remedy.

    Raises:
        ValueError: A member has no docstring.

    """
    (body,) = ast.parse(textwrap.dedent(inspect.getsource(reasons))).body
    assert isinstance(body, ast.ClassDef)
    texts = {}
    for statement, after in zip(body.body, body.body[1:], strict=False):
        if (
            isinstance(statement, ast.Assign)
            and isinstance(after, ast.Expr)
            and isinstance(after.value, ast.Constant)
        ):
            (target,) = statement.targets
            assert isinstance(target, ast.Name)
            texts[target.id] = inspect.cleandoc(str(after.value.value))
    if missing := [member.name for member in reasons if not texts.get(member.name)]:
        raise ValueError(f"{reasons.__name__}: {', '.join(missing)} has no docstring")
    return [_explained(member.value, texts[member.name]) for member in reasons]


def page() -> str:
    """Return the whole page."""
    sections = [_section(kind.resource.KIND, kind.reasons, kind.conditions) for kind in KINDS]
    return _HEAD + "".join([*sections, _section("Every kind", EngineReason, {})])


def _explained(reason: str, text: str) -> Explained:
    meaning, _, remedy = text.partition("\n\n")
    return Explained(reason, " ".join(meaning.split()), " ".join(remedy.split()))


def _section(title: str, reasons: type[StrEnum], own: Mapping[str, str]) -> str:
    lines = [f"\n## {title}\n", f"{paragraphs(reasons.__doc__ or '')}\n"]
    if own:
        lines += [
            "| further condition | True means |",
            "|---|---|",
            *(f"| {name} | {text} |" for name, text in own.items()),
            "",
        ]
    rows = explained(reasons)
    if any(row.remedy for row in rows):
        lines += ["| reason | meaning | what to do |", "|---|---|---|"]
        lines += [f"| `{row.reason}` | {row.meaning} | {row.remedy} |" for row in rows]
    else:
        lines += [
            "| reason | meaning |",
            "|---|---|",
            *(f"| `{row.reason}` | {row.meaning} |" for row in rows),
        ]
    return "\n".join(lines) + "\n"
