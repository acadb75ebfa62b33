"""docs/troubleshooting.md: every reason has an entry, and every entry a reason."""

import re
from enum import StrEnum

import pytest

from modelyard.api.conditions import EngineReason
from modelyard.api.kinds import KINDS
from tests.pages import DOCS

PAGE = (DOCS / "troubleshooting.md").read_text()
SHARED = "Every kind"
ENGINES = {reason.value for reason in EngineReason}


def section(title: str) -> str:
    return PAGE.split(f"\n## {title}\n")[1].split("\n## ")[0]


def entries(title: str) -> dict[str, str]:
    """Return a section's texts by reason: below headings, and in the list of reasons that need no
    action.
    """
    text = section(title)
    headed = dict(
        re.findall(r"^### `(\w+)`\n(.*?)(?=^###|^Nothing to do|\Z)", text, re.MULTILINE | re.DOTALL)
    )
    return headed | dict(re.findall(r"^- \*\*`(\w+)`\*\*: (.+)$", text, re.MULTILINE))


@pytest.mark.parametrize(
    ("kind", "reasons"), [(kind.resource.KIND, kind.reasons) for kind in KINDS]
)
def test_no_reason_lacks_an_entry(kind: str, reasons: type[StrEnum]):
    said = entries(kind) | entries(SHARED)
    assert [reason.value for reason in reasons if len(said.get(reason.value, "").split()) < 3] == []


@pytest.mark.parametrize(
    ("kind", "reasons"), [(kind.resource.KIND, kind.reasons) for kind in KINDS]
)
def test_no_entry_lacks_its_reason(kind: str, reasons: type[StrEnum]):
    assert set(entries(kind)) <= {reason.value for reason in reasons}


def test_reasons_of_every_kind_are_given_by_all_kinds_or_by_the_engine():
    # A ModelApproval needs neither MLflow nor S3, so it lacks the reasons about them that all
    # others have.
    connected = [kind.reasons for kind in KINDS if "ConnectionMissing" in {*kind.reasons}]
    assert len(connected) == len(KINDS) - 1
    common = set.intersection(*({reason.value for reason in reasons} for reasons in connected))
    assert set(entries(SHARED)) == (common | ENGINES) - {"Synced"}


def test_reasons_that_need_action_say_what_to_do():
    for title in (SHARED, *(kind.resource.KIND for kind in KINDS)):
        headed = re.findall(
            r"^### `(\w+)`\n(.*?)(?=^###|^Nothing to do|\Z)",
            section(title),
            re.MULTILINE | re.DOTALL,
        )
        silent = [name for name, body in headed if "**Do:**" not in body]
        assert set(silent) <= {"StoreUnavailable", "ReconcileTimedOut", "NameTaken"}, title
