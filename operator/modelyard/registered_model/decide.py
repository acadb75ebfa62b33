"""The decision about a RegisteredModel: from the object and an observation to a plan. Pure.

Serving comes before the registry, and a problem of one does not stop the other. While MLflow or S3
is unreachable, effective versions are kept serving and no stage switches.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Protocol

from modelyard.api.base import Condition, DeletionPolicy, condition
from modelyard.api.conditions import CONNECTION_OPERATION, progressing, stalled
from modelyard.api.conditions import trouble as error_conditions
from modelyard.api.registered_model import ModelReason as Reason
from modelyard.api.registered_model import (
    RegisteredModel,
    RegisteredModelStatus,
    StageStatus,
    VersionStatus,
)
from modelyard.errors import ModelyardError
from modelyard.kube.names import UID_TAG, mlflow_model_name
from modelyard.kube.pods import Runtime
from modelyard.plan import Act, Action, DeleteModel, Event, Finalize, Plan, Record, Rest
from modelyard.registered_model import conditions, history, plans, record
from modelyard.registered_model.build import operator_runtime
from modelyard.registered_model.decision import StageDecision
from modelyard.registered_model.held import with_held
from modelyard.registered_model.observation import Observation, is_empty
from modelyard.registered_model.restored import restored
from modelyard.registered_model.stages import decide_stages
from modelyard.registered_model.syncing import next_change, taken_name
from modelyard.registered_model.versions import observed_versions, split

__all__ = ["Decide", "decider", "finalize", "on_error"]

_LOOK_AGAIN = timedelta(seconds=15)
"""How often to reconcile for changes that no watch reports: in MLflow, or of artifacts in S3."""
_WATCHED_READS = timedelta(minutes=1)
"""How long answers of MLflow and S3 are reused while a version is watched after a switch.

The watch makes the operator reconcile more often than MLflow and S3 need to be read.
"""

ModelPlan = Plan[RegisteredModelStatus]


class Decide(Protocol):
    """What `decider` returns."""

    def __call__(
        self, model: RegisteredModel, observation: Observation, now: datetime
    ) -> ModelPlan:
        """Return the plan of the next round."""
        ...


def decider(runtime: Runtime) -> Decide:
    """Return the decision function of an operator with this runtime."""

    def decide(model: RegisteredModel, observation: Observation, now: datetime) -> ModelPlan:
        plan = planned(model, observation, now)
        return (
            replace(plan, status=conditions.with_verified(model, plan.status, now))
            if isinstance(plan, Record | Rest)
            else plan
        )

    def planned(model: RegisteredModel, observation: Observation, now: datetime) -> ModelPlan:
        taken = taken_name(model, observation)
        if is_empty(model) and (observation.dependency_error is not None or taken is not None):
            # A lost status is rebuilt from MLflow, once MLflow answers and the model there belongs
            # to this object. Until then it stays empty, and the serving objects are left alone.
            return _out_of_reach(model, observation, taken)
        if (rebuilt := restored(model, observation, now)) is not None:
            return Record(rebuilt)
        versions = observed_versions(model, observation)
        views, decisions = decide_stages(model, observation, versions, now, runtime=runtime)
        status = _status(model, observation, versions, decisions, now, runtime=runtime)
        status = status.model_copy(update={"plan": plans.rows(model, observation, views, now)})
        if observation.dependency_error is not None:
            return _without_dependencies(model, status, decisions, observation.dependency_error)
        if taken is not None:
            return _name_taken(model, decisions, taken)
        if any(decision.record for decision in decisions.values()):
            return _recording(model, status, decisions)
        return _registering(model, observation, status, decisions)

    return decide


# --- the kinds of round ---------------------------------------------------------------------------
def _recording(
    model: RegisteredModel, status: RegisteredModelStatus, decisions: Mapping[str, StageDecision]
) -> ModelPlan:
    """Write the status first: the effective version is recorded before MLflow is changed."""
    entries = tuple(decision.entry for decision in decisions.values() if decision.entry)
    if effective := tuple(made for made in entries if made.outcome.took_effect):
        reported = (*conditions.changed(effective), conditions.following(Reason.PROMOTING))
    elif all(
        decision.quiet or _is_reported(model, name, decision)
        for name, decision in decisions.items()
        if decision.record
    ):
        # The next round reports the consequence of what is recorded here. The conditions stay, so
        # that no Event reports an intermediate state.
        reported = model.status.conditions
    else:
        moving = {name: each for name, each in decisions.items() if each.record and not each.quiet}
        message = " ".join(
            f"{name}: {each.status.desired} is being promoted." for name, each in moving.items()
        )
        reported = (*progressing(Reason.PROMOTING, message), *_kept(status, "Synced"))
    links = record.new(model.status, model.model_copy(update={"status": status}))
    events = (
        *(history.event(link.entry, link.digest) for link in links),
        *(event for decision in decisions.values() for event in decision.events),
    )
    return Record(status.model_copy(update={"conditions": reported}), events)


def _is_reported(model: RegisteredModel, name: str, decision: StageDecision) -> bool:
    """Tell whether the conditions already report the stage's promotion."""
    before, ready = model.status.stages.get(name), model.status.condition("Ready")
    if before is None or before.candidate is None or ready is None or ready.status == "True":
        return False
    return decision.status.desired == before.desired and decision.status.candidate in {
        None,
        before.candidate,
    }


