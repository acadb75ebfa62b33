"""A rollout in steps: its state, pauses, resuming and aborting.

The last tests use a real API server.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from modelyard.api.registered_model import RegisteredModel
from modelyard.client import aborting, rollouts
from modelyard.client.client import Client
from modelyard.client.errors import NotFound, Paused, Refused
from modelyard.client.progress import Change, State, stage_change
from tests.cli.objects import (
    NEW,
    NOW,
    SYNCED,
    before,
    held,
    model,
    progressing,
    served,
    steps,
    version,
)
from tests.client.side import Side
from tests.harness import until

V3 = Change("production", "v3", 3)
STEPS: list[dict[str, Any]] = [
    {"weight": 5},
    {"hold": "10m"},
    {"pause": {}},
    {"weight": 50},
    {"pause": {}},
]
NAMES = ("admit", "start", "rollout", "switch", "record")
COUNTS = {
    "stable": {"requests": 9120, "failures": 3},
    "candidate": {"requests": 480, "failures": 0},
}


def state(index: int, **more: Any) -> dict[str, Any]:
    """Return `status.stages.<name>.rollout`, with its weight applied."""
    return {
        "stepsHash": "0",
        "index": index,
        "sinceTime": before(minutes=3),
        "weight": 5,
        "appliedBy": 2,
        "of": 2,
    } | more


def blocked(
    reason: str = "RollingOut", message: str = "v3 gets 5 % of the requests."
) -> dict[str, Any]:
    return {"reason": reason, "message": message}


def at(
    index: int,
    *,
    resumed: int = 0,
    wanted: str = "v3",
    stage: dict[str, Any] | None = None,
    **more: Any,
) -> RegisteredModel:
    """Return a model with v2 effective in production and v3 at a step of its rollout."""
    paused = "pause" in STEPS[index] if index < len(STEPS) else False
    rollout_state = {
        "desired": "v3",
        "candidate": served("v3", NEW),
        "steps": steps("Done", "Done", "Waiting" if paused else "Active", names=NAMES),
        "blocked": blocked("RolloutPaused" if paused else "RollingOut"),
        "rollout": state(index, **more.pop("rollout", {})),
    }
    spec = {
        "version": wanted,
        "rollout": {"strategy": "Canary", "steps": STEPS, "resumed": resumed},
    }
    return model(
        {"production": held("v2", before(hours=3)) | rollout_state | (stage or {})},
        spec_stages={"production": spec},
        conditions=[*progressing("RollingOut", "production: v3"), SYNCED],
        versions=[version("v2"), version("v3")],
        **more,
    )


def found(*arguments: Any, **options: Any) -> rollouts.RolloutState:
    rollout_state = rollouts.rollout_state(at(*arguments, **options), "production")
    assert rollout_state is not None
    return rollout_state


# --- progress -------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("index", "more", "words"),
    [
        (0, {}, "step 1 of 6: weight 5"),
        (1, {}, "step 2 of 6: hold 10m, 7m left"),
        (
            1,
            {"rollout": {"sinceTime": before(minutes=11)}},
            "step 2 of 6: hold 10m, its time is over",
        ),
        (1, {"rollout": {"appliedBy": 1}}, "step 2 of 6: hold 10m"),
        (2, {}, "step 3 of 6: pause, waits for a user"),
        (2, {"resumed": 1}, "step 3 of 6: pause"),
        (5, {}, "step 6 of 6: weight 100"),
        (9, {}, "step 6 of 6: weight 100"),
    ],
)
def test_a_step_says_what_it_waits_for(index: int, more: dict[str, Any], words: str):
    assert found(index, **more).words(NOW) == words


def test_counts_are_shown_with_the_share_of_failures():
    assert found(1).counts == ()
    counted = found(1, rollout=COUNTS | {"candidate": {"requests": 480, "failures": 60}})
    assert counted.counts == (
        ("v2", "9,120 requests, 3 failed (0.033 %)"),
        ("v3", "480 requests, 60 failed (12 %)"),
    )
    rare = found(1, rollout={"stable": {"requests": 1_000_000, "failures": 3}})
    assert rare.counts == (
        ("v2", "1,000,000 requests, 3 failed (less than 0.01 %)"),
        ("v3", "0 requests, none failed"),
    )
    same = at(1, rollout=COUNTS, stage={"candidate": served("v2", NEW)}, wanted="v2")
    rollout_state = rollouts.rollout_state(same, "production")
    assert rollout_state is not None
    assert [name for name, _ in rollout_state.counts] == ["v2", "v2 with another runtime"]


def test_without_a_rollout_there_is_none():
    assert rollouts.rollout_state(at(1, stage={"rollout": None}), "production") is None
    assert rollouts.rollout_state(at(1, stage={"candidate": None}), "production") is None
    assert rollouts.rollout_state(at(1), "canary") is None
    assert rollouts.rollout_state(model(), "production") is None


def test_a_change_s_fraction_is_that_of_its_rollout():
    far = [stage_change(at(index), V3).fraction for index in range(len(STEPS) + 1)]
    assert far == sorted(set(far))
    assert (far[0], far[-1]) == (pytest.approx(2 / 6), pytest.approx((2 + 5 / 6) / 6))


@pytest.mark.parametrize(
    ("there", "is_paused"),
    [
        (at(1), False),
        (at(2), True),
        (at(2, resumed=1), False),
        (at(4, resumed=1), True),
        (at(4, resumed=2), False),
        (at(2, rollout={"resumed": 3}, resumed=3), True),
        (at(2, rollout={"resumed": 3}, resumed=4), False),
        (at(3, stage={"blocked": blocked("RolloutPaused")}), False),
        (at(2, stage={"blocked": blocked("RollingOut", "0 of 1 pods of it are ready.")}), False),
    ],
)
def test_a_pause_lasts_until_resumed_exceeds_that_of_earlier_pauses(
    there: RegisteredModel, is_paused: bool
):
    progress = stage_change(there, V3)
    assert (progress.state, progress.is_paused, progress.waits_for_others) == (
        State.UNDER_WAY,
        is_paused,
        is_paused,
    )


def test_a_change_is_followed_for_as_long_as_its_holds_take():
    assert (
        rollouts.longest(at(0), ["production"])
        == rollouts.longest(at(0), ["staging", "production"])
        == rollouts.USUAL + 600
    )
    assert (
        rollouts.longest(at(0), ["staging"])
        == rollouts.longest(model(), ["production"])
        == rollouts.USUAL
    )


# --- resume ---------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("there", "resumed"),
    [
        (at(2), 1),
        (at(4, resumed=1), 2),
        (at(2, rollout={"resumed": 7}, resumed=7), 8),
        (
            at(4, rollout={"resumed": 7}, resumed=0),
            9,
        ),  # set back meanwhile: raising by one would not pass it
    ],
)
def test_a_resume_ends_one_pause_of_the_object_that_was_read(there: RegisteredModel, resumed: int):
    patch = rollouts.resume(there, "production")
    assert patch == {
        "metadata": {"resourceVersion": there.metadata.resource_version},
        "spec": {"stages": {"production": {"rollout": {"resumed": resumed}}}},
    }


@pytest.mark.parametrize(
    ("there", "words"),
    [
        (
            at(1),
            (
                r"There is nothing to resume in production of risk/fraud: v3 is at step 2 of 6:"
                r" hold 10m, which is no pause\."
            ),
        ),
        (at(2, resumed=1), "v3 has been resumed already, and continues"),
        (at(2, resumed=1, generation=4, observed=3), "v3 has been resumed already, and continues"),
        (at(2, generation=4, observed=3), "has not observed the last change"),
        (at(2, stage={"rollout": None}), "no rollout in steps is under way"),
    ],
)
def test_a_rollout_that_is_not_paused_is_not_resumed(there: RegisteredModel, words: str):
    with pytest.raises(Refused, match=words):
        rollouts.resume(there, "production")
    with pytest.raises(NotFound, match="has no stage prod"):
        rollouts.resume(there, "prod")


# --- abort ----------------------------------------------------------------------------------------
def test_an_abort_sets_the_effective_version():
    given_up = aborting.abort(at(1), "production")
    assert (given_up.given_up, given_up.version, given_up.wanted) == ("v3", "v2", {"version": "v2"})
    assert given_up.change(at(1), "production") == Change("production", "v2", 3)


def test_an_abort_after_a_rejection_sets_the_spec_to_the_effective_version():
    rejected = at(
        1,
        stage={
            "candidate": None,
            "rollout": None,
            "blocked": blocked("RolloutFailed") | {"needsAction": True},
        },
    )
    assert aborting.abort(rejected, "production").wanted == {"version": "v2"}


def test_an_abort_of_a_first_version_leaves_the_stage_empty():
    first = model({"production": {"desired": "v1", "candidate": served("v1")}}, wanted="v1")
    assert aborting.abort(first, "production").wanted == {"version": None}


def test_an_abort_of_a_refresh_sets_attempt_back():
    spec = {"production": {"version": "v2", "attempt": 5}}
    refresh = model(
        {"production": held("v2", before(hours=3), attempt=4, candidate=served("v2", NEW))},
        spec_stages=spec,
    )
    found = aborting.abort(refresh, "production")
    assert (found.is_refresh, found.wanted) == (True, {"attempt": 4})
    assert found.change(refresh, "production") == Change("production", "v2", 3, 4)
    follows = model({"production": held("v2", before(hours=3), candidate=served("v2", NEW))})
    with pytest.raises(Refused, match="follows the operator's runtime"):
        aborting.abort(follows, "production")


def test_an_abort_in_a_stage_with_auto_promote_ends_auto_promote():
    newest = model(
        {"production": held("v2", before(hours=3), desired="v3", candidate=served("v3"))},
        spec_stages={"production": {"autoPromote": {"from": "newest"}}},
    )
    assert aborting.abort(newest, "production").wanted == {"version": "v2", "autoPromote": None}


def test_without_a_change_or_during_an_override_there_is_nothing_to_abort():
    with pytest.raises(
        Refused, match=r"There is nothing to abort in production of risk/fraud: v2 is effective\."
    ):
        aborting.abort(model(), "production")
    with pytest.raises(NotFound, match="has no stage prod"):
        aborting.abort(model(), "prod")
    override = {"version": "v3", "reason": "x", "until": "2030-01-01T00:00:00Z"}
    known = {"version": "v3", "sinceTime": before(hours=1), "untilTime": "2030-01-01T00:00:00Z"}
    there = model(
        {
            "production": held(
                "v2", before(hours=3), desired="v3", candidate=served("v3"), override=known
            )
        },
        spec_stages={"production": {"version": "v2", "override": override}},
    )
    with pytest.raises(Refused, match="modelyard override fraud --stage production --end"):
        aborting.abort(there, "production")


# --- on a real API server -------------------------------------------------------------------------
@pytest.fixture
def client(side: Side) -> Iterator[Client]:
    with Client(side.namespace, kubeconfig=str(side.server.kubeconfig)) as there:
        yield there


def made(side: Side) -> None:
    """v2 is effective in production, whose rollout has steps."""
    stage = {"version": "v2", "rollout": {"strategy": "Canary", "steps": STEPS}}
    side.ours(
        "RegisteredModel",
        "fraud",
        {"versions": {"v2": {"runId": "2"}, "v3": {"runId": "3"}}, "stages": {"production": stage}},
    )


def rolls(side: Side, index: int, reason: str = "RollingOut") -> None:
    """Write the operator's status at a step."""
    written = at(index, stage={"blocked": blocked(reason)}, rollout=COUNTS).status
    stages = {
        "production": written.stages["production"].model_dump(
            mode="json", by_alias=True, exclude_none=True
        )
    }
    side.status("RegisteredModel", "fraud", reason, "in other words", stages=stages)


