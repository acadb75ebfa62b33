"""A promotion as a list of steps: what stands between the desired and the effective version. Pure.

    admit     the version exists, its digest is recorded, and the stage has not rejected it
    from      the version was effective in the stage that the spec's `from` names (if it has one)
    freeze    no freeze is in force for the stage (if the spec or the cluster has freezes for it)
    gates     the gates that need no pods have passed (if the spec has any)
    plan      only while `dryRun` is true: no later step begins; the status shows the earlier
              steps, done or not
    trial     the gates that need pods have passed (if the spec has any)
    approval  people and other systems have approved the version (if the spec asks them)
    start     the candidate's pods have started next to the stable version's, and are available
    rollout   the candidate gets a growing share of the requests (if the spec has `rollout`)
    switch    the Service routes to the candidate
    record    the candidate is effective; from then on it is watched (if the spec has a watch)

Every round computes all steps, each from the view alone. One tuple of steps yields the next action,
the progress in the status and the condition's message. To add a rule, add a step here.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from modelyard.api.blocker import Blocker
from modelyard.api.registered_model import ModelReason as Reason
from modelyard.api.registered_model import Outcome, PreviousVersion, StageStatus, StepState
from modelyard.kube.names import serving_name
from modelyard.registered_model import (
    build,
    checks,
    dry_run,
    freezes,
    history,
    newest,
    overrides,
    record,
    rollout,
    serving,
    split,
    trial,
    verification,
    watch,
)
from modelyard.registered_model.gates.judging import steps_of
from modelyard.registered_model.step import (
    DETAIL,
    RETRY_REFUSED,
    Step,
    drain,
    refused_step,
    rejected,
    without_candidate,
)
from modelyard.registered_model.view import StageView

__all__ = ["ALWAYS", "begun_rollout", "current", "names", "steps"]


def steps(view: StageView, now: datetime) -> tuple[Step, ...]:
    """Return the steps of the promotion that the stage's spec asks for, in order."""
    needed = names(view)
    found: list[Step] = []
    for name in needed:
        is_next = all(each.state is StepState.DONE for each in found)
        if name == "rollout" and not is_next and view.is_live and view.canary is not None:
            found.append(rollout.rollout(view, now, is_held=True))
        elif is_next or _is_shown(needed, found):
            found.append(_STEPS[name](view, now))
        else:
            found.append(Step(name, StepState.WAITING))
    return tuple(found)


def _is_shown(needed: tuple[str, ...], found: list[Step]) -> bool:
    """Tell whether the status shows the next step although an earlier step is not done.

    With `plan` among the steps, all steps up to `plan` are shown once the version is admitted.
    """
    return "plan" in needed[len(found) :] and bool(found) and found[0].state is StepState.DONE


def current(progress: tuple[Step, ...]) -> Step:
    """Return the step whose blocker and status are reported.

    This is `plan` while it delays the promotion; otherwise the first step that is not done. A
    rollout that has begun takes precedence if only it has a status to record.
    """
    delayed = (step for step in progress if step.name == "plan" and step.blocker is not None)
    undone = (step for step in progress if step.state is not StepState.DONE)
    found = next(delayed, None) or next(undone, progress[-1])
    live = begun_rollout(progress)
    return live if live is not None and live.record is not None and found.record is None else found


def begun_rollout(progress: tuple[Step, ...]) -> Step | None:
    """Return the step `rollout` if it has begun but an earlier step is no longer done, else None.

    Such a rollout must be continued: its candidate receives requests.
    """
    later = [step for step in progress if step.state is not StepState.DONE][1:]
    rollouts = (step for step in later if step.name == "rollout")
    return next(
        (step for step in rollouts if step.rollout is not None or step.record is not None), None
    )


