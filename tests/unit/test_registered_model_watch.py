"""The watch after a switch: what is watched, for how long, and what is a breach."""

from __future__ import annotations

from typing import Any

import pytest

from modelyard.adapters.pod_traffic import PodTraffic
from modelyard.api.base import condition
from modelyard.api.registered_model import (
    HeldStage,
    OverrideStatus,
    PreviousVersion,
    RegisteredModel,
    ServedVersion,
    StageStatus,
    Watch,
)
from modelyard.plan import Manifest
from modelyard.registered_model.conditions import of_stages
from modelyard.registered_model.decision import StageDecision
from modelyard.registered_model.evidence import answered
from modelyard.registered_model.held import with_held
from modelyard.registered_model.in_sync import in_sync
from modelyard.registered_model.observation import Evidence
from modelyard.traffic import Answered
from tests.fakes.pods import FakePods
from tests.unit.builders import MINUTE, NOW, SECOND, pod
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
    routes_to,
    served,
    stage_of,
)

AUTOMATIC = {"automatic": {"watchFor": "15m", "maxErrorRate": "0.05", "minRequests": 50}}
SINCE = NOW - MINUTE
STAMP, LATER = "2026-01-01T11:59:30Z", "2026-01-01T11:59:31Z"
REFRESHED = served(A, NEWER)


def watching(**more: Any) -> RegisteredModel:
    """vb displaced va a minute ago, and is watched."""
    watch = Watch(
        since_time=SINCE, until_time=SINCE + 15 * MINUTE, displaced=served(A).runtime.identity
    )
    given = {
        "holds": B,
        "since": MINUTE,
        "previous": served(A),
        "watch": watch,
        "rollback": AUTOMATIC,
    }
    return stage_of(more.pop("version", "vb"), **(given | more))


def pods(
    model: RegisteredModel, *, ready: int = 1, stable: Any = B, warm: Any = A, **status: Any
) -> tuple[Manifest, ...]:
    """Return what serves: the watched version with a pod, and the previous one, which keeps its
    pods.
    """
    there = pods_of(model, stable, routed=True, ready=ready)
    one = pod(
        deployment_in(there),
        name="vb-1",
        **{"statuses": [{"name": "model", "ready": True, "started": True}]} | status,
    )
    return (*there, one, *(pods_of(model, warm) if warm is not None else ()))


def decide(
    model: RegisteredModel,
    *,
    answered: tuple[int, int] | None = None,
    owned: Any = None,
    **more: Any,
) -> StageDecision:
    evidence = Evidence(answered={"production": Answered(*answered)} if answered else {})
    return decided(model, *(pods(model) if owned is None else owned), evidence=evidence, **more)


def watch_of(decision: StageDecision) -> Watch:
    assert decision.status.watch is not None
    return decision.status.watch


def ended(at: str = LATER, reason: str = "OOMKilled") -> list[Manifest]:
    return [
        {
            "name": "model",
            "lastState": {"terminated": {"reason": reason, "exitCode": 137, "finishedAt": at}},
        }
    ]


def unready(since: str, *, started: bool = True, containers: str = "False") -> dict[str, Any]:
    said = {"Ready": "False", "ContainersReady": containers}
    found = [
        {"type": type_, "status": status, "lastTransitionTime": since}
        for type_, status in said.items()
    ]
    return {
        "statuses": [{"name": "model", "ready": False, "started": started}],
        "conditions": found,
    }


# --- what is watched ------------------------------------------------------------------------------
def switched(
    version: str = "vb", *, to: Any = B, holds: Any = A, **more: Any
) -> tuple[RegisteredModel, StageDecision]:
    """Return the decision that records a candidate's switch."""
    candidate = to if isinstance(to, ServedVersion) else served(to)
    model = stage_of(
        version, **({"holds": holds, "candidate": candidate, "rollback": AUTOMATIC} | more)
    )
    owned = (
        *pods_of(model, candidate, routed=True),
        *(pods_of(model, holds) if holds is not None else ()),
    )
    return model, decided(model, *owned)


def test_a_switch_begins_a_watch_and_the_displaced_version_keeps_its_pods():
    model, decision = switched()
    begun = Watch(
        since_time=NOW, until_time=NOW + 15 * MINUTE, displaced=served(A).runtime.identity
    )
    assert (decision.record, decision.status.watch) == (True, begun)
    model = after(model, decision)
    for now in (NOW + MINUTE, NOW + 15 * MINUTE - SECOND):
        later = decided(model, *pods(model), now=now)
        assert (does(later), later.status.watch) == ([], begun)
        assert later.requeue_after == min(10 * SECOND, begun.until_time - now)
    ends = decided(model, *pods(model), now=begun.until_time)
    assert (does(ends), ends.status.watch) == (
        [f"delete Deployment/{deployment_in(pods_of(model, A))['metadata']['name']}"],
        None,
    )


