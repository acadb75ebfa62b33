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
from tests.cli.conftest import FILES, Seen
from tests.cli.objects import (
    ASKED,
    GATED,
    HISTORY,
    NEW,
    NOW,
    QUALITY,
    SYNCED,
    before,
    condition,
    ended_status,
    experiment,
    experiment_body,
    failed_status,
    gate_of,
    held,
    holds,
    judged,
    model,
    progressing,
    ready,
    run,
    runtime,
    served,
    stalled,
    steps,
    version,
)
from tests.cli.test_rollout_screens import SCREENS as ROLLOUTS

STARTS = "v3 is starting next to v2, which is still serving: 1 of 2 pods are ready."
TURNING = held(
    "v2",
    before(hours=3),
    desired="v3",
    candidate=served("v3", NEW),
    startTime=before(seconds=40),
    steps=steps("Done", "Active", detail="1 of 2 pods are ready"),
    blocked={"reason": "Promoting", "message": STARTS},
)
BROKEN = (
    "The container model ended with exit code 1: ModuleNotFoundError: No module named 'lightgbm'"
)
REJECTED = (
    f"v3 was rejected, and v2 is still serving. {BROKEN}. It is tried again when"
    " stages.production.attempt is raised above 0."
)
REJECTION = {
    "version": "v3",
    "digest": version("v3")["digest"],
    "specHash": "0",
    "reason": "ServingFailed",
    "message": BROKEN,
    "time": before(minutes=3),
}
FAILED_PROMOTION = held(
    "v2",
    before(hours=3),
    desired="v3",
    startTime=before(minutes=5),
    steps=steps("Failed", detail=REJECTED[:60], since=before(minutes=3)),
    rejected=[REJECTION],
    blocked={"reason": "ServingFailed", "message": REJECTED, "needsAction": True},
)
PASSES = gate_of("quality", "Pass", "accuracy is 0.95: at least 0.9")
SOAKS = gate_of(
    "soaked", "Pending", "v3 has held staging for 2h of 24h, until 2026-01-03 10:00 UTC"
)
FAILS = gate_of("quality", "Fail", "accuracy is 0.8, below 0.9", before(minutes=3))
BROKEN_GATE = gate_of("soaked", "Error", "MLflow or S3 does not answer")
WAITS = (
    "v3 waits for its gates (1 of 2 pass). v2 is still serving. soaked: v3 has held staging for 2h"
    " of 24h, until 2026-01-03 10:00 UTC."
)
WAITING = held(
    "v2",
    before(hours=3),
    desired="v3",
    candidate=served("v3", NEW),
    startTime=before(seconds=40),
    steps=steps("Done", "Waiting", detail="1 of 2 pass; waits for soaked", names=GATED),
    blocked={"reason": "GatesPending", "message": WAITS},
    **judged("v3", PASSES, SOAKS),
)
BELOW = (
    "v3 was rejected, and v2 is still serving. quality: accuracy is 0.8, below 0.9. It is tried"
    " again when the stage's spec changes, or when stages.production.attempt is raised above 0:"
    " modelyard retry fraud --stage production"
)
FAILED_GATE = FAILED_PROMOTION | {
    "steps": steps("Failed", detail=BELOW[:60], since=before(minutes=3), names=GATED),
    "rejected": [
        REJECTION | {"reason": "GateFailed", "message": "quality: accuracy is 0.8, below 0.9."}
    ],
    "blocked": {"reason": "GateFailed", "message": BELOW, "needsAction": True},
    **judged("v3", FAILS, BROKEN_GATE),
}
PASSED_GATES = held("v2", before(hours=3), **judged("v2", PASSES))
APPROVALS = {
    "production": {
        "version": "v3",
        "requestedBy": "rita",
        "gates": [QUALITY, {"name": "approved", "approvals": {"atLeast": 2}}],
    }
}
ONE_OF_TWO = "1 of 2: bob; not counted: rita (OwnWork)"
WANTED = (
    f"v3 waits to be approved (1 of 2 pass). v2 is still serving. approved: {ONE_OF_TWO}. To"
    " approve: modelyard approve fraud v3 --stage production"
)
PEOPLE = ("admit", "gates", "approval", "start", "switch", "record")
APPROVAL_WANTED = held(
    "v2",
    before(hours=3),
    desired="v3",
    candidate=served("v3", NEW),
    startTime=before(hours=2),
    steps=steps("Done", "Done", "Waiting", detail="0 of 1 pass; waits for approved", names=PEOPLE),
    blocked={"reason": "ApprovalWanted", "message": WANTED},
    **judged("v3", PASSES, gate_of("approved", "Pending", ONE_OF_TWO)),
)
APPROVED = held(
    "v3", before(hours=3), **judged("v3", PASSES, gate_of("approved", "Pass", "2 of 2: bob, carla"))
)
AGAIN = {
    "production": {
        "version": "v2",
        "gates": ASKED["production"]["gates"][:1],
        "reverify": {"every": "24h"},
    }
}
UNVERIFIED = held(
    "v2",
    before(hours=30),
    verification={
        "verdict": "Fail",
        "time": before(hours=3),
        "message": "quality: accuracy is 0.8, below 0.9",
        "startTime": before(minutes=2),
        "waiting": "answers: its Job has not begun",
    },
    **judged("v2", PASSES),
)
WARM = held("v2", before(minutes=20), previous=served("v1") | {"untilTime": before(minutes=-40)})
WINDOW = {
    "production": {
        "version": "v2",
        "gates": ASKED["production"]["gates"],
        "rollback": {"window": "1h"},
    },
    "staging": {"version": None},
}
VERIFIED = held(
    "v2",
    before(hours=30),
    verification={"verdict": "Pass", "time": before(hours=3), "startTime": before(hours=3)},
)
FOLLOWS = condition("Synced", False, "Promoting", "MLflow is being brought up to date.")
HOLDS = [holds("production", before(hours=3))]
THREE = [version("v1"), version("v2", held=HOLDS), version("v3")]
MISMATCH = {
    "reason": "ArtifactDigestMismatch",
    "message": "What is stored is not what was registered. Restore it.",
    "needsAction": True,
}
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
        "Their versions were not looked at: ada may not get customresourcedefinitions.",
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


