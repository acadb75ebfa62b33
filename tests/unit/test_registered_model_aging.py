"""A Pass that expires: a dataset gets too old while the promotion waits for something else."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from modelyard.api.registered_model import RegisteredModel
from modelyard.plan import Manifest
from modelyard.registered_model.decision import StageDecision
from modelyard.registered_model.observation import Evidence
from modelyard.registered_model.observe import observe
from tests.unit.builders import DAY, MINUTE, NOW, Around, training_run
from tests.unit.models import A, B, after, decided, does, pods_of, served, stage_of

FRESH = {"name": "fresh", "dataset": {"maxAge": "1d"}}
PINNED = {"name": "pinned", "dataset": {"digest": "sha256:" + "1" * 64}}
PIPELINE = {"name": "pipeline", "external": {}}
TRAINED = B.model_copy(update={"run_id": "run-b", "training_run": "fraud-b"})
SECOND = timedelta(seconds=1)
LATE = NOW + DAY + SECOND


def evidence() -> Evidence:
    """Return evidence of a training that began now."""
    status = {
        "mlflow": {"runId": "run-b", "experimentId": "1", "url": "http://m"},
        "dataset": {"digest": "sha256:" + "1" * 64, "rows": 10},
        "startTime": NOW.isoformat(),
    }
    return Evidence(training_runs={"fraud-b": training_run(name="fraud-b", status=status)})


def begun(*gates: dict[str, Any]) -> RegisteredModel:
    return stage_of("vb", holds=A, candidate=served(TRAINED), start_time=NOW, asked=list(gates))


def decide(
    model: RegisteredModel, *owned: Manifest, now: datetime = NOW, **more: Any
) -> StageDecision:
    return decided(model, *owned, versions=(A, TRAINED), now=now, **{"evidence": evidence()} | more)


def passed(*gates: dict[str, Any]) -> tuple[RegisteredModel, tuple[Manifest, ...]]:
    """Return the stage whose gate has passed, and what serves it."""
    model = begun(*gates)
    stable = pods_of(model, A, routed=True)
    first = decide(model, *stable)
    assert (first.record, first.status.gates[0].verdict.value) == (True, "Pass")
    return after(model, first), stable


def verdict(decision: StageDecision) -> str:
    return decision.status.gates[0].verdict.value


def test_a_waiting_promotion_is_rejected_when_its_dataset_gets_too_old():
    model, stable = passed(FRESH, PIPELINE)
    waiting = decide(model, *stable, now=NOW + MINUTE)
    assert waiting.status.blocked is not None
    assert (waiting.status.blocked.reason, waiting.requeue_after) == (
        "ApprovalWanted",
        DAY - MINUTE + SECOND,
    )
    assert waiting.status.gates == model.status.stages["production"].gates, (
        "nothing is written meanwhile"
    )
    late = decide(model, *stable, now=LATE)
    assert (late.record, verdict(late), late.status.candidate) == (True, "Fail", None)
    assert late.status.rejected[0].message.startswith(
        "fresh: its dataset was read at 2026-01-01 12:00 UTC, more than 1d ago"
    )


def test_it_is_rejected_while_its_pods_start_and_not_once_the_service_routes_to_it():
    model, stable = passed(FRESH)
    ready = pods_of(model, B)
    assert does(decide(model, *stable, *ready))[0] == "apply Service/vb"
    assert verdict(decide(model, *stable, *ready, now=LATE)) == "Fail"
    routed = decide(model, *pods_of(model, B, routed=True), now=LATE)
    assert (routed.status.version, verdict(routed)) == ("vb", "Pass")


def test_it_expires_also_while_mlflow_is_down():
    model, stable = passed(FRESH, PIPELINE)
    assert verdict(decide(model, *stable, dependencies_down=True)) == "Pass"
    assert verdict(decide(model, *stable, dependencies_down=True, now=LATE)) == "Fail"


@pytest.mark.parametrize("now", [NOW, LATE])
def test_a_pass_of_a_dataset_without_an_age_is_kept(now: datetime):
    model, stable = passed(PINNED, PIPELINE)
    waiting = decide(model, *stable, now=now, evidence=Evidence())
    assert (verdict(waiting), waiting.requeue_after) == ("Pass", None)


@pytest.mark.parametrize("away", [False, True])
async def test_its_training_run_is_read_whether_or_not_mlflow_has_the_model(away: bool):
    """Otherwise "not read" would be taken for "missing", and the version rejected."""
    known = begun(FRESH).status.model_copy(update={"versions": (A, TRAINED)})
    model = begun(FRESH).model_copy(update={"status": known})
    there = Around(evidence().training_runs["fraud-b"])
    if away:
        there.tenants.wrong["risk"] = "there is no Secret"
    seen = await observe(model, there, NOW)
    assert list(seen.evidence.training_runs) == ["fraud-b"]
