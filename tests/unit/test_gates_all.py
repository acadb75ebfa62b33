"""Rules for every kind of gate, and values at the ends of their ranges."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from modelyard.api.gates import Gate, Verdict
from modelyard.api.mlmodel import Column, Signature, read_signature
from modelyard.api.registered_model import StageStatus
from modelyard.registered_model.gates.judging import judge
from modelyard.registered_model.gates.signature import differences
from modelyard.registered_model.observation import Evidence
from tests.unit.builders import NOW
from tests.unit.models import served, stage_of, view_of
from tests.unit.test_gates import (
    ASKED,
    HELD,
    PINNED,
    of_runs,
    said,
)


# --- all ------------------------------------------------------------------------------------------
def test_every_kind_has_a_judge_and_those_that_read_mlflow_do_not_judge_while_it_is_down():
    kinds = [
        name
        for name in Gate.model_fields
        if name not in {"name", "dataset", "approvals", "external"}
    ]
    asked: dict[str, Any] = {
        "metric": {"name": "f1", "atLeast": "0"},
        "incumbent": {"metric": "f1"},
        "signature": {},
        "soak": {"stage": "staging", "for": "1h"},
        "job": {"image": "team/test:1"},
        "smoke": {"requests": {"configMap": "cases", "key": "cases.json", "digest": PINNED}},
        "signed": {"keys": ["-----BEGIN PUBLIC KEY-----"]},
    }
    assert sorted(asked) == sorted(kinds)
    model = stage_of(
        "vb",
        holds=HELD,
        candidate=served(ASKED),
        asked=[{"name": kind, kind: asked[kind]} for kind in kinds],
    )
    found = judge(view_of(model, versions=(HELD, ASKED), dependencies_down=True), NOW)
    assert [result.status.verdict for result in found] == [Verdict.ERROR] * len(kinds)
    assert {result.status.message for result in found} == {"MLflow or S3 does not answer"}


def test_another_stage_s_incumbent_is_read_from_its_record():
    gate = {"incumbent": {"stage": "staging", "metric": "f1", "direction": "Maximize"}}
    model = stage_of("vb", candidate=served(ASKED), asked=[{"name": "g"} | gate])
    what = served(HELD)
    staging = StageStatus(version="va", digest=what.digest, runtime=what.runtime)
    model = model.model_copy(
        update={
            "status": model.status.model_copy(
                update={"stages": model.status.stages | {"staging": staging}}
            )
        }
    )
    evidence = Evidence(**of_runs(b={"f1": 0.1}, a={"f1": 0.2}))
    (result,) = judge(view_of(model, versions=(HELD, ASKED), evidence=evidence), NOW)
    assert result.status.verdict is Verdict.FAIL
    assert result.status.incumbent == what.digest.removeprefix("sha256:")[:8]


def test_unread_evidence_is_never_treated_as_missing():
    """A version recorded in the same round, and an incumbent whose record is lost or has other
    bytes.
    """
    model = stage_of("vb", holds=HELD, asked=[{"name": "g", "signature": {}}])
    view = view_of(model, versions=(HELD, ASKED))
    unrecorded = model.model_copy(
        update={"status": model.status.model_copy(update={"versions": (HELD,)})}
    )
    (result,) = judge(replace(view, model=unrecorded), NOW)
    assert (result.status.verdict.value, result.status.message) == (
        "Pending",
        "the version is being recorded: nothing was read of it yet",
    )
    mine = {str(ASKED.digest): Signature((), ())}
    (result,) = judge(replace(view, evidence=Evidence(signatures=mine)), NOW)
    assert (result.status.verdict.value, result.status.message[:17]) == (
        "Error",
        "the record of va,",
    )


def test_too_few_samples_of_the_incumbent_do_not_fail_the_version():
    gate = {
        "incumbent": {
            "metric": "f1",
            "direction": "Maximize",
            "samples": {"metric": "n", "atLeast": 10},
        }
    }
    nan = of_runs(a={"f1": 0.5, "n": float("nan")}, b={"f1": 0.6, "n": 10})
    assert said(gate, **nan)[:2] == ("Error", "va, to compare with: n of va is not a number (NaN)")
    mine = of_runs(a={"f1": 0.5, "n": 10}, b={"f1": 0.6, "n": float("nan")})
    assert said(gate, **mine)[0] == "Fail"


def test_the_largest_and_smallest_doubles_are_compared():
    gate = {"incumbent": {"metric": "f1", "direction": "Maximize", "tolerance": "1e-999"}}
    assert said(gate, **of_runs(a={"f1": 1.7e308}, b={"f1": -1.7e308}))[0] == "Fail"
    assert said(gate, **of_runs(a={"f1": -1.7e308}, b={"f1": 1.7e308}))[0] == "Pass"


@pytest.mark.parametrize(
    "field",
    [
        {"metric": {"name": "f1", "atLeast": "1e1000"}},
        {"incumbent": {"metric": "f1", "tolerance": "1e99999999"}},
    ],
)
def test_the_exponent_of_a_number_is_bounded(field: dict[str, Any]):
    with pytest.raises(ValueError, match="String should match pattern"):
        Gate.model_validate({"name": "g"} | field)


def test_names_and_types_are_compared_whole_and_a_repeated_name_is_two_columns():
    long, nested = "x" * 90, "object" + "y" * 2000
    two = Signature((Column(f"{long}1", "double"), Column(f"{long}2", "double")), ())
    assert list(differences(Signature((Column(f"{long}1", "double"),), ()), two)) == [
        f"input {long[:80]} is gone"
    ]
    assert list(
        differences(
            Signature((Column("a", f"{nested}1"),), ()), Signature((Column("a", f"{nested}2"),), ())
        )
    )
    twice = Signature((Column("a", "long"), Column("a", "double")), ())
    assert list(differences(Signature((Column("a", "long"),), ()), twice)) == [
        "input a (2) is gone"
    ]
    assert list(
        differences(Signature((Column("a\x1b[31m", "double"),), ()), Signature((), ()))
    ) == ["input a is new and required"]


@pytest.mark.parametrize("depth", [300, 900, 5_000, 100_000])
def test_a_deeply_nested_type_is_read_or_left_out(depth: int):
    for nested in ('{"type": ' * depth + '"x"' + "}" * depth, '{"a": [' * depth + "]}" * depth):
        text = json.dumps(f'[{{"name": "a", "type": {nested}, "items": {nested}}}]')
        found = read_signature(f"signature:\n  inputs: {text}\n".encode())
        assert found is None or len(found.inputs) == 1
