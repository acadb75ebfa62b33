"""The pages of docs/, executed as written, one after the other, in the namespace of the chart's
demo.

They share two trained models (`manifests/samples/fraud`): each page applies the sample first, which
does not repeat finished trainings.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.demo.kube import Kube
from tests.e2e.written import PYTHON, forget, run
from tests.pages import DOCS, pages, script

pytestmark = pytest.mark.e2e

RUN = [page for page in pages() if script(page) or script(page, "python")]
EXPERIMENTS = ("fraud", "payments", "limits", "data", "kept", "returns", "cards")
MODELS = ("fraud", "referred", "returns", "cards", "newest", "lending")

SAYS = {
    "how-to/train.md": [r"^accuracy 0\.\d+$", r"^fraud-v[12] is the best: accuracy 0\.\d+$"],
    "how-to/train-script.md": [r"^s3://mlflow-artifacts/risk/\S+ xgboost$"],
    "how-to/train-image.md": [r"^\d+\.\d+$"],
    "how-to/data.md": [r"^1000 rows$", r"^DatasetDigestMismatch$"],
    "how-to/register.md": [
        r"^by-name \d+ sha256:",
        r"^by-run \d+ sha256:",
        r"^by-place \d+ sha256:",
        r"^There is no MLmodel",
    ],
    "how-to/promote.md": [
        r"production: {2}-> v1 Promoted",
        r"production: v1 -> v2 Promoted better by a point on the March data$",
        r"production: v2 -> v1 RolledBack",
        r"^production: Nothing declares the version v9\.",
    ],
    "how-to/auto-promote.md": [
        r"^staging: v1 AutoPromoted\nstaging: v2 AutoPromoted\nstaging: v1 RolledBack$"
    ],
    "how-to/plan.md": [
        r"^switch +the Service fraud-planned routes to v2 instead of v1$",
        r"^mlflow +alias planned to v2, .*tags of v2, v1$",
        r"^v1 serves, v2 is planned$",
        r"^planned: the plan is taken back; it holds v1\.$",
        r"^planned holds v2\.$",
    ],
    "how-to/policy-bank.md": [
        r"^staging holds v1\.$",
        r"^approval +asked of people or other systems: approved Pending$",
        r"^trial +asked by Jobs, next to one pod of v1: answers Pending$",
        r"^not by who asks$",
        r"^approved Pass: 2 of 2",
        r"^answers Pass: ",
    ],
    "how-to/freeze.md": [
        r"^v2 waits: the stage is frozen until .* UTC \(audit\)\. v1 is still serving\."
    ],
    "how-to/rollback.md": [
        r"^v1 is warm until 20",
        r"v1 warm until 20",
        r"^live: v2 -> v1 RolledBack$",
    ],
    "how-to/verify.md": [
        r"^trusted: v2 is verified\.$",
        r"^verify ended with 1$",
        r"^v2 serves; Fail: quality: accuracy is 0\.\d+, below 1\.1$",
    ],
    "how-to/override.md": [
        r"^live: v1 -> v2 Overridden incident 4711$",
        r"^OverrideEnded: v2 serves$",
    ],
    "how-to/history.md": [r"^The history of risk/fraud is whole: \d+ entries in S3"],
    "how-to/ask.md": [
        r"modelyard-version: v1",
        r'"predictions": ?\[[01]\]',
        r'"outputs": ?\[\{',
        r'"error": ?"the model takes 20 columns',
        r"^served: \[[01]\]$",
        r"^loaded: \[[01]\]$",
    ],
    "cli.md": [r"0\.2 points better", r"^[01]$"],
    "client.md": [r"^0\.\d+ v1$", r"Added cards"],
    "how-to/notebook.md": [r"^\{'accuracy': 0\.\d+\}$", r"^sha256:"],
    "how-to/drift.md": [
        r"^MLflow itself was changed: .*spec\.drift is Warn",
        r"DriftReverted",
        r'"v1"',
    ],
    "how-to/tenants.md": [
        r"ann may not change stage staging \(version\) of risk/fraud",
        r"^and may not promote$",
        r"^yes$",
        r"^and not to staging$",
    ],
    "how-to/observe.md": [
        r'^modelyard_objects\{kind="\w+",ready="True"\} [1-9]',
        r"^modelyard_leader 1",
    ],
    "retention.md": [r'^\{"runs": \d+, .*"dry_run": true\}$'],
    "how-to/upgrade.md": [r"works now$", r"^There is nothing to refresh; nothing was changed\.$"],
}
"""The output that a page must have, besides exit codes of 0: its commands wait for most of what the
page claims.
"""


@pytest.fixture(scope="module")
def readers(operator: Kube) -> Iterator[Kube]:
    """The cluster, without remains of an earlier run of the pages."""
    forget(operator, EXPERIMENTS, MODELS)
    yield operator
    forget(operator, EXPERIMENTS, MODELS)


def missing(page: Path, said: str) -> list[str]:
    """Return the expected output that a page did not print."""
    return [
        each
        for each in SAYS.get(page.relative_to(DOCS).as_posix(), [])
        if not re.search(each, said, re.MULTILINE)
    ]


@pytest.mark.timeout(900)
@pytest.mark.parametrize("page", RUN, ids=lambda page: page.relative_to(DOCS).as_posix())
def test_a_page_does_what_it_says(readers: Kube, page: Path, tmp_path: Path):
    said = ""
    if script(page):
        said += run(readers, script(page), 850)
    if script(page, "python"):
        said += run(readers, script(page, "python"), 850, PYTHON, tmp_path)
    assert missing(page, said) == [], said
