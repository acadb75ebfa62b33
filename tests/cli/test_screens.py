"""Every view at 80 columns without colour, from fixed objects."""

from io import StringIO

import pytest
from rich.console import Console, RenderableType
from rich.text import Text

from modelyard.api.experiment import Experiment
from modelyard.cli.views import compare, doctor, experiments, history, models, plans, runs
from modelyard.cli.views.steps import change_lines
from modelyard.cli.views.text import bar
from modelyard.client.progress import Change, stage_change
from modelyard.client.table import table
from tests.cli.conftest import FILES, Seen, drawn
from tests.cli.objects import (
    ASKED,
    HISTORY,
    NEW,
    NOW,
    before,
    ended_status,
    experiment,
    experiment_body,
    failed_status,
    held,
    model,
    run,
    runtime,
    served,
    stalled,
)
from tests.cli.stage_screens import BROKEN, PLAN, THREE, TURNING, WAITING, WARM, WINDOW
from tests.cli.stage_screens import SCREENS as STAGES
from tests.cli.test_rollout_screens import SCREENS as ROLLOUTS

REFRESHED = HISTORY[-1] | {
    "time": before(minutes=5),
    "from": "v2",
    "outcome": "Refreshed",
    "runtime": runtime(NEW),
    "durationSeconds": 12,
}

LEFT = compare.Side(
    "v1",
    {
        "run": "fraud-001",
        "data": "cards  dddddddddddd",
        "signature": "f0 double, f1 double -> long",
        "size": "1.2 MB",
    },
    {"max_depth": "4", "n_estimators": "200"},
    {"accuracy": 0.93, "logloss": 0.21},
    {"logloss": [(step, 0.7 / (1 + step / 6)) for step in range(40)], "accuracy": [(0, 0.93)]},
)
RIGHT = compare.Side(
    "v2",
    {
        "run": "fraud-002",
        "data": "cards  dddddddddddd",
        "signature": "f0 double, f1 double -> long",
        "size": "1.4 MB",
    },
    {"max_depth": "6", "n_estimators": "200", "gamma": "0.1"},
    {"accuracy": 0.9412, "logloss": 0.1834, "auc": 0.98},
    {"logloss": [(step, 0.7 / (1 + step / 4)) for step in range(40)]},
)
COMPARED = compare.Comparison("risk/fraud", LEFT, RIGHT)
WIDE = ", ".join(f"feature_{number:02d}: double" for number in range(8))
LONG = compare.Comparison(
    "risk/fraud",
    compare.Side(
        "v1",
        {
            "from": "fraud-001",
            "signature": f"{WIDE}, ... (20) -> long",
            "data": "cards, s3://datasets/risk/fraud/2026-01/cards.csv",
        },
    ),
    compare.Side(
        "v2",
        {
            "from": "fraud-002",
            "signature": f"{WIDE}, ... (20) -> long",
            "data": "cards, s3://datasets/risk/fraud/2026-02/cards.csv",
        },
    ),
)

FOUND = [
    doctor.Finding(
        "connection",
        doctor.Verdict.GOOD,
        "https://127.0.0.1:6443, context kind-modelyard, namespace risk",
    ),
    doctor.Finding(
        "kinds",
        doctor.Verdict.UNKNOWN,
        "Their versions were not checked: ada may not get customresourcedefinitions.",
    ),
    doctor.Finding(
        "rights",
        doctor.Verdict.WARNING,
        "to promote to production: you may not promote registeredmodels/production",
        "Ask for it.",
    ),
    doctor.Finding(
        "store",
        doctor.Verdict.BAD,
        "Nothing answers at http://minio.risk:9000.",
        "Correct MLFLOW_S3_ENDPOINT_URL.",
    ),
]


def listed(*found: runs.TrainingRun, wide: bool = False) -> RenderableType:
    return table(
        runs.WIDE_HEADS if wide else runs.HEADS,
        [runs.row(each, NOW, wide=wide) for each in found],
        None if wide else 80,
    )


FAILED = run("fraud-004", status=failed_status())
DONE = run("fraud-002", status=ended_status(), register={"model": "fraud", "version": "v2"})

WEEKEND = {"schedule": "0 18 * * 4", "duration": "62h", "reason": "release of the month"}

