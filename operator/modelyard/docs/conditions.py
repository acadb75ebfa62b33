"""docs/conditions.md: every reason that a condition may give, from the docstrings under the members
of the kinds' enumerations.

What to do about a reason is told in docs/troubleshooting.md, by hand.
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

`kubectl wait --for=condition=Ready` works on every kind, and so do tools that read kstatus. A condition's `observedGeneration` names the
spec that it speaks of, its `message` says what is the matter and what to do next, its `reason` is one of the words below.
Why it happens and what to do is in [troubleshooting](troubleshooting.md).

| condition | True means |
|---|---|
| Ready | All that the spec asks for is so. |
| Reconciling | It is on its way. Nobody has to do anything. |
| Stalled | It is not so, and will not be until somebody does what the message says. |
"""


@dataclass(frozen=True)
class Explained:
    """A reason: what it means and, where there is something to do, what."""

    reason: str
    meaning: str
    remedy: str = ""


def explained(reasons: type[StrEnum]) -> list[Explained]:
    """Read the docstrings under an enumeration's members: the first paragraph is the meaning, the
    second the remedy.

    Raises:
        ValueError: A member has none.

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
            "| condition of its own | True means |",
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