def tree(
    *arguments: object,
    wide: bool = False,
    going: tuple[runs.TrainingRun, ...] = (),
    **options: object,
) -> RenderableType:
    return models.status([model(*arguments, **options)], going, NOW, 80, wide=wide)


def listed(*found: runs.TrainingRun, wide: bool = False) -> RenderableType:
    return table(
        runs.WIDE_HEADS if wide else runs.HEADS,
        [runs.row(each, NOW, wide=wide) for each in found],
        None if wide else 80,
    )


FAILED = run("fraud-004", status=failed_status())
DONE = run("fraud-002", status=ended_status(), register={"model": "fraud", "version": "v2"})

PLANNED = "v3 waits: spec.dryRun is true. v2 is still serving. status.plan says what would be done."
PLAN = [
    {
        "stage": "production",
        "step": "admit",
        "does": "v3, sha256:3a3a3a3a3a3a, runs in runtime:1.3.0 (revision 1)",
    },
    {"stage": "production", "step": "gates", "does": "quality Fail (accuracy is 0.8, below 0.9)"},
    {
        "stage": "production",
        "step": "mlflow",
        "does": "alias production to v3, stage Production for v3, stage Archived for v2",
    },
]
WEEKEND = {"schedule": "0 18 * * 4", "duration": "62h", "reason": "release of the month"}