def _without_dependencies(
    model: RegisteredModel,
    status: RegisteredModelStatus,
    decisions: Mapping[str, StageDecision],
    error: ModelyardError,
) -> ModelPlan:
    """Keep the serving objects in order while MLflow or S3 is unreachable."""
    if any(decision.record for decision in decisions.values()):
        return _recording(model, status, decisions)
    if actions := _actions(decisions):
        return Act(actions)
    reported = conditions.dependency_down(model, status.stages, error)
    news = conditions.news(model.status.stages, status.stages)
    return Rest(status.model_copy(update={"conditions": reported}), _LOOK_AGAIN, news)


def _out_of_reach(model: RegisteredModel, observation: Observation, taken: str | None) -> ModelPlan:
    """Wait until a lost status can be rebuilt from MLflow."""
    if observation.dependency_error is None:
        return _name_taken(model, {}, taken or "")
    reported = conditions.dependency_down(model, {}, observation.dependency_error)
    return Rest(model.status.model_copy(update={"conditions": reported}), requeue_after=_LOOK_AGAIN)


def _name_taken(
    model: RegisteredModel, decisions: Mapping[str, StageDecision], message: str
) -> ModelPlan:
    """Reconcile the serving objects only: the model in MLflow belongs to another object."""
    if actions := _actions(decisions):
        return Act(actions)
    reported = (
        *stalled(Reason.NAME_TAKEN, message),
        condition("Synced", False, Reason.NAME_TAKEN, message),
    )
    return Rest(model.status.model_copy(update={"conditions": reported}), requeue_after=_LOOK_AGAIN)


def _registering(
    model: RegisteredModel,
    observation: Observation,
    status: RegisteredModelStatus,
    decisions: Mapping[str, StageDecision],
) -> ModelPlan:
    """Act on the serving objects and MLflow, or rest."""
    effective = {name: decision.status.version for name, decision in decisions.items()}
    external, synced, events = next_change(model, observation, effective)
    if _unrecorded(model, status):
        reported = (*conditions.registering(), conditions.following())
        return Record(status.model_copy(update={"conditions": reported}))
    actions: tuple[Action, ...] = (*_actions(decisions), *([external] if external else []))
    if actions:
        return Act(actions, events)
    # The record comes last, so that an S3 failure does not delay a stage or MLflow.
    step = record.step(model, observation)
    if step.put is not None:
        return Act((step.put,))
    status = step.applied(status)
    news = conditions.news(model.status.stages, status.stages)
    if step.left:
        return Record(status.model_copy(update={"conditions": model.status.conditions}), news)
    reported = conditions.with_record(
        (*conditions.of_stages(model, status.stages), synced), step.problem
    )
    waits = min(
        filter(None, (_requeue_after(status, decisions), record.RETRY if step.problem else None)),
        default=None,
    )
    watched = (
        _WATCHED_READS if any(stage.watch is not None for stage in status.stages.values()) else None
    )
    return Rest(status.model_copy(update={"conditions": reported}), waits, news, watched)


def _unrecorded(model: RegisteredModel, status: RegisteredModelStatus) -> bool:
    """Tell whether the status lacks what must be recorded before MLflow is changed.

    That is the model's name, and the digest of each version.
    """
    before = {version.name for version in model.status.versions if version.digest}
    before |= {version.name for version in model.status.older_versions}
    return model.status.mlflow_name is None or any(
        version.digest and version.name not in before for version in status.versions
    )


def _actions(decisions: Mapping[str, StageDecision]) -> tuple[Action, ...]:
    return tuple(action for decision in decisions.values() for action in decision.actions)


