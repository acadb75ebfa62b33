"""Objects that the API server accepts: public keys in any format, the largest possible models."""

from __future__ import annotations

import json

import pytest

from modelyard.api.training_run import TrainingRun
from modelyard.training_run.build import too_large
from tests.api.bad_gates import P384, keys, public
from tests.api.bad_models import reverify
from tests.api.largest import EVERY, KINDS, LARGEST_KEY, largest_stages
from tests.api.objects import PUBLIC_KEY, model, training_run
from tests.harness import Cluster


@pytest.mark.parametrize(
    "text",
    [
        PUBLIC_KEY,
        PUBLIC_KEY.replace("\n", " "),
        PUBLIC_KEY.replace("\n", "\r\n"),
        public(P384),
        LARGEST_KEY,
    ],
)
def test_public_keys_are_accepted_with_any_line_breaks(text: str, cluster: Cluster):
    answer = cluster.check(keys(text))
    assert answer.ok, answer.message


@pytest.mark.parametrize(
    "asked",
    [
        {"every": "10m"},
        {"every": "600s"},
        {"every": "999999999d"},
        {"attempt": 1},
        {"every": "1h", "attempt": 7},
    ],
)
def test_reverify_accepts_ten_minutes_or_more_and_an_attempt(
    asked: dict[str, object], cluster: Cluster
):
    answer = cluster.check(reverify(**asked))
    assert answer.ok, answer.message


@pytest.mark.parametrize(
    "asked", [{}, {"version": None}, {"gates": [{"name": "people", "approvals": {}}]}]
)
def test_auto_promote_accepts_a_null_version(asked: dict[str, object], cluster: Cluster):
    answer = cluster.check(
        model(stages={"production": {"autoPromote": {"from": "newest"}} | asked})
    )
    assert answer.ok, answer.message


def test_a_merge_patch_turns_auto_promote_on_and_off(cluster: Cluster):
    answer = cluster.create(model("automatic", stages={"production": {"version": "v1"}}))
    assert answer.ok, answer.message
    automatic, named = (
        {"autoPromote": {"from": "newest"}, "version": None},
        {"autoPromote": None, "version": "v1"},
    )
    try:
        for asked in (automatic, named, automatic):
            answer = cluster.patch(
                "RegisteredModel", "automatic", {"spec": {"stages": {"production": asked}}}
            )
            assert answer.ok, answer.message
    finally:
        cluster.delete("RegisteredModel", "automatic")


@pytest.mark.parametrize("kind", [*KINDS, EVERY])
def test_the_largest_gates_stay_within_the_cost_budget_of_rules(kind: str, cluster: Cluster):
    """Create, patch, apply and delete: an update evaluates the rules on the old object too."""
    name = "m" * 32
    first, then = (
        model(name, stages=largest_stages(kind, version=version)) for version in ("v1", "v2")
    )
    answer = cluster.create(first)
    assert answer.ok, answer.message
    try:
        for answer in (
            cluster.patch("RegisteredModel", name, {"spec": then["spec"]}),
            cluster.apply(first),
        ):
            assert answer.ok, answer.message
    finally:
        assert cluster.delete("RegisteredModel", name).ok


@pytest.mark.parametrize("over", [0, 1])
def test_the_rule_on_parameters_has_the_operators_limit(over: int, cluster: Cluster):
    parameters = {f"p{number:03}": "x" * 1000 for number in range(118)}
    left = 120 * 1024 - len("MODELYARD_PARAMETERS=" + json.dumps(parameters))
    parameters["p000"] += "x" * (left + over)
    manifest = training_run(parameters=parameters)
    assert bool(
        too_large(TrainingRun.parse(manifest | {"metadata": manifest["metadata"] | {"uid": "u"}}))
    ) == bool(over)
    assert cluster.check(manifest).ok != bool(over)
