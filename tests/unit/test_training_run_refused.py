"""TrainingRuns that cannot be trained: parameters too large for a pod, a Job that Kubernetes
refuses.
"""

from dataclasses import replace

import pytest

from modelyard.api.training_run import TrainingRun
from modelyard.errors import Forbidden, Invalid
from modelyard.plan import CreateRun, FinishRun
from modelyard.training_run import build
from modelyard.training_run.decide import on_error
from tests.unit.builders import (
    NOW,
    RUNTIME,
    actions,
    live,
    message,
    outside,
    recorded,
    said,
    status_of,
    training_run,
    written,
)
from tests.unit.test_training_run_fails import CRASHED, broken
from tests.unit.training_run_world import attempt, decide, observed

LARGE = {f"p{number:03}": "y" * 1000 for number in range(118)}


def room(run: TrainingRun) -> int:
    """Return the number of characters by which the parameters may still grow."""
    env = build.job(run, 1, "r1", RUNTIME)["spec"]["template"]["spec"]["containers"][0]["env"]
    value = next(each["value"] for each in env if each["name"] == "MODELYARD_PARAMETERS")
    return 120 * 1024 - len(f"MODELYARD_PARAMETERS={value}".encode())


def test_parameters_too_large_for_a_process_are_refused_before_anything_is_created():
    left = room(training_run(parameters=LARGE))
    fits = training_run(parameters=LARGE | {"p099": "y" * (1000 + left)})
    assert isinstance(outside(decide(fits, observed(), NOW)), CreateRun)
    run = training_run(parameters=LARGE | {"p099": "y" * (1001 + left)})
    plan = decide(run, observed(), NOW)
    assert (recorded(plan), status_of(plan).completion_time) == ("Stalled InvalidParameters", NOW)
    assert "120.0 KiB" in message(plan)
    assert "ConfigMap that a script reads" in message(plan, "Succeeded")
    end = written(run, plan)
    assert end.status.failure
    assert end.status.failure.reason == "InvalidParameters"
    assert said(decide(end, observed(), NOW)) == "Stalled InvalidParameters"


def test_bytes_count_not_characters():
    """JSON writes an umlaut in six bytes."""
    assert (
        recorded(
            decide(
                training_run(parameters={f"p{n}": "\u00fc" * 1000 for n in range(21)}),
                observed(),
                NOW,
            )
        )
        == "Stalled InvalidParameters"
    )


def test_a_run_that_cannot_start_does_not_wait_for_a_missing_experiment():
    assert (
        recorded(
            decide(
                training_run(parameters=LARGE | {"b": "y" * 5000}), observed(experiment=None), NOW
            )
        )
        == "Stalled InvalidParameters"
    )


def test_without_a_pod_the_parameters_may_be_as_large_as_the_object():
    run = training_run(parameters=LARGE | {"b": "y" * 5000}, trainer={"external": {}})
    assert isinstance(outside(decide(run, observed(), NOW)), CreateRun)


REFUSED = (
    'Job.batch "fraud-1-1" is invalid: spec.template.spec.containers[0].resources.requests:'
    ' Invalid value: "2Gi":'
    " must be less than or equal to memory limit of 1Gi"
)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (
            (
                "[spec.template.spec.containers[0].resources.limits[foo]: Invalid value,"
                " spec.template.spec.containers[0].resources: x]"
            ),
            "limits[foo]",
        ),
        (
            "spec.template.spec.tolerations[0].key: Invalid value: y",
            "Job: spec.tolerations[0].key: Invalid value: y.",
        ),
        (
            "spec.template.spec.nodeSelector: Invalid value: " + "z" * 2500,
            "Job: spec.nodeSelector: Invalid value: zzz",
        ),
    ],
)
def test_a_refusal_names_the_field_of_our_own_spec(wrong: str, words: str):
    run = training_run()
    plan = on_error(
        run,
        Invalid(
            "Kubernetes",
            "apply Job",
            "risk/fraud-1-1",
            f'Job.batch "fraud-1-1" is invalid: {wrong}',
        ),
        NOW,
    )
    assert (said(plan), words in message(plan), "template" in message(plan)) == (
        "Stalled InvalidResources",
        True,
        False,
    )
    assert written(run, plan).status.failure


@pytest.mark.parametrize("known", [False, True], ids=["at once", "made again"])
def test_a_job_that_is_refused_for_its_resources_fails_the_run(known: bool):
    run = training_run(backoff_limit=3)
    world = observed(live(build.config_map(run)), runs=(attempt(),))
    if known:
        run = written(run, decide(run, broken(run), NOW)).model_copy(update={"spec": run.spec})
    plan = on_error(run, Invalid("Kubernetes", "apply Job", "risk/fraud-1-1", REFUSED), NOW)
    assert said(plan) == "Stalled InvalidResources"
    assert (
        'spec.resources.requests: Invalid value: "2Gi": must be less than or equal to memory limit'
        " of 1Gi." in message(plan)
    )
    run = written(run, plan)
    assert actions(decide(run, world, NOW)) == (FinishRun("r1", "FAILED"),)
    end = decide(run, replace(world, runs={1: attempt(1, "FAILED")}), NOW)
    assert (recorded(end), status_of(end).completion_time is not None) == (
        "Stalled InvalidResources",
        True,
    )


def test_a_refused_job_of_a_later_attempt_fails_that_attempt():
    run = training_run(backoff_limit=3)
    run = written(run, decide(run, broken(run, CRASHED), NOW))
    refused = written(
        run, on_error(run, Invalid("Kubernetes", "apply Job", "risk/fraud-1-2", REFUSED), NOW)
    )
    assert refused.status.failure
    assert refused.status.failure.attempt == 2
    world = observed(live(build.config_map(run)), runs=(attempt(1, "FAILED"), attempt(2)))
    assert actions(decide(refused, world, NOW)) == (FinishRun("r2", "FAILED"),)


@pytest.mark.parametrize(
    "error",
    [
        Invalid(
            "Kubernetes",
            "apply Job",
            "risk/fraud-1-1",
            "an object of this name exists already, and has another owner; delete it",
        ),
        Invalid(
            "Kubernetes",
            "apply Job",
            "risk/fraud-1-1",
            'Job.batch "x" is invalid: spec.template: field is immutable',
        ),
        Invalid(
            "Kubernetes",
            "apply ConfigMap",
            "risk/fraud-1-config",
            "x is invalid: spec.template.spec.containers",
        ),
        Forbidden(
            "Kubernetes",
            "apply Job",
            "risk/fraud-1-1",
            "exceeded quota: x is invalid: spec.template.spec.x",
        ),
    ],
    ids=["another one's Job", "another field", "another object", "a quota"],
)
def test_other_refusals_do_not_fail_the_run(error: Invalid):
    plan = on_error(training_run(), error, NOW)
    assert (said(plan), status_of(plan).failure) == ("Stalled RequestRefused", None)