def is_asked(side: Side, **what: Any) -> bool:
    stage = side.get("RegisteredModel", "fraud")["spec"]["stages"]["production"]
    return what.items() <= (stage | {"resumed": stage["rollout"].get("resumed", 0)}).items()


def test_a_promotion_ends_at_a_pause_and_says_how_it_continues(client: Client, side: Side):
    made(side)

    def operator(there: Side) -> None:
        until(lambda: is_asked(there, version="v3"), "v3 is asked for")
        rolls(there, 2, "RolloutPaused")

    with (
        side.meanwhile("RegisteredModel", "fraud", operator),
        pytest.raises(Paused, match="RolloutPaused: v3 gets 5 %") as paused,
    ):
        client.models.set_stage("fraud", "v3", "production")
    assert "client.models.resume('fraud', 'production')" in str(paused.value)


def test_a_resume_is_one_patch_that_is_followed_to_the_next_pause_or_the_end(
    client: Client, side: Side
):
    made(side)
    side.patch("RegisteredModel", "fraud", {"spec": {"stages": {"production": {"version": "v3"}}}})
    rolls(side, 2, "RolloutPaused")

    def operator(there: Side) -> None:
        until(lambda: is_asked(there, resumed=1), "it is resumed")
        rolls(there, 3)
        rolls(there, 4, "RolloutPaused")

    with side.meanwhile("RegisteredModel", "fraud", operator), pytest.raises(Paused):
        client.models.resume("fraud", "production")

    def ends(there: Side) -> None:
        until(lambda: is_asked(there, resumed=2), "it is resumed again")
        stages = {
            "production": {
                "version": "v3",
                "desired": "v3",
                "candidate": None,
                "rollout": None,
                "blocked": None,
            }
        }
        there.status(
            "RegisteredModel", "fraud", "Serving", ready=True, also={"Synced": True}, stages=stages
        )

    with side.meanwhile("RegisteredModel", "fraud", ends):
        done = client.models.resume("fraud", "production", seconds=60)
    assert done.stages() == {"production": "v3"}