def names(view: StageView) -> tuple[str, ...]:
    """Return the names of the steps, in order.

    An override has only the steps in `ALWAYS`, and so has a return of the version displaced last
    (if the stage has a window: only inside it). A refresh has no `gates` and no `approval`, because
    a new runtime can change only the verdicts of gates that need pods. While `dryRun` delays the
    promotion, it has the step `plan`.
    """
    plan = {"plan"} if dry_run.delays(view) else set[str]()
    return tuple(name for name in _STEPS if name in _needed(view) | plan)


def _needed(view: StageView) -> set[str]:
    """Return the names of the steps, without `plan`."""
    spec = view.spec
    if spec is None or view.is_return or view.override is not None:
        return {*ALWAYS}
    needed = {
        *ALWAYS,
        *(["from"] if spec.from_ else []),
        *steps_of(spec.gates),
        *(["rollout"] if spec.is_canary else []),
    }
    if view.is_refresh:
        needed &= {*ALWAYS, "trial", "rollout"}
    return needed | {"freeze"} if freezes.apply_to(view) else needed


# --- admit --------------------------------------------------------------------------------------
def _admit(view: StageView, now: datetime) -> Step:
    """Check the version and record it as the candidate."""
    target = view.target
    blocker = _inadmissible(view)
    if blocker is not None:
        state = StepState.FAILED if blocker.needs_action else StepState.WAITING
        # A candidate that needs action is dropped and loses its pods; one that waits keeps them.
        dropped = (
            without_candidate(view, now)
            if blocker.needs_action and view.status.candidate is not None
            else None
        )
        return Step("admit", state, blocker.message[:DETAIL], blocker=blocker, record=dropped)
    assert target is not None, "an admissible version has a recorded digest"
    if view.status.candidate != target:
        waits = view.record_is_full and not view.is_return and view.override is None
        if waits or (not view.record_has_room and view.rollback_target is None):
            full = record.full(view.model.metadata.name, target.version, view.model.status.record)
            return Step("admit", StepState.WAITING, full.message[:DETAIL], blocker=full)
        new = {"desired": view.desired, "candidate": target, "start_time": now, "blocked": None}
        begun = without_candidate(view, now).model_copy(update=new)
        return Step("admit", StepState.ACTIVE, f"{target.version} is admitted", record=begun)
    return Step("admit", StepState.DONE, f"{target.version} is admitted")


def _inadmissible(view: StageView) -> Blocker | None:
    """Return why a version cannot be promoted, before anything is started for it."""
    desired = view.desired or ""
    version = view.versions.get(desired)
    if view.override is not None and (version is None or version.digest != view.override.digest):
        message = (
            f"The bytes of {desired} are not those that it had when the override was set. Set it"
            " again, or remove it."
        )
        return Blocker.of(Reason.ARTIFACT_DIGEST_MISMATCH, message, needs_action=True)
    if version is None:
        message = (
            f"Nothing declares the version {desired}. Declare it in spec.versions, or register it"
            f" from a TrainingRun. There are: {', '.join(sorted(view.versions)) or 'none yet'}."
        )
        return Blocker.of(Reason.VERSION_UNKNOWN, message, needs_action=True)
    if version.blocked is not None:
        message = f"{desired} cannot be promoted. {version.blocked.message}"
        return Blocker.of(
            version.blocked.reason, message, needs_action=version.blocked.needs_action
        )
    if version.mlflow_version is None or version.digest is None:
        return Blocker.of(Reason.WAITING_FOR_VERSION, f"{desired} is being registered.")
    return _rejection(view)


