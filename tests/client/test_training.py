"""A TrainingRun from options, without a server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from modelyard.api.training_status import shortened
from modelyard.client.runs import RunHandle
from modelyard.client.training import Training, TrainingOptions, training_run


def made(**options: Any) -> Training:
    return training_run(TrainingOptions(experiment="fraud", **options))


def trainer(**options: Any) -> Any:
    return made(**options).manifest["spec"]["trainer"]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, {"xgboost": {}}),
        ({"task": "regression"}, {"xgboost": {"task": "regression"}}),
        ({"script": "code/train.py"}, {"script": {"configMap": "code", "key": "train.py"}}),
        ({"script": "code"}, {"script": {"configMap": "code"}}),
        ({"image": "i:1"}, {"container": {"image": "i:1"}}),
        (
            {"image": "i:1", "args": ("-n", "3")},
            {"container": {"image": "i:1", "args": ["-n", "3"]}},
        ),
        (
            {"image": "i:1", "command": ("train",)},
            {"container": {"image": "i:1", "command": ["train"]}},
        ),
        ({"external": True}, {"external": {}}),
    ],
)
def test_exactly_one_trainer_is_allowed(options: dict[str, Any], expected: dict[str, Any]):
    assert trainer(**options) == expected


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"task": "regression", "image": "i"}, "name one trainer"),
        ({"script": "code", "image": "i"}, "name one trainer"),
        ({"external": True, "task": "regression"}, "name one trainer"),
        ({"args": ("-n", "3")}, "-n 3: an entry point and arguments belong to an image"),
        ({"command": ("train",), "task": "regression"}, "belong to an image"),
        (
            {"script": "train.py"},
            "train.py is neither a Python file of this machine nor <ConfigMap>/<key>",
        ),
        ({"script": Path("code/train.py")}, "is neither"),
        ({"script": "/train.py"}, "is neither"),
        ({"script": "code/"}, "is neither"),
        ({"script": "a/b/train.py"}, "is neither"),
        ({"dataset": {"digest": "sha256:0"}}, "digest: name the dataset"),
    ],
)
def test_contradicting_options_are_a_value_error(options: dict[str, Any], why: str):
    with pytest.raises(ValueError, match=why):
        made(**options)


def test_parameters_are_text():
    spec = made(parameters={"fast": True, "rate": 0.1, "depth": 6}).manifest["spec"]
    assert spec["parameters"] == {"fast": "true", "rate": "0.1", "depth": "6"}


def test_further_fields_come_last():
    spec = made(requests={"cpu": "1"}, spec={"backoffLimit": 2, "resources": {}}).manifest["spec"]
    assert (spec["backoffLimit"], spec["resources"]) == (2, {})


def test_a_name_is_generated_by_the_server_unless_a_config_map_needs_it(tmp_path: Path):
    assert made().manifest["metadata"] == {"generateName": "fraud-"}
    assert made(name="fraud-1").manifest["metadata"] == {"name": "fraud-1"}
    (tmp_path / "train.py").write_text("")
    first, second = (made(script=tmp_path / "train.py") for _ in range(2))
    name = first.manifest["metadata"]["name"]
    assert name.startswith("fraud-")
    assert name != second.manifest["metadata"]["name"]
    assert first.manifest["spec"]["trainer"]["script"]["configMap"] == f"{name}-script"
    named = {"metadata": {"generateName": "nightly-", "labels": {"team": "risk"}}}
    changed = training_run(
        TrainingOptions(script=tmp_path / "train.py", labels={"tier": "a"}), named
    ).manifest["metadata"]
    assert changed["name"].startswith("nightly-")
    assert changed.keys() == {"name", "labels"}
    assert changed["labels"] == {"team": "risk", "tier": "a"}


@pytest.mark.parametrize("fixed", [False, True])
def test_a_generated_name_is_short_enough_for_a_run(tmp_path: Path, fixed: bool):
    """A TrainingRun's name has 50 characters at most, an Experiment's 63."""
    (tmp_path / "train.py").write_text("")
    options = TrainingOptions(experiment="e" * 63, script=tmp_path / "train.py" if fixed else None)
    metadata = training_run(options).manifest["metadata"]
    assert len(metadata["name"]) == 50 if fixed else len(metadata["generateName"]) == 45


def test_a_run_counts_parameters_that_its_status_omits_and_shows_those_of_the_spec_completely():
    body = made(parameters={"text": "x" * 2000}).manifest
    about = {
        "name": "fraud-1",
        "namespace": "risk",
        "uid": "u",
        "creationTimestamp": "2026-01-01T00:00:00Z",
    }
    status = {"parameters": {"depth": "6", "text": shortened("x" * 2000)}, "omittedParameters": 145}
    run = RunHandle(None, body | {"metadata": about, "status": status})
    assert run.fields()["parameters"] == ["depth=6", f"text={'x' * 2000}", "and 145 more in MLflow"]
