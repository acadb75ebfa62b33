"""`client.runs` on a real API server; the other side writes the operator's status."""

from __future__ import annotations

import pytest

from modelyard.client.client import Client
from modelyard.client.errors import Failed, NotFound, Refused
from tests.client.side import Side


def run(
    side: Side, name: str, metrics: dict[str, str] | None = None, reason: str = "Succeeded", **spec
):
    side.ours(
        "TrainingRun",
        name,
        {"experiment": "fraud", "trainer": {"xgboost": {"task": "classification"}}, **spec},
    )
    listed = [{"name": key, "value": value} for key, value in (metrics or {}).items()]
    ended = {"completionTime": "2026-01-01T00:00:00Z"} if reason in {"Succeeded", "Failed"} else {}
    ready = {"Succeeded": True, "Failed": False}.get(reason)
    also = {"Succeeded": ready} if ready is not None else {}
    side.status(
        "TrainingRun", name, reason, "words", ready=ready, also=also, metrics=listed, **ended
    )


def test_a_run_is_submitted_with_its_arguments(client: Client, side: Side):
    made = client.runs.submit(
        "fraud",
        "fraud-1",
        task="regression",
        parameters={"max_depth": 6, "fast": True, "rate": 0.1},
        dataset={"name": "cards"},
        register=("fraud", "v1"),
        requests={"cpu": "1"},
        spec={"backoffLimit": 2},
        labels={"team": "risk"},
    )
    assert made.name == "fraud-1"
    there = side.get("TrainingRun", "fraud-1")
    assert there["spec"]["parameters"] == {"max_depth": "6", "fast": "true", "rate": "0.1"}
    assert there["spec"]["trainer"] == {"xgboost": {"task": "regression"}}
    assert there["spec"]["register"] == {"model": "fraud", "version": "v1"}
    assert there["spec"]["resources"] == {"requests": {"cpu": "1"}}
    assert there["spec"]["backoffLimit"] == 2
    assert there["metadata"]["labels"] == {"team": "risk"}


def test_a_run_without_a_name_gets_one(client: Client):
    names = {client.runs.submit("fraud").name for _ in range(2)}
    assert len(names) == 2
    assert all(name.startswith("fraud-") for name in names)


def test_a_run_of_an_experiment_with_the_longest_name_gets_one(client: Client, tmp_path):
    (tmp_path / "train.py").write_text("print('hello')\n")
    for script in (None, tmp_path / "train.py"):
        assert len(client.runs.submit("e" * 63, script=script).name) == 50


def test_a_local_script_goes_into_a_config_map_that_is_deleted_with_the_run(
    client: Client, side: Side, tmp_path
):
    (tmp_path / "train.py").write_text("print('hello')\n")
    made = client.runs.submit("fraud", "fraud-1", script=tmp_path / "train.py")
    config = side.get("ConfigMap", "fraud-1-script")
    assert config["data"] == {"train.py": "print('hello')\n"}
    assert [(owner["kind"], owner["uid"]) for owner in config["metadata"]["ownerReferences"]] == [
        ("TrainingRun", made.metadata.uid)
    ]
    assert made.spec.trainer.script.config_map == "fraud-1-script"


def test_a_script_whose_run_is_refused_leaves_nothing(client: Client, side: Side, tmp_path):
    (tmp_path / "train.py").write_text("")
    with pytest.raises(Refused):
        client.runs.submit("Fraud!", "fraud-1", script=tmp_path / "train.py")
    assert side.gone("ConfigMap", "fraud-1-script")


def test_two_trainers_are_a_value_error(client: Client):
    with pytest.raises(ValueError, match="name one trainer"):
        client.runs.submit("fraud", task="regression", image="i")


def test_runs_are_filtered(client: Client, side: Side):
    run(side, "good", {"accuracy": "0.95"}, parameters={"max_depth": "6"})
    run(side, "poor", {"accuracy": "0.5"}, parameters={"max_depth": "2"})
    run(side, "bad", reason="Failed")
    run(side, "going", reason="Training")

    def names(text: str, **more) -> set[str]:
        return {each.name for each in client.runs.list(filter=text, **more)}

    assert names("") == {"good", "poor", "bad", "going"}
    assert names("metrics.accuracy > 0.9") == {"good"}
    assert names("metrics.accuracy >= 0.5 and parameters.max_depth = 2") == {"poor"}
    assert names("failed = true") == {"bad"}
    assert names("running = true, experiment = fraud") == {"going"}
    assert names("reason != Succeeded") == {"bad", "going"}
    assert names("name ~ OO") == {"good", "poor"}
    assert names("", experiment="other") == set()
    assert len(client.runs.list(max_results=2)) == 2
    with pytest.raises(ValueError, match="a filter has no name colour"):
        names("colour = red")


def test_waiting_for_a_failed_run_raises_its_reason(client: Client, side: Side):
    run(side, "bad", reason="Failed")
    with pytest.raises(Failed, match="Failed: words"):
        client.runs.get("bad").wait(120)


def test_a_run_without_pods_has_no_log(client: Client, side: Side):
    run(side, "done")
    with pytest.raises(NotFound, match="has no pod any more"):
        list(client.runs.get("done").logs())


def test_suspending_is_one_field(client: Client, side: Side):
    run(side, "r", reason="Training")
    assert client.runs.suspend("r").spec.suspend
    assert not client.runs.resume("r").spec.suspend
