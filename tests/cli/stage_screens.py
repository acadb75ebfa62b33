"""Screens of `status`: one model at 80 columns, its stages in every state that a user may see."""

from rich.console import RenderableType

from modelyard.api.training_run import TrainingRun
from modelyard.cli.views import models
from tests.cli.objects import (
    ASKED,
    GATED,
    NEW,
    NOW,
    QUALITY,
    SYNCED,
    before,
    condition,
    gate_of,
    held,
    holds,
    judged,
    model,
    progressing,
    ready,
    run,
    served,
    stalled,
    steps,
    version,
)

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


def tree(
    *arguments: object,
    wide: bool = False,
    going: tuple[TrainingRun, ...] = (),
    **options: object,
) -> RenderableType:
    return models.status([model(*arguments, **options)], going, NOW, 80, wide=wide)


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
}