# --- the status ---------------------------------------------------------------------------------
def _status(
    model: RegisteredModel,
    observation: Observation,
    versions: tuple[VersionStatus, ...],
    decisions: Mapping[str, StageDecision],
    now: datetime,
    *,
    runtime: Runtime,
) -> RegisteredModelStatus:
    name = mlflow_model_name(model.metadata.namespace, model.metadata.name)
    stages = {
        stage: decision.status
        for stage, decision in decisions.items()
        if stage in model.spec.stages or decision.status.version
    }
    full, older = split(model, with_held(versions, stages, now), stages)
    entries = tuple(decision.entry for decision in decisions.values() if decision.entry)
    recorded, entries = record.numbered(model, record.current(model, observation), entries)
    return model.status.model_copy(
        update={
            "mlflow_name": name,
            "url": f"{observation.tracking_url}/#/models/{name}"
            if observation.tracking_url
            else model.status.url,
            "versions": full,
            "older_versions": older,
            "stages": stages,
            "operator_runtime": operator_runtime(runtime),
            "history": entries,
            "record": recorded,
            "summary": _summary(stages),
        }
    )


def _summary(stages: Mapping[str, StageStatus]) -> str:
    def one(name: str, stage: StageStatus) -> str:
        now, then = stage.version or "none", stage.desired or "none"
        return f"{name}={now}" if now == then else f"{name}={now}->{then}"

    return " ".join(one(name, stage) for name, stage in sorted(stages.items()))[:512]


def _requeue_after(
    status: RegisteredModelStatus, decisions: Mapping[str, StageDecision]
) -> timedelta | None:
    """Return when to reconcile again for changes that no watch reports."""
    waits = [
        decision.requeue_after
        for decision in decisions.values()
        if decision.requeue_after is not None
    ]
    blockers = [version.blocked for version in status.versions if version.blocked is not None]
    if any(blocker.needs_action and blocker.reason != Reason.VERSION_TAKEN for blocker in blockers):
        waits.append(_LOOK_AGAIN)
    return min(waits, default=None)


def _kept(status: RegisteredModelStatus, type_: str) -> tuple[Condition, ...]:
    found = status.condition(type_)
    return (found,) if found is not None else ()


# --- deletion, errors, start --------------------------------------------------------------------
def finalize(model: RegisteredModel, observation: Observation, _now: datetime) -> ModelPlan:
    """Return the next step of a deletion.

    First the pending entries of the history are stored. With `deletionPolicy: Delete` the model in
    MLflow is deleted then. Kubernetes deletes the serving objects with their owner.
    """
    step = record.step(model, observation)
    if step.put is not None:
        return Act((step.put,))
    if step.stored is not None:
        return Record(step.applied(model.status))
    left = _left(model)
    if model.spec.deletion_policy is DeletionPolicy.RETAIN:
        return Finalize(left)
    if observation.dependency_error is not None:
        if observation.dependency_error.operation == CONNECTION_OPERATION:
            kept = Event(
                "LeftBehind",
                "There is no connection to MLflow any longer: its model was left as it is.",
                warning=True,
            )
            return Finalize((kept, *left))
        status = model.status.model_copy(
            update={"conditions": error_conditions(observation.dependency_error)}
        )
        return Rest(status, requeue_after=_LOOK_AGAIN)
    if observation.model is None or observation.model.tags.get(UID_TAG) != model.metadata.uid:
        return Finalize(left)
    deleting = model.status.condition("Ready")
    if deleting is None or deleting.reason != Reason.DELETING:
        reported = progressing(Reason.DELETING, "The model in MLflow is being deleted.")
        return Record(model.status.model_copy(update={"conditions": reported}))
    return Act((DeleteModel(observation.model.name),))


def _left(model: RegisteredModel) -> tuple[Event, ...]:
    """Return the Event about entries of the history that S3 never stored."""
    recorded = model.status.record
    if recorded is None or not recorded.pending:
        return ()
    message = (
        f"{recorded.pending} of {recorded.number} entries of the history were not in S3 yet, and"
        " are lost with this object."
    )
    return (Event(Reason.RECORD_PENDING, message, warning=True),)


def on_error(
    model: RegisteredModel, error: ModelyardError, now: datetime
) -> Rest[RegisteredModelStatus] | Finalize:
    """Report an error in Synced. Ready stays True, because the effective versions still serve.

    Without Kubernetes, or if Ready was not True, all conditions report the error.
    """
    if error.dependency == "Kubernetes" or not model.status.is_true("Ready"):
        reported = (*error_conditions(error), conditions.unknown(error))
    else:
        reported = (
            *(each for each in model.status.conditions if each.type != "Synced"),
            conditions.unknown(error),
        )
    return Rest(
        conditions.with_verified(
            model, model.status.model_copy(update={"conditions": reported}), now
        )
    )
