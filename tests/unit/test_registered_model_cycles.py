"""Stages that wait for one another: no version can ever reach them, and the condition says so."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelyard.api.registered_model import HeldStage, RegisteredModel, Stage
from modelyard.registered_model.cycles import cycle, unreachable
from tests.unit.builders import NOW
from tests.unit.models import A, B, decided, does, pods_of, served, stage_of

NAMES = "abcdef"


def stages(**needed: str) -> dict[str, Stage]:
    """Return stages by what they wait for: `bc` is `from: b` and a gate soak in c."""
    return {
        name: Stage.model_validate(
            ({"from": of[0]} if of else {})
            | {
                "gates": [
                    {"name": f"soak-{each}", "soak": {"stage": each, "for": "1h"}}
                    for each in of[1:]
                ]
            }
        )
        for name, of in needed.items()
    }


@pytest.mark.parametrize(
    ("needed", "found"),
    [
        ({"a": ""}, ""),
        ({"a": "b", "b": "c", "c": ""}, ""),
        ({"a": "b", "b": "a"}, "ab"),
        ({"a": "b", "b": "c", "c": "a"}, "abc"),
        ({"a": "bc", "b": "", "c": "a"}, "ac"),
        ({"a": "bc", "b": "d", "d": "a", "c": "a"}, "ac"),
        ({"a": "b", "b": "c", "c": "b"}, ""),
        ({"a": "b"}, ""),
    ],
)
def test_the_shortest_cycle_is_found(needed: dict[str, str], found: str):
    assert "".join(cycle(stages(**needed), "a")) == found


@given(
    st.dictionaries(st.sampled_from(NAMES), st.text(st.sampled_from(NAMES), max_size=3), max_size=6)
)
def test_a_cycle_leads_from_a_stage_back_to_it_and_is_found_wherever_it_exists(
    needed: dict[str, str],
):
    asked = stages(**needed)
    found = cycle(asked, "a")
    ring = (*found, "a")
    assert all(then in needed.get(each, "") for each, then in pairwise(ring))
    reached = set(needed.get("a", ""))
    for _ in NAMES:
        reached |= {then for each in reached for then in needed.get(each, "")}
    assert bool(found) == ("a" in reached)


def test_a_version_that_was_in_one_of_the_stages_continues_from_there():
    three = stages(a="b", b="c", c="a")
    held = HeldStage(stage="c", digest=B.digest, since_time=NOW)
    assert "a -> b -> c -> a wait for one another" in (unreachable(three, "a", B) or "")
    assert unreachable(three, "a", B.model_copy(update={"held": (held,)})) is None
    other_bytes = held.model_copy(update={"digest": A.digest})
    assert unreachable(three, "a", B.model_copy(update={"held": (other_bytes,)})) is not None


@pytest.mark.parametrize(
    ("way", "step"),
    [
        ({"from": "canary"}, "from"),
        ({"asked": [{"name": "s", "soak": {"stage": "canary", "for": "1h"}}]}, "gates"),
    ],
)
def test_a_stage_in_a_cycle_is_stalled_and_says_what_to_remove(way: dict[str, Any], step: str):
    model = stage_of("vb", holds=A, candidate=served(B), start_time=NOW, **way)
    model = with_others(model, canary={"from": "staging"}, staging={"from": "production"})
    waiting = decided(model, *pods_of(model, A, routed=True), versions=(A, B))
    assert waiting.status.blocked is not None
    assert (waiting.status.blocked.reason, waiting.status.blocked.needs_action) == (
        "WaitingForStage",
        True,
    )
    assert waiting.status.blocked.message == (
        "The stages production -> canary -> staging -> production wait for one another: each takes"
        " only what has held the next one (by from or the gate soak), and vb has held none of"
        " them. Remove from, or the gate soak, of the stage that versions are to begin in. va is"
        " still serving."
    )
    assert [(each.name, each.state.value) for each in waiting.status.steps][1] == (step, "Failed")
    assert does(waiting) == []
    open_ = with_others(model, canary={"from": "staging"}, staging={})
    plain = decided(open_, *pods_of(model, A, routed=True), versions=(A, B)).status.blocked
    assert plain is not None
    assert not plain.needs_action


def with_others(model: RegisteredModel, **others: dict[str, Any]) -> RegisteredModel:
    """Return the model with other stages in its spec."""
    found = {name: Stage.model_validate(each) for name, each in others.items()}
    return model.model_copy(
        update={"spec": model.spec.model_copy(update={"stages": model.spec.stages | found})}
    )
