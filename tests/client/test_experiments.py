"""`client.experiments` on a real API server; the other side writes the operator's status."""

from __future__ import annotations

import pytest

from modelyard.client.client import Client
from modelyard.client.errors import Failed, TimedOut
from tests.client.side import Side


def test_create_waits_until_the_experiment_is_ready(client: Client, side: Side):
    mlflow = {"id": "1", "name": f"{side.namespace}/fraud", "url": "http://mlflow"}
    with side.meanwhile(
        "Experiment",
        "fraud",
        lambda there: there.status("Experiment", "fraud", "Synced", ready=True, mlflow=mlflow),
    ):
        made = client.experiments.create(
            "fraud", objective="accuracy", keep_runs="90d", keep_best=3
        )
    assert made.ready
    assert made.status.mlflow.id == "1"
    spec = side.get("Experiment", "fraud")["spec"]
    assert spec["objective"] == {"metric": "accuracy", "goal": "Maximize"}
    assert spec["retention"] == {"runs": "90d", "keepBest": 3}


def test_a_stalled_object_raises_its_reason_and_message(client: Client, side: Side):
    def stall(there: Side) -> None:
        there.status("Experiment", "fraud", "ConnectionMissing", "Create the Secret.", ready=False)

    with side.meanwhile("Experiment", "fraud", stall), pytest.raises(Failed) as caught:
        client.experiments.create("fraud")
    assert (caught.value.reason, caught.value.message) == (
        "ConnectionMissing",
        "Create the Secret.",
    )


def test_a_status_of_an_older_generation_does_not_count(client: Client, side: Side):
    """It was Ready, and its spec has changed since."""
    side.ours("Experiment", "fraud", {})
    side.status("Experiment", "fraud", "Synced", ready=True)
    side.patch("Experiment", "fraud", {"spec": {"description": "new"}})
    found = client.experiments.get("fraud")
    assert not found.ready
    assert not found.fresh
    with pytest.raises(TimedOut, match="Synced"):
        found.wait(0.5)


def test_a_timeout_without_a_status_asks_whether_the_operator_runs(client: Client, side: Side):
    side.ours("Experiment", "fraud", {})
    with pytest.raises(TimedOut, match=r"has not observed it yet\. Is the operator running"):
        client.experiments.get("fraud").wait(0.5)


def test_an_object_that_is_replaced_during_the_wait_counts_as_deleted(client: Client, side: Side):
    side.ours("Experiment", "fraud", {})
    before = client.experiments.get("fraud")
    side.delete("Experiment", "fraud")
    side.ours("Experiment", "fraud", {})
    side.status("Experiment", "fraud", "Synced", ready=True)
    with pytest.raises(Failed, match="Deleted"):
        before.wait(120)


def test_experiments_are_listed_in_order_and_deleted(client: Client, side: Side):
    for name in ("b", "a"):
        side.ours("Experiment", name, {})
    assert [each.name for each in client.experiments.list()] == ["a", "b"]
    client.experiments.delete("a", wait=120)
    assert [each.name for each in client.experiments.list()] == ["b"]
    assert [(type_, each.name) for type_, each in client.experiments.watch(seconds=0.5)] == [
        ("Added", "b")
    ]