def test_of_two_resumes_at_once_one_is_refused(client: Client, side: Side):
    made(side)
    side.patch("RegisteredModel", "fraud", {"spec": {"stages": {"production": {"version": "v3"}}}})
    rolls(side, 2, "RolloutPaused")
    seen = client.models.get("fraud").object
    client.models.resume("fraud", "production", seconds=0)
    with pytest.raises(Refused):
        client.kube.patch("RegisteredModel", "fraud", rollouts.resume(seen, "production"))
    assert is_asked(side, resumed=1)
    with pytest.raises(Refused, match="has been resumed already"):
        client.models.resume("fraud", "production")


def test_an_abort_sets_the_version_back_and_clears_the_reason(client: Client, side: Side):
    made(side)
    side.patch(
        "RegisteredModel",
        "fraud",
        {"spec": {"stages": {"production": {"version": "v3", "reason": "better"}}}},
    )
    rolls(side, 1)
    after = client.models.abort("fraud", "production", seconds=0).spec.stages["production"]
    assert (after.version, after.reason) == ("v2", None)


def test_a_notebook_shows_the_rollout(client: Client, side: Side):
    made(side)
    side.patch("RegisteredModel", "fraud", {"spec": {"stages": {"production": {"version": "v3"}}}})
    rolls(side, 2, "RolloutPaused")
    html = client.models.get("fraud")._repr_html_()
    assert "rollout of production" in html
    assert "5% to v3, applied by 2/2 pods" in html
    assert "step 3 of 6: pause, waits for a user" in html
    assert "9,120 requests, 3 failed (0.033 %)" in html