def _rejection(view: StageView) -> Blocker | None:
    """Return the blocker of the rejection that is in force, if there is one."""
    rejection = view.rejection
    if rejection is None:
        return None
    stable = (
        f"{view.status.version} is still serving" if view.status.version else "nothing is serving"
    )
    agree = ""
    if rejection.reason == Reason.ROLLED_BACK and view.status.version and not view.is_refresh:
        by = view.spec.requester_patch if view.spec is not None else ""
        patch = (
            f'{{"spec":{{"stages":{{"{view.name}":{{"version":"{view.status.version}"{by}}}}}}}}}'
        )
        agree = (
            f" Make the spec agree: kubectl patch mlmodel {view.model.metadata.name} --type merge"
            f" -p '{patch}'."
        )
    message = (
        f"{view.target_name} was rejected, and {stable}. {rejection.message}{agree} It is tried"
        f" again when the stage's spec changes, or when stages.{view.name}.attempt is raised above"
        f" {rejection.attempt}: modelyard retry {view.model.metadata.name} --stage {view.name}"
    )
    return Blocker.of(rejection.reason, message, needs_action=True)


# --- start --------------------------------------------------------------------------------------
def _start(view: StageView, now: datetime) -> Step:
    """Start the candidate's pods and wait until they are available."""
    candidate = view.target
    if candidate is None or not view.is_served:
        return Step("start", StepState.DONE, "the stage has no pods")
    if view.neighbour is not None and view.routed is None:
        return _without_address(view, view.neighbour)
    actions = serving.workload(view, candidate)
    keeps = frozenset[tuple[str, str]]()
    if view.canary is not None:
        # The private Service is created with the pods, so that kube-proxy has programmed it on
        # every node before the stable pods forward requests to it.
        actions += serving.private_route(view, candidate)
        keeps = frozenset({("Service", build.workload_name(view.model, view.name, candidate))})
    if (error := serving.refused(view, actions)) is not None:
        return replace(refused_step("start", view.name, error), keeps=keeps)
    pods, replicas = serving.pod_health(view, candidate), serving.replicas(view, candidate)
    if pods.refused and not actions:
        reason = str(pods.reason or Reason.SERVING_FAILED)
        return rejected(
            view, "start", reason, pods.message, now, runtime=candidate.runtime.identity
        )
    if view.status.rollout is not None and view.canary is not None:
        # From here on the step `rollout` sets the number of pods, by the share of the requests.
        return Step(
            "start",
            StepState.DONE,
            detail=f"{min(pods.ready, replicas)} of {replicas} pods are ready",
        )
    # No request depends on a first version yet, so `ready` is enough. A later version receives
    # live requests, so its pods must have been ready for `minReadySeconds`.
    steady = pods.available if view.status.version else pods.ready
    detail = f"{min(steady, replicas)} of {replicas} pods are ready"
    if actions or steady < replicas or not pods.current:
        stable = (
            f" next to {view.status.version}, which is still serving" if view.status.version else ""
        )
        message = f"{candidate.version} is starting{stable}: {detail}. {pods.message}".strip()
        blocker = Blocker.of(pods.reason or Reason.PROMOTING, message, needs_action=pods.stalled)
        state = StepState.FAILED if pods.stalled else StepState.ACTIVE
        return Step("start", state, detail, actions, blocker, keeps=keeps)
    return Step("start", StepState.DONE, detail)


def _without_address(view: StageView, neighbour: str) -> Step:
    """Return the failed step of a stage whose Service name belongs to another model's stage."""
    address = serving_name(view.model.metadata.name, view.name)
    message = (
        f"The Service {address} is the address of a stage of the RegisteredModel {neighbour}; no"
        " pods are started. Choose another name for this object or its stage."
    )
    blocker = Blocker.of(Reason.REQUEST_REFUSED, message, needs_action=True)
    return Step(
        "start", StepState.FAILED, message[:DETAIL], blocker=blocker, requeue_after=RETRY_REFUSED
    )