def test_the_displaced_version_is_healed_while_the_watch_lasts():
    model = watching()
    lost = [each for each in pods(model) if each not in pods_of(model, A)]
    assert does(decided(model, *lost)) == ["apply ControllerRevision/va", "apply Deployment/va"]


def test_without_automatic_rollback_and_with_an_override_nothing_is_watched():
    assert switched(rollback=None)[1].status.watch is None
    until = NOW + MINUTE
    override = {"version": "vb", "reason": "incident 4711", "until": until.isoformat()}
    model = stage_of("va", holds=A, candidate=served(B), rollback=AUTOMATIC, override=override)
    noted = after(model, decided(model, *pods_of(model, B, routed=True), *pods_of(model, A)))
    decision = decided(noted, *pods_of(noted, B, routed=True), *pods_of(noted, A))
    assert (decision.record, decision.status.version, decision.status.watch) == (True, "vb", None)


def test_a_returning_version_is_not_watched_and_a_refresh_is():
    assert switched("va", to=A, holds=B, previous=served(A))[1].status.watch is None
    _, refreshed = switched("va", to=REFRESHED, holds=A, attempt=1, previous=served(C))
    assert watch_of(refreshed).displaced == served(A).runtime.identity
    assert refreshed.status.previous == PreviousVersion.of(served(C))


def test_a_first_version_is_watched_though_nothing_can_return():
    _, first = switched(holds=None)
    assert watch_of(first).displaced is None


def test_there_is_no_automatic_rollback_to_the_version_of_an_override():
    model, _ = switched(attempt=1)
    put = OverrideStatus(
        version="va", digest=A.digest, since_time=NOW - MINUTE, until_time=NOW, ended=True
    )
    stage = model.status.stages["production"].model_copy(update={"override": put})
    decision = decided(carried(model, stage), *pods_of(model, B, routed=True), *pods_of(model, A))
    assert (decision.status.version, watch_of(decision).displaced) == ("vb", None)


def test_the_watch_is_as_long_as_the_spec_says_now_and_ends_with_it():
    longer = {"automatic": AUTOMATIC["automatic"] | {"watchFor": "1h"}}
    assert watch_of(decide(watching(rollback=longer))).until_time == SINCE + 60 * MINUTE
    assert decide(watching(rollback=None)).status.watch is None
    assert decide(watching(version=None)).status.watch is None
    assert decide(watching(serving={"replicas": 0})).status.watch is None


# --- what is a breach -----------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("found", "says"),
    [
        ({"statuses": ended()}, "the model server of pod vb-1 ended (OOMKilled)"),
        ({"statuses": ended("2026-01-01T11:00:00Z")}, None),  # before the switch
        ({"statuses": ended(reason="Unknown")}, None),  # its node was rebooted
        ({"ready": 0, **unready(STAMP)}, "0 of 1 pods were ready; vb-1 was not for 30 s"),
        ({"ready": 0, **unready(LATER)}, None),  # for 29 s
        ({"ready": 1, **unready(STAMP)}, None),  # enough others are ready
        (
            {"ready": 0, **unready(STAMP, started=False)},
            None,
        ),  # it is starting: a node was drained, or the stage was scaled up
        ({"ready": 0, **unready(STAMP, containers="True")}, None),  # its node is unreachable
    ],
)
def test_crashes_and_pods_that_stop_answering(found: dict[str, Any], says: str | None):
    model = watching()
    decision = decide(model, owned=pods(model, **found))
    assert bool(decision.events) is (says is not None)
    if says is not None:
        assert says in decision.events[0].message


@pytest.mark.parametrize(
    ("answered", "breach"),
    [((49, 49), False), ((50, 15), True), ((50, 3), False), ((10_000, 480), False), (None, False)],
)
def test_the_error_rate(answered: tuple[int, int] | None, breach: bool):
    decision = decide(watching(), answered=answered)
    assert bool(decision.events) is breach
    if breach:
        assert "15 of 50 requests failed (30.00% > 5.00%)" in decision.events[0].message


def test_the_status_has_the_counts_as_they_grow():
    model = after(watching(), decide(watching(), answered=(100, 1)))
    assert (watch_of(decide(model)).requests, watch_of(decide(model)).failures) == (100, 1)
    assert watch_of(decide(model, answered=(124, 1))).requests == 100, (
        "it is a copy, for an operator that comes back"
    )
    assert watch_of(decide(model, answered=(126, 1))).requests == 126
    assert watch_of(decide(model, answered=(101, 2))).failures == 2


