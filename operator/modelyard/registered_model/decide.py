"""Decide what happens next to a RegisteredModel, from what was observed. Pure.

Serving comes first, the registry second, and a problem of one does not stop the other. While MLflow
or S3 is unreachable, effective versions are kept serving and no stage switches.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Protocol

from modelyard.api.base import Condition, DeletionPolicy, condition
from modelyard.api.conditions import CONNECTION_OPERATION, progressing, stalled
from modelyard.api.conditions import trouble as error_conditions
from modelyard.api.registered_model import (
    Drift,
    RegisteredModel,
    RegisteredModelStatus,
    StageStatus,
    VersionStatus,
)
from modelyard.api.registered_model import ModelReason as Reason
from modelyard.errors import ModelyardError
from modelyard.kube import tags
from modelyard.kube.names import ADOPT_ANNOTATION, OUR_TAGS, UID_TAG, mlflow_model_name, owner_tags
from modelyard.kube.pods import Runtime
from modelyard.plan import (
    Act,
    Action,
    CreateModel,
    DeleteModel,
    DeleteTags,
    Event,
    External,
    Finalize,
    Manifest,
    Plan,
    Record,
    Rest,
    SetAlias,
    SetTags,
    TagTarget,
)
from modelyard.registered_model import conditions, history, plans, record
from modelyard.registered_model.build import operator_runtime
from modelyard.registered_model.held import with_held
from modelyard.registered_model.observation import Observation, is_empty
from modelyard.registered_model.registry import moves
from modelyard.registered_model.restored import restored, stage_of
from modelyard.registered_model.stage import StageDecision
from modelyard.registered_model.stages import decide_stages
from modelyard.registered_model.versions import known, next_registration, split, tracked_by_name

__all__ = ["Decide", "decider", "finalize", "in_sync", "in_sync_with", "on_error"]

_LOOK_AGAIN = timedelta(seconds=15)
"""How often to check what no watch reports: missing artifacts, an unreachable MLflow."""
_WATCHED_READS = timedelta(minutes=1)
"""How long answers of MLflow and S3 are reused while a version is watched after a switch.

