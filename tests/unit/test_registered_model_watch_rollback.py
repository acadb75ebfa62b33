"""The automatic rollback: the stage returns to what the rejected version displaced."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from modelyard.api.registered_model import (
    Outcome,
    PreviousVersion,
    RegisteredModel,
    Rejection,
    Watch,
)
from modelyard.registered_model.decision import StageDecision
from modelyard.registered_model.rejections import spec_hash
from tests.unit.builders import MINUTE, NOW, pod
from tests.unit.models import (
    NEWER,
    A,
    B,
    C,
    after,
    decided,
    deployment_in,
    does,
    pods_of,
    served,
    stage_of,
)
from tests.unit.test_registered_model_watch import (
    AUTOMATIC,
    REFRESHED,
    SINCE,
    breached,
    carried,
    decide,
    pods,
    rejections,
    through,
    watching,
)


def test_a_breach_is_recorded_first_and_then_the_previous_version_returns_against_the_spec():
    model = breached()
    assert rejections(model) == [("vb", None, "RolledBack")]
    model, recorded = through(model)
    assert recorded.entry is not None
    assert (recorded.entry.outcome, recorded.entry.to, recorded.entry.from_) == (
        Outcome.ROLLED_BACK,
        "va",
        "vb",
    )
    assert recorded.entry.reason == "After the switch 15 of 50 requests failed (30.00% > 5.00%)."
    assert recorded.status.previous is None, (
        "what was rejected does not come back without its gates"
    )
    rests = decide(model, owned=pods_of(model, A, routed=True))
    blocked = rests.status.blocked
    assert (does(rests), rests.record, rests.status.version, rests.status.desired) == (
        [],
        False,
        "va",
        "vb",
    )
    assert blocked is not None
    assert (blocked.reason, blocked.needs_action) == ("RolledBack", True)
    assert (
        "kubectl patch mlmodel fraud --type merge -p"
        """ '{"spec":{"stages":{"production":{"version":"va"}}}}'""" in blocked.message
    )


def test_an_automatic_rollback_waits_for_no_gate_no_freeze_and_no_dependency():
    gates = [{"name": "quality", "metric": {"name": "accuracy", "atLeast": "0.9"}}]
    model = breached(asked=gates, **{"from": "staging"})
    assert rejections(through(model, calendar="it cannot be read", dependencies_down=True)[0]) == [
        ("vb", None, "RolledBack")
    ]


def test_after_a_refresh_the_previous_runtime_returns_and_the_new_one_is_not_retried():
    watch = Watch(
        since_time=SINCE, until_time=SINCE + 15 * MINUTE, displaced=served(A).runtime.identity
    )
    model = stage_of(
        "va",
        holds=REFRESHED,
        since=MINUTE,
        previous=served(C),
        watch=watch,
        rollback=AUTOMATIC,
        attempt=1,
    )
    model = after(model, model_attempt(model, 1))
    owned = pods(model, stable=REFRESHED)
    decision = decide(model, answered=(50, 15), owned=owned)
    model = after(model, decision)
    assert rejections(model) == [("va", REFRESHED.runtime.identity, "RolledBack")]
    model, recorded = through(model, stable=REFRESHED)
    assert (recorded.status.previous, recorded.status.attempt) == (PreviousVersion.of(served(C)), 0)
    assert recorded.entry is not None
    assert (recorded.entry.outcome, recorded.entry.to) == (Outcome.ROLLED_BACK, "va")
    rests = decided(model, *pods_of(model, A, routed=True), runtime=NEWER)
    assert rests.status.blocked is not None
    assert (does(rests), rests.status.blocked.reason, rests.status.blocked.needs_action) == (
        [],
        "RolledBack",
        True,
    )


def model_attempt(model: RegisteredModel, attempt: int) -> StageDecision:
    """Return the stage's status with the `attempt` that was carried out."""
    return StageDecision(model.status.stages["production"].model_copy(update={"attempt": attempt}))


