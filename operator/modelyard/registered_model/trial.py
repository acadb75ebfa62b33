"""The step `trial`: the gates that need pods, and the candidate's pod that some of them ask. Pure.

A candidate that a gate asks has one pod behind a private Service; the step `start` scales it up.
"""

from dataclasses import replace
from datetime import datetime

from modelyard.api.blocker import Blocker
from modelyard.api.gates import Gate, Verdict
from modelyard.api.registered_model import ModelReason as Reason
from modelyard.api.registered_model import ServedVersion, StepState
from modelyard.registered_model import build, checks, serving
from modelyard.registered_model.gates import pods
from modelyard.registered_model.gates.job_results import job_actions
from modelyard.registered_model.gates.judging import asked_in, judge
from modelyard.registered_model.pods import Health
from modelyard.registered_model.step import Step, refused_step, rejected
from modelyard.registered_model.view import StageView

__all__ = ["jobs", "trial"]


def trial(view: StageView, now: datetime) -> Step:
    """Start the candidate's pod and the gates' Jobs, and wait for their verdicts."""
    step, candidate = checks.gates_step("trial", view, now), view.target
    assert candidate is not None, "the step before admits it"
    if step.state is not StepState.WAITING:
        return step
    open_ = _open(view, now)
    if not any(gate.asks_candidate for gate in open_):
        return replace(step, actions=job_actions(view, open_, now), without_pods=True)
    step = replace(step, keeps=_served(view, candidate))
    if view.dependencies_down:
        return step
    started = (*serving.workload(view, candidate, 1), *serving.private_route(view, candidate))
    if (error := serving.refused(view, started)) is not None:
        return replace(refused_step("trial", view.name, error), keeps=step.keeps)
    health = serving.pod_health(view, candidate)
    if health.refused and not started:
        reason = str(health.reason or Reason.SERVING_FAILED)
        return rejected(
            view, "trial", reason, health.message, now, runtime=candidate.runtime.identity
        )
    ready = health.available > 0 and not started
    asked = [gate for gate in open_ if ready or not gate.asks_candidate]
    actions = (*started, *job_actions(view, asked, now))
    return replace(step if ready else _starting(step, health), actions=actions)


def jobs(view: StageView, now: datetime) -> frozenset[tuple[str, str]]:
    """Return the Jobs that a stage needs, by kind and name: of gates without a Pass.

    The Job of a gate that failed stays with its log until the desired version changes, or
    Kubernetes deletes it.
    """
    return frozenset(("Job", pods.job_name(view, gate)) for gate in _open(view, now))


def _open(view: StageView, now: datetime) -> list[Gate]:
    """Return the gates with pods that have not passed."""
    gates = view.spec.gates if view.spec is not None else ()
    if not (names := asked_in("trial", gates)):
        return []
    waiting = {
        result.status.name
        for result in judge(view, now)
        if result.status.verdict is not Verdict.PASS
    }
    return [gate for gate in gates if gate.name in names & waiting]


def _served(view: StageView, candidate: ServedVersion) -> frozenset[tuple[str, str]]:
    name = build.workload_name(view.model, view.name, candidate)
    return frozenset({("Deployment", name), ("Service", name)})


def _starting(step: Step, health: Health) -> Step:
    """Return the step with the reason why the candidate's pod does not start."""
    blocker = step.blocker
    if not health.message or blocker is None:
        return step
    blocker = Blocker.of(
        health.reason or blocker.reason,
        f"{blocker.message} {health.message}",
        needs_action=health.stalled,
    )
    return replace(step, blocker=blocker, state=StepState.FAILED if health.stalled else step.state)