Such a model is reconciled more often than that.
"""

ModelPlan = Plan[RegisteredModelStatus]


class Decide(Protocol):
    """What `decider` returns."""

    def __call__(self, model: RegisteredModel, seen: Observation, now: datetime) -> ModelPlan:
        """Return the plan of the next round."""
        ...


def decider(runtime: Runtime) -> Decide:
    """Return the decision function of an operator with this runtime."""

    def decide(model: RegisteredModel, seen: Observation, now: datetime) -> ModelPlan:
        plan = planned(model, seen, now)
        return (
            replace(plan, status=conditions.with_verified(model, plan.status, now))
            if isinstance(plan, Record | Rest)
            else plan
        )

    def planned(model: RegisteredModel, seen: Observation, now: datetime) -> ModelPlan:
        taken = _taken(model, seen)
        if is_empty(model) and (seen.dependency_error is not None or taken is not None):
            # A lost status is rebuilt once MLflow answers and its model there is ours. Until then
            # it stays empty, and the serving objects are left alone.
            return _out_of_reach(model, seen, taken)
        if (rebuilt := restored(model, seen, now)) is not None:
            return Record(rebuilt)
        versions = known(model, seen)
        views, decisions = decide_stages(model, seen, versions, now, runtime=runtime)
        status = _status(model, seen, versions, decisions, now, runtime=runtime)
        status = status.model_copy(update={"plan": plans.rows(model, seen, views, now)})
        if seen.dependency_error is not None:
            return _without_dependencies(model, status, decisions, seen.dependency_error)
        if taken is not None:
            return _name_taken(model, decisions, taken)
        if any(decision.record for decision in decisions.values()):
            return _recording(model, status, decisions)
        return _registering(model, seen, status, decisions)

    return decide


# --- the kinds of round ---------------------------------------------------------------------------
def _recording(
    model: RegisteredModel, status: RegisteredModelStatus, decisions: Mapping[str, StageDecision]
) -> ModelPlan:
    """Write the status first: the effective version is recorded before MLflow is changed."""
    entries = tuple(decision.entry for decision in decisions.values() if decision.entry)
    if effective := tuple(made for made in entries if made.outcome.took_effect):
        said = (*conditions.changed(effective), conditions.following(Reason.PROMOTING))
    elif all(
        decision.quiet or _is_reported(model, name, decision)
        for name, decision in decisions.items()
        if decision.record
    ):
        # Only a verdict is recorded. The next round reports its consequence, so the conditions
        # stay, and no Event reports an intermediate state.
        said = model.status.conditions
    else:
        moving = {name: each for name, each in decisions.items() if each.record and not each.quiet}
        message = " ".join(
            f"{name}: {each.status.desired} is being promoted." for name, each in moving.items()
        )
        said = (*progressing(Reason.PROMOTING, message), *_kept(status, "Synced"))
    links = record.new(model.status, model.model_copy(update={"status": status}))
    events = (
        *(history.event(link.entry, link.digest) for link in links),
        *(event for decision in decisions.values() for event in decision.events),
    )
    return Record(status.model_copy(update={"conditions": said}), events)


def _is_reported(model: RegisteredModel, name: str, decision: StageDecision) -> bool:
    """Tell whether the conditions already report the promotion that a stage records more about."""
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
    said = conditions.dependency_down(model, status.stages, error)
    news = conditions.news(model.status.stages, status.stages)
    return Rest(status.model_copy(update={"conditions": said}), _LOOK_AGAIN, news)


def _out_of_reach(model: RegisteredModel, seen: Observation, taken: str | None) -> ModelPlan:
    """Wait for MLflow, from which a lost status is rebuilt."""
    if seen.dependency_error is None:
        return _name_taken(model, {}, taken or "")
    said = conditions.dependency_down(model, {}, seen.dependency_error)
    return Rest(model.status.model_copy(update={"conditions": said}), requeue_after=_LOOK_AGAIN)


def _name_taken(
    model: RegisteredModel, decisions: Mapping[str, StageDecision], message: str
) -> ModelPlan:
    if actions := _actions(decisions):
        return Act(actions)
    said = (
        *stalled(Reason.NAME_TAKEN, message),
        condition("Synced", False, Reason.NAME_TAKEN, message),
    )
    return Rest(model.status.model_copy(update={"conditions": said}), requeue_after=_LOOK_AGAIN)


def _registering(
    model: RegisteredModel,
    seen: Observation,
    status: RegisteredModelStatus,
    decisions: Mapping[str, StageDecision],
) -> ModelPlan:
    """Act on the serving objects and MLflow, or rest."""
    effective = {name: decision.status.version for name, decision in decisions.items()}
    external, synced, events = _registry(model, seen, effective)
    if _unrecorded(model, status):
        said = (*conditions.registering(), conditions.following())
        return Record(status.model_copy(update={"conditions": said}))
    actions: tuple[Action, ...] = (*_actions(decisions), *([external] if external else []))
    if actions:
        return Act(actions, events)
    # Last, so that a failing S3 does not hold up a stage or MLflow.
    step = record.step(model, seen)
    if step.put is not None:
        return Act((step.put,))
    status = step.applied(status)
    news = conditions.news(model.status.stages, status.stages)
    if step.left:
        return Record(status.model_copy(update={"conditions": model.status.conditions}), news)
    said = conditions.with_record((*conditions.standing(model, status.stages), synced), step.said)
    waits = min(
        filter(None, (_requeue_after(status, decisions), record.RETRY if step.said else None)),
        default=None,
    )
    watched = (
        _WATCHED_READS if any(stage.watch is not None for stage in status.stages.values()) else None
    )
    return Rest(status.model_copy(update={"conditions": said}), waits, news, watched)


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


# --- the registry -------------------------------------------------------------------------------
def _registry(
    model: RegisteredModel, seen: Observation, effective: Mapping[str, str | None]
) -> tuple[External | None, Condition, tuple[Event, ...]]:
    """Return the next change in MLflow, the condition Synced, and events about drift."""
    meta, name = model.metadata, mlflow_model_name(model.metadata.namespace, model.metadata.name)
    target = TagTarget("model", name)
    wanted_tags = dict(model.spec.tags) | owner_tags(meta.namespace, meta.name, meta.uid)
    users = [key for key in model.spec.tags if not key.startswith(OUR_TAGS)]
    if seen.model is None:
        return (
            CreateModel(name, model.spec.description, tags.recorded(users) | wanted_tags),
            conditions.following(),
            (),
        )
    missing = tags.missing(wanted_tags, users, seen.model.tags)
    if UID_TAG in missing:  # adopted: its versions are read once the tag says that it is ours
        return SetTags(target, missing, model.spec.description), conditions.following(), ()
    wanted = moves(model, seen, effective)
    drifted = next((move.action for move in wanted if move.drift), None)
    if (ours := next((move.action for move in wanted if not move.drift), None)) is not None:
        return ours, conditions.following(Reason.PROMOTING), ()
    if drifted is not None and model.spec.drift is Drift.REVERT:
        event = Event(
            "DriftReverted",
            f"MLflow itself was changed; put back: {_words(drifted)}.",
            warning=True,
        )
        return drifted, conditions.following(Reason.PROMOTING), (event,)
    # After the moves, so that a version or tag that MLflow refuses does not hold up a stage.
    if stale := tags.stale(users, seen.model.tags):
        return DeleteTags(target, stale), conditions.following(), ()
    if missing or seen.model.description != model.spec.description:
        return SetTags(target, missing, model.spec.description), conditions.following(), ()
    if (registration := next_registration(model, seen)) is not None:
        return registration, conditions.following(), ()
    if drifted is not None:
        message = (
            f"MLflow itself was changed: {_drift(drifted, seen, effective, model)} spec.drift is"
            " Warn, so it stays."
        )
        return None, conditions.synced(message), ()
    return None, conditions.synced(), ()


def _drift(
    move: External, seen: Observation, effective: Mapping[str, str | None], model: RegisteredModel
) -> str:
    """Say what MLflow has, what it should have, and what to do about it."""
    fix = "Set spec.drift: Revert, which puts it back"
    if not isinstance(move, SetAlias):
        return f"{_words(move)} would put it back. {fix}, or do so in MLflow."
    there = seen.model.aliases.get(move.alias) if seen.model is not None else None
    if there is None:
        return f"the alias {move.alias} is gone, but {effective[move.alias]} is effective. {fix}."
    name = next(
        (
            name
            for name, version in tracked_by_name(model, seen.versions).items()
            if version.version == there
        ),
        None,
    )
    what = (
        f"version {there}, which is {name},"
        if name
        else f"version {there}, not one of this model's,"
    )
    promote = f", or promote {name} to {move.alias}" if name else ""
    return (
        f"the alias {move.alias} is at {what} but {effective[move.alias]} is effective (version"
        f" {move.version}). {fix}{promote}."
    )


def _words(move: External) -> str:
    if isinstance(move, SetTags):
        return f"SetTags (version {move.target.version}, {', '.join(sorted(move.tags))})"
    values = ", ".join(f"{key} {value}" for key, value in vars(move).items() if value is not None)
    return f"{type(move).__name__} ({values})"


def _taken(model: RegisteredModel, seen: Observation) -> str | None:
    meta = model.metadata
    if (
        seen.model is None
        or seen.model.tags.get(UID_TAG) == meta.uid
        or meta.annotations.get(ADOPT_ANNOTATION) == "true"
    ):
        return None
    return (
        f"MLflow already has the model {seen.model.name}, and it belongs to another object. Give"
        " this RegisteredModel another name, or take that one over: kubectl annotate mlmodel"
        f" {meta.name} -n {meta.namespace} {ADOPT_ANNOTATION}=true"
    )


# --- the status ---------------------------------------------------------------------------------
def _status(
    model: RegisteredModel,
    seen: Observation,
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
    recorded, entries = record.numbered(model, record.known(model, seen), entries)
    return model.status.model_copy(
        update={
            "mlflow_name": name,
            "url": f"{seen.tracking_url}/#/models/{name}"
            if seen.tracking_url
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
    """Return when to reconcile again; what else a version waits for is reported by a watch."""
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
def finalize(model: RegisteredModel, seen: Observation, _now: datetime) -> ModelPlan:
    """Return what must happen before the object may be deleted.

    Pending entries of the history are stored; with `deletionPolicy: Delete` the model in MLflow is
    deleted. Kubernetes deletes the serving objects with their owner.
    """
    step = record.step(model, seen)
    if step.put is not None:
        return Act((step.put,))
    if step.stored is not None:
        return Record(step.applied(model.status))
    left = _left(model)
    if model.spec.deletion_policy is DeletionPolicy.RETAIN:
        return Finalize(left)
    if seen.dependency_error is not None:
        if seen.dependency_error.operation == CONNECTION_OPERATION:
            kept = Event(
                "LeftBehind",
                "There is no connection to MLflow any longer: its model was left as it is.",
                warning=True,
            )
            return Finalize((kept, *left))
        status = model.status.model_copy(
            update={"conditions": error_conditions(seen.dependency_error)}
        )
        return Rest(status, requeue_after=_LOOK_AGAIN)
    if seen.model is None or seen.model.tags.get(UID_TAG) != model.metadata.uid:
        return Finalize(left)
    deleting = model.status.condition("Ready")
    if deleting is None or deleting.reason != Reason.DELETING:
        said = progressing(Reason.DELETING, "The model in MLflow is being deleted.")
        return Record(model.status.model_copy(update={"conditions": said}))
    return Act((DeleteModel(seen.model.name),))


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
    """Report an error: Synced names it; Ready stays, because what serves is still serving."""
    if error.dependency == "Kubernetes" or not model.status.is_true("Ready"):
        said = (*error_conditions(error), conditions.unknown(error))
    else:
        said = (
            *(each for each in model.status.conditions if each.type != "Synced"),
            conditions.unknown(error),
        )
    return Rest(
        conditions.with_verified(model, model.status.model_copy(update={"conditions": said}), now)
    )


def in_sync(model: RegisteredModel, owned: tuple[Manifest, ...]) -> bool:
    """Tell whether the spec was applied and its serving objects exist, going by the status."""
    status = model.status
    if status.observed_generation != model.metadata.generation or not (
        status.is_true("Ready") and status.is_true("Synced")
    ):
        return False
    if any(
        stage.candidate is not None or stage.draining or stage.override or stage.watch
        for stage in status.stages.values()
    ):
        return False
    if any(stage.kept is not None for stage in status.stages.values()):
        return False  # a displaced version keeps its pods until its window or the watch ends
    if any(
        stage.verification is not None and stage.verification.is_open
        for stage in status.stages.values()
    ):
        return False
    if any(each["kind"] == "Job" for each in owned):  # a gate's: it must be read or deleted
        return False
    serving = {stage_of(each) for each in owned if each["kind"] == "Deployment"}
    return all(name in serving for name, stage in status.stages.items() if stage.desired_replicas)


def in_sync_with(runtime: Runtime) -> Callable[[RegisteredModel, tuple[Manifest, ...]], bool]:
    """Return `in_sync` for an operator of this runtime, which the status must name."""
    current = operator_runtime(runtime)

    def check(model: RegisteredModel, owned: tuple[Manifest, ...]) -> bool:
        return model.status.operator_runtime == current and in_sync(model, owned)

    return check