SCREENS: dict[str, RenderableType] = STAGES | {
    "promote-planned": plans.planned(model(plan=PLAN), "production", "v3", "modelyard {}".format),
    "promote-held": history.change(
        model(versions=THREE, freeze=[WEEKEND], dryRun=True), "production", "v3", NOW
    ),
    "models": table(
        models.HEADS,
        [
            models.row(model(), NOW),
            models.row(model(conditions=stalled("ServingFailed", BROKEN)), NOW),
        ],
        80,
    ),
    "runs-list": listed(run(), DONE, FAILED),
    "runs-list-wide": listed(run(), DONE, FAILED, wide=True),
    "runs-show": runs.show(run(), NOW, 80),
    "runs-show-ended": runs.show(DONE, NOW, 80),
    "runs-show-failed": runs.show(FAILED, NOW, 80),
    "runs-show-new": runs.show(run(status={}), NOW, 80),
    "runs-show-many-parameters": runs.show(
        run(status=ended_status(omittedParameters=145)), NOW, 80
    ),
    "experiments-list": table(experiments.HEADS, [experiments.row(experiment(), NOW)], 80),
    "experiments-list-wide": table(
        experiments.WIDE_HEADS, [experiments.row(experiment(), NOW, wide=True)], None
    ),
    "experiments-show": experiments.show(experiment(), [run(), DONE], NOW, 80),
    "history": history.history(model().status.history, None, 80),
    "history-why": history.history(
        model(
            history=[HISTORY[-1] | {"reason": "0.2 points better on the holdout of November"}]
        ).status.history,
        None,
        80,
    ),
    "history-refreshed": history.history(
        model(history=[*HISTORY, REFRESHED]).status.history, "production", 80
    ),
    "history-wide": history.history(
        model(history=[HISTORY[-1] | {"runtime": runtime()}, REFRESHED]).status.history,
        None,
        None,
        wide=True,
    ),
    "history-of-a-stage": history.history(model().status.history, "staging", 80),
    "history-empty": history.history((), "production", 80),
    "promote-followed": change_lines(
        "production",
        stage_change(model({"production": TURNING}, wanted="v3"), Change("production", "v3")),
        NOW,
    ),
    "promote-followed-gates": change_lines(
        "production",
        stage_change(model({"production": WAITING}, spec_stages=ASKED), Change("production", "v3")),
        NOW,
    ),
    "promote-gates": history.change(
        model(versions=THREE, spec_stages=ASKED), "production", "v3", NOW
    ),
    "promote-returns": history.change(
        model(
            {"production": held("v2", before(hours=3), previous=served("v1"))},
            versions=THREE,
            spec_stages=ASKED,
        ),
        "production",
        "v1",
        NOW,
    ),
    "promote-returns-in-time": history.change(
        model({"production": WARM}, versions=THREE, spec_stages=WINDOW), "production", "v1", NOW
    ),
    "promote-returns-late": history.change(
        model(
            {"production": held("v2", before(hours=3), previous=served("v1"))},
            versions=THREE,
            spec_stages=WINDOW,
        ),
        "production",
        "v1",
        NOW,
    ),
    "promote": history.change(model(versions=THREE), "production", "v3", NOW),
    "promote-first": history.change(model(), "staging", "v1", NOW),
    "promote-unregistered": history.change(model(versions=THREE[:2]), "production", "v3", NOW),
    "compare": compare.compare(COMPARED, 80),
    "compare-without-mlflow": compare.compare(
        compare.Comparison(
            "risk/fraud",
            LEFT,
            compare.Side("v2"),
            ("No curves: ada may not get secrets in the namespace risk.",),
        ),
        80,
    ),
    "compare-long": compare.compare(LONG, 80),
    "compare-long-wide": compare.compare(LONG, 80, wide=True),
    "doctor": doctor.findings(FOUND),
    "doctor-well": doctor.findings(FOUND[:2]),
}
TABLES = {name for name in SCREENS if name.endswith(("-list-wide", "-long-wide", "history-wide"))}


@pytest.mark.parametrize("name", SCREENS)
def test_every_screen(name: str, seen: Seen):
    seen(name, SCREENS[name], table=name in TABLES)


def test_no_file_is_left_over():
    others = {"approve", "approve-early", "reject"}  # test_approve_on_api.py draws them
    others |= {
        "override",
        "override-ended",
        "override-ended-early",
        "status-overridden",
    }  # test_override_on_api.py
    others |= set(ROLLOUTS)
    assert {path.stem for path in FILES.glob("*.txt")} == set(SCREENS) | others


def test_colours_end_where_they_should():
    """A colour ends with its words, so that following text does not have it."""
    drawings = [
        runs.line(run(), NOW, 80),
        history.change(model(versions=THREE), "production", "v3", NOW),
        bar(50),
    ]
    heads = [child.label for child in models.tree(model(), (run(),), NOW, 80).children]
    assert [
        text.plain
        for text in (*drawings, *heads)
        if isinstance(text, Text) and text.style and text.spans
    ] == []
    assert [span.style for span in bar(50, 10, "green").spans] == ["green", "dim"]


def test_commands_in_a_screen_have_the_namespace_that_was_given():
    unobserved = model(versions=THREE, wanted="v3", generation=4, observed=3)
    hint = "modelyard {} -n risk".format
    assert "If this lasts: modelyard doctor -n risk" in drawn(
        models.status([unobserved], (), NOW, 200, hint), 200
    )
    first = "modelyard train -e EXPERIMENT --register MODEL@VERSION -n risk"
    assert first in drawn(models.status([], (), NOW, 200, hint), 200)


def test_incomplete_counts_are_shown_as_minimums():
    body = experiment_body()
    for part in ("runs", "artifacts"):
        body["status"][part]["atLeast"] = True
    some, known = Experiment.parse(body), experiment()
    assert (experiments.row(known, NOW)[2], experiments.row(some, NOW)[2]) == ("9", "9+")
    console = Console(width=120, file=StringIO())
    console.print(experiments.show(some, [], NOW, 120))
    assert isinstance(console.file, StringIO)
    assert console.file.getvalue().count("at least ") == 2