SCREENS: dict[str, RenderableType] = {
    "status-planned": tree(
        {
            "production": held(
                "v2",
                before(hours=3),
                desired="v3",
                candidate=served("v3", NEW),
                startTime=before(seconds=40),
                steps=[
                    {"name": "admit", "state": "Done"},
                    {"name": "plan", "state": "Waiting", "detail": "spec.dryRun holds it"},
                ],
                blocked={"reason": "Planned", "message": PLANNED},
            )
        },
        conditions=[*progressing("Planned", f"production: {PLANNED}"), SYNCED],
        versions=THREE,
        wanted="v3",
        plan=PLAN,
        dryRun=True,
    ),
    "promote-planned": plans.planned(model(plan=PLAN), "production", "v3", "modelyard {}".format),
    "promote-held": history.change(
        model(versions=THREE, freeze=[WEEKEND], dryRun=True), "production", "v3", NOW
    ),
    "status-serving": tree(),
    "status-wide": tree(wide=True),
    "status-training": tree(
        going=(run(), run("fraud-005", register={"model": "other", "version": "v1"}))
    ),
    "status-starting": tree(
        {"production": TURNING},
        conditions=[*progressing("Promoting", f"production: {STARTS}"), SYNCED],
        versions=THREE,
        wanted="v3",
    ),
    "status-not-seen-yet": tree(versions=THREE, wanted="v3", generation=4, observed=3),
    "status-refreshing": tree(
        {
            "production": held(
                "v2",
                before(hours=3),
                candidate=served("v2", NEW),
                startTime=before(seconds=9),
                steps=steps(
                    "Done", "Done", "Active", detail="v2 is ready and receives all traffic now."
                ),
                blocked={
                    "reason": "Promoting",
                    "message": "v2 is ready and receives all traffic now.",
                },
            )
        },
        conditions=[
            *progressing("Promoting", "production: v2 is ready and receives all traffic now."),
            SYNCED,
        ],
    ),
    "status-mlflow-follows": tree(
        {"production": held("v2", before(seconds=2))},
        conditions=[
            *progressing("Promoting", "production: v2 is effective instead of v1."),
            FOLLOWS,
        ],
    ),
    "status-clearing": tree(
        {"production": held("v2", before(hours=3), desired=None, steps=[])},
        conditions=[
            *progressing(
                "Promoting", "production: The stage is cleared when MLflow and S3 answer."
            ),
            SYNCED,
        ],
        wanted=None,
    ),
    "status-rejected": tree(
        {"production": FAILED_PROMOTION},
        conditions=[*stalled("ServingFailed", f"production: {REJECTED}"), SYNCED],
        versions=THREE,
        wanted="v3",
    ),
    "status-gates-pending": tree(
        {"production": WAITING},
        conditions=[*progressing("GatesPending", f"production: {WAITS}"), SYNCED],
        versions=THREE,
        spec_stages=ASKED,
    ),
    "status-approval-wanted": tree(
        {"production": APPROVAL_WANTED},
        conditions=[*progressing("ApprovalWanted", f"production: {WANTED}"), SYNCED],
        versions=THREE,
        spec_stages=APPROVALS,
    ),
    "status-approved": tree({"production": APPROVED}, versions=THREE, spec_stages=APPROVALS),
    "status-gate-failed": tree(
        {"production": FAILED_GATE},
        conditions=[*stalled("GateFailed", f"production: {BELOW}"), SYNCED],
        versions=THREE,
        spec_stages=ASKED,
    ),
    "status-gates-passed": tree({"production": PASSED_GATES}),
    "status-gates-passed-wide": tree({"production": PASSED_GATES}, wide=True),
    "status-warm": tree({"production": WARM}, spec_stages=WINDOW),
    "status-verified": tree({"production": VERIFIED}, spec_stages=AGAIN),
    "status-not-verified": tree({"production": UNVERIFIED}, spec_stages=AGAIN),
    "status-rolled-back": tree(
        {"production": held("v2", before(hours=3), rejected=[REJECTION])}, versions=THREE
    ),
    "status-mismatch": tree(
        {
            "production": held(
                "v2",
                before(hours=3),
                blocked=MISMATCH
                | {"message": "v2 is still serving, but no new pod of it could start."},
            )
        },
        versions=[version("v1"), version("v2", held=HOLDS, blocked=MISMATCH)],
        conditions=[
            *stalled(
                "ArtifactDigestMismatch",
                "production: v2 is still serving, but no new pod of it could start.",
            ),
            SYNCED,
        ],
    ),
    "status-whole-model": tree(
        conditions=[
            *stalled("NameTaken", "MLflow has a model risk.fraud of another object."),
            SYNCED,
        ]
    ),
    "status-few-pods": tree(
        {
            "production": held(
                "v2",
                before(hours=3),
                1,
                blocked={"reason": "NotServing", "message": "1 of 2 pods of v2 are ready."},
            )
        },
        conditions=[*progressing("NotServing", "production: 1 of 2 pods of v2 are ready."), SYNCED],
    ),
    "status-many-versions": tree(versions=[version(f"v{at}") for at in range(1, 10)]),
    "status-new": tree(
        stages={},
        versions=[],
        conditions=progressing("Registering", "Made in MLflow."),
        wanted=None,
        observed=0,
    ),
    "status-drift": tree(
        conditions=[
            *ready("Serving", "production holds v2."),
            condition("Synced", False, "Drifted", "Somebody moved v1."),
        ]
    ),
    "status-nothing": models.status([], [], NOW, 80),
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
def test_what_is_seen(name: str, seen: Seen):
    seen(name, SCREENS[name], table=name in TABLES)


def test_no_screen_is_left_over():
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
    """A colour belongs to its words: nothing that follows takes it over."""
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


def test_counts_that_are_not_all_are_said_to_be_at_least():
    body = experiment_body()
    for part in ("runs", "artifacts"):
        body["status"][part]["atLeast"] = True
    some, known = Experiment.parse(body), experiment()
    assert (experiments.row(known, NOW)[2], experiments.row(some, NOW)[2]) == ("9", "9+")
    console = Console(width=120, file=StringIO())
    console.print(experiments.show(some, [], NOW, 120))
    assert isinstance(console.file, StringIO)
    assert console.file.getvalue().count("at least ") == 2