# --- switch -------------------------------------------------------------------------------------
def _switch(view: StageView, now: datetime) -> Step:
    """Route the Service to the candidate."""
    candidate = view.target
    if candidate is None or not view.is_served:
        if view.dependencies_down:
            return _waits_for_dependencies("switch", view)
        return Step("switch", StepState.DONE, "the stage has no pods")
    actions = serving.routes(view, candidate)
    if actions and (unsplit := split.rule_removals(view, now)):
        # Remove the rules first: a pod to which the Service routes again must not forward requests.
        return Step("switch", StepState.ACTIVE, "the rules of its pods are being removed", unsplit)
    if not actions:
        return Step("switch", StepState.DONE, f"the Service routes to {candidate.version}")
    # An automatic rollback does not wait for MLflow and S3: its target still has its pods.
    if view.dependencies_down and view.rollback_target is None:
        return _waits_for_dependencies("switch", view)
    if (error := serving.refused(view, actions)) is not None:
        return refused_step("switch", view.name, error)
    blocker = Blocker.of(
        Reason.PROMOTING, f"{candidate.version} is ready and receives all traffic now."
    )
    return Step("switch", StepState.ACTIVE, blocker.message[:DETAIL], actions, blocker)


def _waits_for_dependencies(name: str, view: StageView) -> Step:
    message = f"{view.desired} is ready, and the stage switches to it when MLflow and S3 answer."
    return Step(
        name, StepState.WAITING, message[:DETAIL], blocker=Blocker.of(Reason.PROMOTING, message)
    )


# --- record -------------------------------------------------------------------------------------
def _record(view: StageView, now: datetime) -> Step:
    """Record the candidate as the effective version."""
    candidate, stable = view.target, view.effective
    assert candidate is not None, "only an admitted candidate reaches this step"
    drains = serving.draining(view, now)
    if stable is not None:
        drains = drain(drains, stable, now)
    # `previous` may return without gates. Two versions must not, so they do not become `previous`:
    # one that an override made effective, because it has passed no gate; and one from which the
    # stage rolls back automatically, because the stage has rejected it.
    may_return = not overrides.is_from_override(view.status) and view.rollback_target is None
    displaced = (stable if may_return else None, view.status.previous)
    others = (each for each in displaced if each is not None and each.version != candidate.version)
    previous = next(others, None)
    is_rollback = history.outcome(view, candidate) is Outcome.ROLLED_BACK
    hold_time = newest.held_until(view.versions.values()) if is_rollback else view.status.hold_time
    is_same_version = stable is not None and stable.version == candidate.version
    status = StageStatus(
        version=candidate.version,
        digest=candidate.digest,
        runtime=candidate.runtime,
        desired=candidate.version,
        previous=PreviousVersion.of(previous) if previous is not None else None,
        attempt=_attempt(view),
        hold_time=hold_time,
        since_time=view.status.since_time if is_same_version else now,
        url=view.status.url,
        rejected=tuple(
            each
            for each in view.status.rejected
            if each.version != candidate.version or each is view.rolled_back
        ),
        draining=tuple(each for each in drains if each.identity != candidate.runtime.identity),
        verification=verification.carried(view, candidate.version, candidate.digest),
        watch=watch.begun(view, candidate, now),
        traffic_revision=view.status.traffic_revision,
        # An ended override stays recorded while the spec names it. Otherwise it would start again.
        override=overrides.carried_out(view.spec, view.status),
    )
    return Step("record", StepState.ACTIVE, f"{candidate.version} becomes effective", record=status)


def _attempt(view: StageView) -> int:
    """Return the `attempt` to record as carried out: after a rolled back refresh, one less."""
    return (
        max(view.attempt - 1, 0)
        if view.rollback_target is not None and view.is_refresh
        else view.attempt
    )


_STEPS: dict[str, Callable[[StageView, datetime], Step]] = {
    "admit": _admit,
    "from": checks.comes_from,
    "freeze": freezes.freeze,
    "gates": checks.gates,
    "plan": dry_run.plan,
    "trial": trial.trial,
    "approval": checks.approval,
    "start": _start,
    "rollout": rollout.rollout,
    "switch": _switch,
    "record": _record,
}
ALWAYS = ("admit", "start", "switch", "record")
"""The steps that every promotion has."""