def test_a_spec_with_the_rolled_back_version_ends_the_rollback_and_a_raised_attempt_retries():
    model, _ = through(breached())
    status = model.status.stages["production"]
    agrees = carried(stage_of("va", rollback=AUTOMATIC), status)
    assert decide(agrees, owned=pods_of(agrees, A, routed=True)).status.blocked is None
    gates = [{"name": "quality", "metric": {"name": "accuracy", "atLeast": "0.9"}}]
    again = carried(stage_of("vb", rollback=AUTOMATIC, attempt=1, asked=gates), status)
    decision = decide(again, owned=pods_of(again, A, routed=True))
    assert decision.status.candidate == served(B)
    names = [
        step.name
        for step in decide(
            after(again, decision), owned=pods_of(again, A, routed=True)
        ).status.steps
    ]
    assert names == ["admit", "gates", "start", "switch", "record"]


def test_a_waiting_promotion_is_dropped_until_the_rollback_is_done_and_a_routed_one_continues():
    model = watching(version="vc", candidate=served(C))
    decision = decide(model, answered=(50, 15))
    assert decision.events
    gone = decide(after(model, decision))
    assert (gone.record, gone.status.candidate, gone.status.desired) == (True, None, "va")
    running = (*pods_of(model, C, routed=True), *pods_of(model, B), *pods_of(model, A))
    assert decide(model, answered=(50, 15), owned=running).events == ()


def test_an_override_and_a_cleared_stage_take_precedence():
    until = NOW + MINUTE
    override = {"version": "vc", "reason": "incident 4711", "until": until.isoformat()}
    model = breached()
    status = model.status.stages["production"]
    asked = carried(stage_of("vb", rollback=AUTOMATIC, override=override), status)
    noted = after(asked, decide(asked))
    assert decide(noted).status.candidate == served(C)
    cleared = carried(stage_of(None, rollback=AUTOMATIC), status)
    assert decide(cleared).entry is not None


@pytest.mark.parametrize(
    "more",
    [
        {
            "watch": Watch(since_time=SINCE, until_time=SINCE + 15 * MINUTE),
            "previous": None,
        },  # the first version
        {"rejected": "va"},
        {"lost": True},
    ],
)
def test_where_nothing_can_return_the_breach_is_reported_and_the_version_keeps_serving(
    more: dict[str, Any],
):
    versions = {"versions": (B, C)} if more.pop("lost", False) else {}
    if more.get("rejected"):
        hashed = spec_hash(watching().spec.stages["production"])
        more["rejected"] = (
            Rejection(
                version="va",
                digest=A.digest,
                spec_hash=hashed,
                reason="LoadFailed",
                message="no.",
                time=NOW,
            ),
        )
    model = watching(**more)
    decision = decide(model, answered=(50, 15), **versions)
    blocked = decision.status.blocked
    assert (decision.record, decision.entry, decision.status.version) == (False, None, "vb")
    assert blocked is not None
    assert (blocked.reason, blocked.needs_action) == ("WatchFailed", True)
    assert "15 of 50 requests failed" in blocked.message


def test_when_the_rollback_target_cannot_start_the_version_stays_and_it_is_reported():
    model = breached()
    model = after(model, decide(model))
    dead = [
        {
            "name": "model",
            "state": {
                "terminated": {
                    "exitCode": 67,
                    "message": '{"reason": "LoadFailed", "message": "no."}',
                }
            },
        }
    ]
    warm = pods_of(model, A, ready=0)
    owned = (*pods(model, warm=None), *warm, pod(deployment_in(warm), name="va-1", statuses=dead))
    model = after(model, decide(model, owned=owned))
    assert rejections(model)[-1] == ("va", served(A).runtime.identity, "ServingFailed")
    stays = decide(model, owned=pods(model, warm=None))
    assert stays.status.blocked is not None
    assert (stays.status.version, stays.status.blocked.reason) == ("vb", "WatchFailed")


def test_an_old_watch_waits_for_the_end_of_a_rollback():
    model = breached()
    late = decide(model, now=SINCE + timedelta(hours=1))
    assert (late.record, late.status.candidate) == (True, served(A))
