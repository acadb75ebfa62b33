"""A TrainingRun whose pod does not start or is not created."""

from dataclasses import replace
from datetime import timedelta

import pytest

from modelyard.api.training_run import TrainingRun
from modelyard.plan import Manifest
from modelyard.training_run.observation import Observation
from tests.unit.builders import NOW, message, said, training_run, waiting
from tests.unit.training_run_world import attempt, decide, running, training


@pytest.mark.parametrize(
    ("statuses", "conditions", "words"),
    [
        ([waiting("ImagePullBackOff", "not found")], [], "Stalled ImagePullFailed"),
        (
            [waiting("CreateContainerConfigError", 'configmap "x" not found')],
            [],
            "Stalled ConfigurationMissing",
        ),
        (
            [],
            [
                {
                    "type": "PodScheduled",
                    "status": "False",
                    "reason": "Unschedulable",
                    "message": "0/1 nodes",
                }
            ],
            "Reconciling Unschedulable",
        ),
        ([waiting("ContainerCreating")], [], "Reconciling Scheduling"),
    ],
)
def test_a_pod_that_does_not_start_says_why_and_what_to_do(
    statuses: list[Manifest], conditions: list[Manifest], words: str
):
    run = training_run()
    plan = decide(
        run,
        training(run, running(run, phase="Pending", statuses=statuses, conditions=conditions)),
        NOW,
    )
    assert said(plan) == words
    assert message(plan).endswith(".")


def began(run: TrainingRun, seconds: int, *pods: Manifest, **counts: int) -> Observation:
    """Return the world this long after the Job's start."""
    world = training(run, *pods)
    config, there = world.owned[:2]
    started = (NOW - timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")
    return replace(
        world,
        owned=(
            config,
            there | {"status": {"startTime": started, "ready": 0, "terminating": 0} | counts},
            *pods,
        ),
    )


def test_a_job_that_gets_no_pod_says_how_to_see_why():
    run = training_run()
    early = decide(run, began(run, 29), NOW)
    assert (said(early), early.requeue_after) == ("Reconciling Scheduling", timedelta(seconds=1))
    late = decide(run, began(run, 30), NOW)
    assert said(late) == "Stalled NoPod"
    assert "kubectl describe job fraud-1-1 -n risk" in message(late)
    told = replace(began(run, 30), creation_error='pods "x" is forbidden: exceeded quota: team')
    refused = decide(run, told, NOW)
    assert said(refused) == "Stalled QuotaExceeded"
    assert "exceeded quota: team" in message(refused)
    assert said(decide(run, began(run, 99, running(run)), NOW)) == "Reconciling Training", (
        "it was let in"
    )


@pytest.mark.parametrize("count", ["active", "failed", "terminating", "succeeded"])
def test_a_pod_that_is_not_observed_yet_does_not_count_as_refused(count: str):
    run = training_run()
    assert said(decide(run, began(run, 999, **{count: 1}), NOW)) == "Reconciling Scheduling"


def test_a_pod_lost_with_a_drained_node_does_not_count_as_refused():
    run = training_run()
    going = running(run, phase="Pending")
    going["metadata"]["deletionTimestamp"] = "2026-01-01T12:00:00Z"
    assert said(decide(run, began(run, 999, going), NOW)) == "Reconciling Scheduling"
    ran = began(run, 999)
    ran = replace(ran, runs={1: attempt(tags={**ran.runs[1].tags, "modelyard.io/image": "x"})})
    assert said(decide(run, ran, NOW)) == "Reconciling Scheduling"


def test_a_pod_of_an_earlier_attempt_is_ignored():
    run = training_run(backoff_limit=1)
    old = running(run, 1, phase="Pending", statuses=[waiting("ImagePullBackOff")])
    assert (
        said(decide(run, training(run, old, running(run, 2), number=2), NOW))
        == "Reconciling Training"
    )


def test_a_terminating_pod_is_ignored_too():
    run = training_run()
    going = running(run, phase="Pending", statuses=[waiting("ImagePullBackOff")])
    going["metadata"]["deletionTimestamp"] = "2026-01-01T12:00:00Z"
    assert said(decide(run, training(run, going), NOW)) == "Reconciling Scheduling"
