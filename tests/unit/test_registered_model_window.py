"""The window of the version displaced last: it keeps its pods, and may return at once."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from modelyard.api.base import condition
from modelyard.api.registered_model import Draining, HeldStage, RegisteredModel, Rejection
from modelyard.kube.pods import Runtime
from modelyard.plan import Manifest
from modelyard.registered_model.decision import StageDecision
from modelyard.registered_model.gates.judging import open_gates
from modelyard.registered_model.in_sync import in_sync
from modelyard.registered_model.rejections import spec_hash
from modelyard.registered_model.serving import DRAIN
from tests.unit.builders import HOUR, MINUTE, NOW, SECOND
from tests.unit.models import (
    NEWER,
    A,
    B,
    C,
    after,
    decided,
    deployment_in,
    displaced,
    does,
    pods_of,
    recorded_first,
    routes_to,
    served,
    stage_of,
)

WINDOW = {"window": "1h"}
IN_ORDER = (condition("Ready", True, "Serving"), condition("Synced", True, "Synced"))
GATE = [{"name": "quality", "metric": {"name": "f1", "atLeast": "0.9"}}]


def switched(
    version: str | None = "vb", *, ago: timedelta = 10 * MINUTE, **more: Any
) -> RegisteredModel:
    """Return a stage in which vb has displaced va so long ago, with a window of an hour."""
    return stage_of(
        version, holds=B, since=ago, **({"previous": displaced(A), "rollback": WINDOW} | more)
    )


def there(model: RegisteredModel, **more: Any) -> tuple[Manifest, ...]:
    """Return the serving objects: vb's, and next to them va's."""
    return (*pods_of(model, A, **more), *pods_of(model, B, routed=True))


def until(decision: StageDecision) -> datetime | None:
    assert decision.status.previous is not None
    return decision.status.previous.until_time


def states(decision: StageDecision) -> list[str]:
    return [step.name for step in decision.status.steps]


# --- its pods -------------------------------------------------------------------------------------
def test_the_displaced_version_keeps_its_pods_until_the_window_ends_and_its_template_after_it():
    model = switched()
    kept = decided(model, *there(model))
    assert (does(kept), until(kept), kept.requeue_after) == ([], NOW + 50 * MINUTE, 50 * MINUTE)
    assert (kept.status.version, kept.status.ready_replicas, kept.status.blocked) == ("vb", 1, None)
    ended = decided(after(model, kept), *there(model), now=NOW + 50 * MINUTE)
    assert does(ended) == [
        f"delete Deployment/{deployment_in(pods_of(model, A))['metadata']['name']}"
    ]
    assert (until(ended), ended.requeue_after) == (None, None)


def test_without_a_window_the_pods_are_deleted():
    model = switched(rollback=None)
    assert [words.split("/")[0] for words in does(decided(model, *there(model)))] == [
        "delete Deployment"
    ]


def test_the_switch_records_until_when_pods_are_kept():
    model = stage_of("vb", holds=A, candidate=served(B), start_time=NOW, rollback=WINDOW)
    decision = decided(model, *pods_of(model, A), *pods_of(model, B, routed=True))
    assert (decision.status.version, until(decision)) == ("vb", NOW + HOUR)
    assert decision.status.draining == (
        Draining(identity=served(A).runtime.identity, until_time=NOW + DRAIN),
    )


def test_deleted_objects_of_a_warm_version_are_restored_and_serving_fields_apply_to_it():
    model = switched()
    revision, deployment, *rest = there(model)
    assert does(decided(model, revision, *rest)) == ["apply Deployment/va"]
    assert does(decided(model, deployment, *rest)) == ["apply ControllerRevision/va"]
    more = switched(serving={"replicas": 3})
    assert does(decided(more, *there(model))) == ["apply Deployment/vb", "apply Deployment/va"]


def test_a_warm_version_has_no_route_and_no_budget_and_does_not_affect_readiness():
    model = switched()
    decision = decided(model, *there(model, ready=0))
    assert (does(decision), decision.status.blocked) == ([], None)


def test_the_autoscaler_scales_the_effective_version_and_the_other_keeps_its_pods():
    scaled = {"autoscaling": {"minReplicas": 2, "maxReplicas": 9}}
    model = switched(serving=scaled)
    owned = (
        *pods_of(model, A, replicas=4, ready=4),
        *pods_of(model, B, replicas=7, ready=7, routed=True),
    )
    decision = decided(model, *owned)
    (scaler,) = [
        each.manifest
        for each in decision.actions
        if getattr(each, "manifest", {}).get("kind") == "HorizontalPodAutoscaler"
    ]
    assert (
        scaler["spec"]["scaleTargetRef"]["name"]
        == deployment_in(pods_of(model, B))["metadata"]["name"]
    )
    assert does(decision) == ["apply HorizontalPodAutoscaler/vb"]
    back = after(model, decided(switched("va", serving=scaled), *owned))
    returning = decided(
        back.model_copy(update={"spec": switched("va", serving=scaled).spec}), *owned
    )
    assert routes_to(returning) == "va", "it comes back with the pods that it has"


def test_a_stage_with_zero_replicas_keeps_no_pods_and_still_allows_the_return():
    model = switched(serving={"replicas": 0})
    decision = decided(model, *pods_of(model, A)[:1], *pods_of(model, B)[:1])
    assert (does(decision), until(decision)) == ([], NOW + 50 * MINUTE)


def test_a_cleared_stage_keeps_no_pods_and_allows_the_return_of_its_version():
    model = stage_of(None, holds=B, previous=displaced(A), rollback=WINDOW)
    cleared = decided(model, *there(model))
    assert (cleared.status.previous, cleared.status.version) == (displaced(B, NOW + HOUR), None)
    emptied = decided(after(model, cleared), *pods_of(model, B, routed=True), *pods_of(model, A))
    assert {words.split("/")[0] for words in does(emptied)} == {
        "delete Service",
        "delete PodDisruptionBudget",
        "delete Deployment",
        "delete ControllerRevision",
    }
    assert (until(emptied), emptied.requeue_after) == (NOW + HOUR, HOUR)


def test_a_second_promotion_inside_the_window_keeps_it_until_the_switch():
    model = recorded_first(switched("vc"), *there(switched()))
    three = (*there(model), *pods_of(model, C, ready=0))
    assert does(decided(model, *three)) == []
    assert does(decided(model, *(each for each in three if each != deployment_in(three)))) == [
        "apply Deployment/va"
    ]
    ready = (*pods_of(model, A), *pods_of(model, B), *pods_of(model, C, routed=True))
    recorded = decided(model, *ready)
    assert recorded.status.previous == displaced(B, NOW + HOUR)
    assert does(decided(after(model, recorded), *ready)) == [
        f"delete {kind}/{deployment_in(pods_of(model, A))['metadata']['name']}"
        for kind in ("Deployment", "ControllerRevision")
    ]


def test_a_refresh_does_not_change_the_window():
    model = recorded_first(switched(attempt=1), *there(switched()), runtime=NEWER)
    new = served(B, NEWER)
    starting = decided(model, *there(model), runtime=NEWER)
    assert {words.split("/")[1] for words in does(starting)} == {"vb"}
    recorded = decided(
        model,
        *pods_of(model, A),
        *pods_of(model, B),
        *pods_of(model, new, routed=True),
        runtime=NEWER,
    )
    assert (recorded.status.effective, recorded.status.previous) == (
        new,
        displaced(A, NOW + 50 * MINUTE),
    )


def test_overrides_keep_the_warm_version_and_its_time_counts_from_its_displacement():
    """A version that was effective only by an override does not become the previous version."""
    left = HeldStage(
        stage="production", digest=A.digest, since_time=NOW - HOUR, until_time=NOW - 40 * MINUTE
    )
    override = {"version": "vb", "reason": "incident", "until": NOW + HOUR}
    model = switched("va", ago=10 * MINUTE, override=override)
    noted = recorded_first(
        model, *there(model), versions=(A.model_copy(update={"held": (left,)}), B, C)
    )
    steady = decided(noted, *there(noted), versions=(A.model_copy(update={"held": (left,)}), B, C))
    assert (does(steady), until(steady)) == ([], NOW + 20 * MINUTE)


def test_the_window_is_as_long_as_the_spec_says_now():
    for window, left, kept in (("2h", 110 * MINUTE, True), ("5m", None, False)):
        model = switched(rollback={"window": window})
        decision = decided(model, *there(model))
        assert (until(decision), not does(decision)) == (NOW + left if left else None, kept)
    widened = switched(ago=2 * HOUR, rollback={"window": "3h"})
    cold = decided(widened, pods_of(widened, A)[0], *pods_of(widened, B, routed=True))
    assert does(cold) == ["apply Deployment/va"], "the level counts, not what was there before"


def test_a_displaced_version_that_the_stage_has_rejected_keeps_no_pods():
    model = switched()
    rejection = Rejection(
        version="va",
        digest=str(A.digest),
        spec_hash=spec_hash(model.spec.stages["production"]),
        reason="GateFailed",
        message="no",
        time=NOW,
    )
    model = switched(rejected=(rejection,))
    decision = decided(model, *there(model))
    assert ([words.split("/")[0] for words in does(decision)], until(decision)) == (
        ["delete Deployment"],
        None,
    )


def test_a_changed_setting_of_the_operator_does_not_restart_warm_pods():
    model = switched()
    elsewhere = Runtime(
        "modelyard/runtime:1.2.3", "IfNotPresent", "1.2.3", pull_secrets=("mirror",)
    )
    assert does(decided(model, *there(model), runtime=elsewhere)) == []


def test_a_model_with_a_warm_version_is_reconciled_when_the_operator_starts():
    model = switched()
    kept = after(model, decided(model, *there(model)))
    whole = kept.model_copy(
        update={
            "status": kept.status.model_copy(
                update={"observed_generation": 7, "conditions": IN_ORDER}
            )
        }
    )
    assert not in_sync(whole, there(model)), "nothing else tells when the window ends"
    ended = after(whole, decided(whole, *pods_of(model, B, routed=True), now=NOW + HOUR))
    assert in_sync(ended, pods_of(model, B, routed=True))


# --- its return -----------------------------------------------------------------------------------
ASKED = {"asked": GATE, "from": "staging"}


def test_inside_the_window_a_version_returns_by_one_change_of_the_service_without_gates():
    model = recorded_first(switched("va", **ASKED), *there(switched()))
    back = decided(model, *there(model))
    assert (does(back), states(back)) == (
        ["apply Service/va", "apply PodDisruptionBudget/va"],
        ["admit", "start", "switch", "record"],
    )


def test_after_the_window_a_version_is_promoted_like_any_other():
    late = switched("va", ago=HOUR, **ASKED)
    model = recorded_first(late, *there(late))
    waits = decided(model, *there(model))
    assert states(waits) == ["admit", "from", "gates", "start", "switch", "record"]
    assert waits.status.blocked is not None
    assert waits.status.blocked.reason == "WaitingForStage"


def test_a_returning_version_routed_to_when_the_window_ends_is_not_judged():
    model = switched("va", ago=HOUR, candidate=served(A), start_time=NOW - SECOND, **ASKED)
    recorded = decided(model, *pods_of(model, A, routed=True), *pods_of(model, B))
    assert (recorded.status.version, recorded.status.previous) == ("va", displaced(B, NOW + HOUR))


def test_a_promotion_begun_after_the_window_is_judged_to_the_end():
    model = switched("va", ago=2 * HOUR, candidate=served(A), start_time=NOW, **ASKED)
    decision = decided(model, *pods_of(model, A, routed=True), *pods_of(model, B))
    assert decision.entry is None


def test_inside_the_window_a_version_returns_with_its_runtime_in_a_stage_with_update_always():
    always = {"serving": {"runtime": {"update": "Always"}}}
    model = stage_of(
        "va", holds=served(B, NEWER), since=MINUTE, previous=displaced(A), rollback=WINDOW, **always
    )
    there_ = (*pods_of(model, A), *pods_of(model, served(B, NEWER), routed=True))
    assert recorded_first(model, *there_, runtime=NEWER).status.stages[
        "production"
    ].candidate == served(A)
    late = stage_of(
        "va", holds=served(B, NEWER), since=HOUR, previous=displaced(A), rollback=WINDOW, **always
    )
    assert recorded_first(late, *there_, runtime=NEWER).status.stages[
        "production"
    ].candidate == served(A, NEWER)


@pytest.mark.parametrize(
    ("ago", "asked"), [(10 * MINUTE, ()), (HOUR, ("quality",)), (2 * HOUR, ("quality",))]
)
def test_evidence_for_gates_is_read_only_when_they_are_evaluated(
    ago: timedelta, asked: tuple[str, ...]
):
    model = switched("va", ago=ago, asked=GATE)
    assert tuple(gate.name for gate in open_gates(model, "production", A, NOW)) == asked


def test_a_window_is_no_condition_on_a_version():
    with_window, without = (
        switched(rollback=each).spec.stages["production"] for each in (WINDOW, None)
    )
    assert spec_hash(with_window) == spec_hash(without)