@pytest.mark.parametrize(
    "changed",
    [
        {"now": SINCE + 15 * MINUTE},
        {"model": watching(rollback=None)},
        {"model": watching(watch=None)},
    ],
)
def test_nothing_is_judged_without_a_watch(changed: dict[str, Any]):
    model = changed.pop("model", watching())
    decision = decide(model, answered=(1000, 1000), owned=pods(model, statuses=ended()), **changed)
    assert (decision.record, decision.events) == (False, ())


# --- a stage whose watch has rejected the version -------------------------------------------------
def breached(**more: Any) -> RegisteredModel:
    """Return the model with the breach recorded."""
    model = watching(**more)
    decision = decide(model, answered=(50, 15))
    assert (decision.record, decision.quiet, decision.actions, decision.entry) == (
        True,
        True,
        (),
        None,
    )
    assert [(event.reason, event.warning) for event in decision.events] == [("RolledBack", True)]
    return after(model, decision)


def rejections(model: RegisteredModel) -> list[tuple[str, str | None, str]]:
    return [
        (each.version, each.runtime, each.reason)
        for each in model.status.stages["production"].rejected
    ]


def through(
    model: RegisteredModel, *, warm: Any = A, stable: Any = B, **more: Any
) -> tuple[RegisteredModel, StageDecision]:
    """Carry the rollback out step by step; return the status at the end."""
    began = decide(model, owned=pods(model, stable=stable, warm=warm), **more)
    what = warm if isinstance(warm, ServedVersion) else served(warm)
    assert (began.record, began.status.candidate, began.entry) == (True, what, None)
    model = after(model, began)
    switches = decide(model, owned=pods(model, stable=stable, warm=warm), **more)
    assert (does(switches), routes_to(switches)) == (
        [f"apply Service/{what.version}", f"apply PodDisruptionBudget/{what.version}"],
        what.version,
    )
    assert [step.name for step in switches.status.steps] == [
        "admit",
        "start",
        "switch",
        "record",
    ], "it is asked nothing"
    recorded = decide(
        model, owned=(*pods_of(model, warm, routed=True), *pods_of(model, stable)), **more
    )
    assert (recorded.record, recorded.status.effective, recorded.status.watch) == (True, what, None)
    return after(model, recorded), recorded


def carried(model: RegisteredModel, status: StageStatus) -> RegisteredModel:
    return model.model_copy(
        update={"status": watching().status.model_copy(update={"stages": {"production": status}})}
    )


# --- effects elsewhere ----------------------------------------------------------------------------
def test_a_rolled_back_version_does_not_count_for_other_stages():
    _, recorded = through(breached())
    held = HeldStage(stage="production", digest=B.digest, since_time=SINCE)
    (version,) = with_held(
        [B.model_copy(update={"held": (held,)})], {"production": recorded.status}, NOW
    )
    assert [(each.until_time, each.verified) for each in version.held] == [(NOW, False)]
    ordinary = recorded.status.model_copy(update={"rejected": ()})
    (version,) = with_held([B.model_copy(update={"held": (held,)})], {"production": ordinary}, NOW)
    assert [(each.until_time, each.verified) for each in version.held] == [(NOW, None)]


async def test_only_pods_of_the_watched_stage_are_read_and_none_without_a_watch():
    asked = FakePods()
    asked.said = {"vb": (7, 0)}
    model = watching()
    ours = [each for each in pods(model) if each["kind"] == "Pod"]
    other = pod(deployment_in(pods(model)), name="staging-1")
    other["metadata"]["labels"]["modelyard.io/stage"] = "staging"
    assert await answered(model, [*ours, other], PodTraffic(asked), NOW) == {
        "production": Answered()
    }
    assert asked.asked == ["vb-1"]
    for idle, now in (
        (watching(watch=None), NOW),
        (watching(rollback=None), NOW),
        (model, SINCE + 15 * MINUTE),
    ):
        assert await answered(idle, ours, PodTraffic(asked), now) == {}
    assert asked.asked == ["vb-1"]


def test_a_restarted_operator_checks_watched_versions_at_once():
    model = after(watching(), decide(watching()))
    status = model.status.model_copy(
        update={
            "observed_generation": 7,
            "conditions": (
                condition("Ready", True, "Serving"),
                condition("Synced", True, "Synced"),
            ),
        }
    )
    calm = model.model_copy(update={"status": status})
    assert not in_sync(calm, pods(calm))
    unwatched = status.stages["production"].model_copy(update={"watch": None})
    ready = calm.model_copy(
        update={"status": status.model_copy(update={"stages": {"production": unwatched}})}
    )
    assert in_sync(ready, pods(ready))


def test_the_condition_says_until_when_a_version_is_watched():
    model = watching()
    (said, *_) = of_stages(model, {"production": decide(model).status})
    assert (said.status, said.message) == (
        "True",
        "production: vb (watched until 2026-01-01 12:14 UTC).",
    )
