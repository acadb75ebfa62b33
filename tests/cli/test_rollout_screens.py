"""A rollout in steps as `status` and `promote` draw it, at 80 columns without colour, from fixed
objects.
"""

from __future__ import annotations

from typing import Any

import pytest
from rich.console import RenderableType
from rich.text import Text

from modelyard.api.registered_model import RegisteredModel
from modelyard.cli.views import models
from modelyard.cli.views.rollouts import part
from modelyard.cli.views.steps import change_lines
from modelyard.client.progress import Change, stage_change
from tests.cli.conftest import Seen
from tests.cli.objects import (
    NEW,
    NOW,
    SYNCED,
    before,
    held,
    holds,
    model,
    progressing,
    served,
    steps,
    version,
)

THREE = [version("v1"), version("v2", held=[holds("production", before(hours=3))]), version("v3")]
CANARY = [{"weight": 5}, {"hold": "10m"}, {"pause": {}}, {"weight": 50}]
GETS = "v3 gets 5 % of the requests (step {} of 5, {}), and v2 the others."
SAYS = "errors: 0 of 480 candidate requests failed; evidence 0.02."
HOLDS = f"{GETS.format(2, 'hold 10m')} The step holds until 2026-01-02 12:07:00 UTC. {SAYS}"
COMMAND = "modelyard resume fraud --stage production"
PAUSES = (
    f"{GETS.format(3, 'pause')} It is paused. To continue: {COMMAND}, or kubectl patch mlmodel"
    " fraud"
)
COUNTED = {
    "stable": {"requests": 9120, "failures": 3},
    "candidate": {"requests": 480, "failures": 0},
}
STEPPED = ("admit", "start", "rollout", "switch", "record")


def rollout_state(index: int, state: str, blocked: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Return a model with v2 effective in production and v3 at a step of its rollout."""
    rollout = {
        "stepsHash": "0",
        "index": index,
        "sinceTime": before(minutes=3),
        "weight": 5,
        "appliedBy": 2,
        "of": 2,
        "said": SAYS,
    }
    detail = f"weight 5, step {index + 1} of 5: {next(iter(CANARY[index]))}"
    return held(
        "v2",
        before(hours=3),
        desired="v3",
        candidate=served("v3", NEW),
        startTime=before(minutes=4),
        steps=steps("Done", "Done", state, detail=detail, names=STEPPED),
        blocked=blocked,
        rollout=rollout | COUNTED | more,
    )


P99 = {"metrics": [{"name": "p99", "latency": {"ratioToStable": "1.5"}}]}
ROLLS = rollout_state(1, "Active", {"reason": "RollingOut", "message": HOLDS}, verdict="Continue")
PAUSED = rollout_state(2, "Waiting", {"reason": "RolloutPaused", "message": PAUSES}, appliedBy=1)
TURNS = {"reason": "Promoting", "message": "v3 is ready and receives all traffic now."}
OLD = "passed: the runtime of v2 is too old to split (modelyard refresh)"
PASSING = [
    *steps("Done", "Done", names=STEPPED[:2]),
    {"name": "rollout", "state": "Done", "sinceTime": before(seconds=2), "detail": OLD},
    *steps("Active", names=STEPPED[3:]),
]
PASSED = ROLLS | {"rollout": None, "steps": PASSING, "blocked": TURNS}


def rolls(stage: dict[str, Any], **rollout: Any) -> RegisteredModel:
    """Return the model with v3 being promoted to production, whose spec has `rollout` besides the
    steps.
    """
    blocked = stage["blocked"]
    conditions = [*progressing(blocked["reason"], f"production: {blocked['message']}"), SYNCED]
    canary = {"strategy": "Canary", "steps": CANARY} | rollout
    spec = {"production": {"version": "v3", "rollout": canary}}
    return model({"production": stage}, conditions=conditions, versions=THREE, spec_stages=spec)


def tree(stage: dict[str, Any], **rollout: Any) -> RenderableType:
    return models.status([rolls(stage, **rollout)], (), NOW, 80)


def followed(stage: dict[str, Any]) -> Text:
    return change_lines("production", stage_change(rolls(stage), Change("production", "v3")), NOW)


SCREENS: dict[str, RenderableType] = {
    "status-rollout": tree(ROLLS),
    "status-rollout-paused": tree(PAUSED),
    "status-rollout-judged": tree(ROLLS, analysis=P99),
    "status-rollout-passed": tree(PASSED),
    "promote-followed-rollout": followed(ROLLS),
}


@pytest.mark.parametrize("name", SCREENS)
def test_the_screens_of_a_rollout(name: str, seen: Seen):
    seen(name, SCREENS[name])


@pytest.mark.parametrize(
    ("percent", "cells"), [(0, 0), (1, 1), (5, 1), (50, 5), (99, 9), (100, 10)]
)
def test_a_small_or_large_share_is_not_rounded_to_0_or_100(percent: int, cells: int):
    assert part(percent).plain == "━" * cells + "─" * (10 - cells)


def test_a_finished_rollout_shows_its_result():
    done = steps("Done", "Done", "Done", detail="v3 gets all requests", names=STEPPED)
    drawn = followed(ROLLS | {"steps": done, "blocked": TURNS}).plain
    assert "Done     40s  v3 gets all requests" in drawn
    assert "left" not in drawn


def test_the_analysis_is_shown_once():
    assert followed(ROLLS).plain.count(SAYS) == followed(PAUSED).plain.count(SAYS) == 1
