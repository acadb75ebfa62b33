"""RegisteredModel: what should happen next, given what is there. Pure: no I/O, no clock of its own.

Serving first, the registry after it, and never one because of the other's trouble: with MLflow or S3 away, what holds a stage is
kept serving, and nothing new takes one.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Protocol

from modelyard.api.base import Condition, DeletionPolicy, condition
from modelyard.api.conditions import CONNECTION_OPERATION, progressing, ready, stalled
from modelyard.api.conditions import trouble as trouble_conditions
from modelyard.api.registered_model import Drift, HistoryEntry, RegisteredModel, RegisteredModelStatus, StageStatus, VersionStatus
from modelyard.api.registered_model import ModelReason as Reason
from modelyard.errors import ModelyardError
from modelyard.kube import tags
from modelyard.kube.names import ADOPT_ANNOTATION, OUR_TAGS, STAGE_LABEL, UID_TAG, mlflow_model_name, owner_tags
from modelyard.kube.pods import Runtime
from modelyard.plan import Action, CreateModel, DeleteModel, DeleteModelTags, Event, Manifest, Outside, Plan, SetModelTags
from modelyard.registered_model.observe import Seen
from modelyard.registered_model.registry import moves, written_down
from modelyard.registered_model.sources import Problem
from modelyard.registered_model.stages import Context, StagePlan, stage_plan
from modelyard.registered_model.versions import known, next_registration

__all__ = ["decider", "release", "settled", "trouble"]

_HISTORY = 50
_LOOK_AGAIN = timedelta(seconds=15)
"""How often something is looked for that no watch tells of: artifacts that are missing, MLflow that is away."""


class Decide(Protocol):
    """What `decider` returns."""

    def __call__(self, model: RegisteredModel, seen: Seen, now: datetime) -> Plan[RegisteredModelStatus]:
        """Say what is missing most, or that nothing is."""
        ...


def decider(runtime: Runtime) -> Decide:
    """Return the decision for pods of this runtime."""

    def decide(model: RegisteredModel, seen: Seen, now: datetime) -> Plan[RegisteredModelStatus]:
        versions, told = known(model, seen), written_down(model, seen)
        context = Context(
            model=model,
            versions={version.name: version for version in versions},
            children=seen.children,
            runtime=runtime,
            allow_code=seen.allow_code,
            frozen=seen.trouble is not None,
            now=now,
            told={stage: version for version, stages in told.items() for stage in stages},
        )
        plans = {name: stage_plan(context, name) for name in _stage_names(model, seen, told)}
        return _compose(model, seen, versions, plans, now)

    return decide


def _stage_names(model: RegisteredModel, seen: Seen, told: Mapping[str, frozenset[str]]) -> list[str]:
    """Return the stages of the spec, and those of which something is left: a status, what serves them, our tags in MLflow."""
    labels = [child["metadata"].get("labels") or {} for child in seen.children]
    serving = {str(each[STAGE_LABEL]) for each in labels if STAGE_LABEL in each}
    tagged = {stage for stages in told.values() for stage in stages}
    return sorted({*model.spec.stages, *model.status.stages, *serving, *tagged})


def _compose(
    model: RegisteredModel, seen: Seen, versions: tuple[VersionStatus, ...], plans: dict[str, StagePlan], now: datetime
) -> Plan[RegisteredModelStatus]:
    """Put the stages, the versions and the registry together into one pass."""
    holders = {name: plan.status.version for name, plan in plans.items()}
    status = _status(model, seen, versions, plans, now)
    entries = [plan.entry for plan in plans.values() if plan.entry]
    actions: tuple[Action, ...] = tuple(action for plan in plans.values() for action in plan.actions)
    if entries:
        # What has changed hands is written down before the registry follows: a pass that dies in between goes on from there.
        conditions = (*progressing(Reason.PROMOTING, _changes(entries)), condition("Synced", False, Reason.PROMOTING, "MLflow follows."))
        return Plan(
            status.model_copy(update={"conditions": conditions}), again=timedelta(0), events=tuple(_event(entry) for entry in entries)
        )
    if seen.trouble is not None:
        conditions = (*_troubled(model, plans, seen.trouble), _unknown(seen.trouble))
        return Plan(status.model_copy(update={"conditions": conditions}), actions, again=_LOOK_AGAIN)
    if (taken := _taken(model, seen)) is not None:
        conditions = (*stalled(Reason.NAME_TAKEN, taken), condition("Synced", False, Reason.NAME_TAKEN, taken))
        return Plan(status.model_copy(update={"conditions": conditions}), actions, again=_LOOK_AGAIN)
    outside, synced, events = _registry(model, seen, holders)
    conditions = (*_conditions(model, plans, outside), synced)
    if outside is not None:
        actions = (*actions, outside)
    return Plan(status.model_copy(update={"conditions": conditions}), actions, again=_again(plans, versions, seen), events=events)


def _registry(model: RegisteredModel, seen: Seen, holders: dict[str, str | None]) -> tuple[Outside | None, Condition, tuple[Event, ...]]:
    """Return the next move in MLflow, what to say of it, and whether somebody else had moved something."""
    meta, name = model.metadata, mlflow_model_name(model.metadata.namespace, model.metadata.name)
    wanted_tags = dict(model.spec.tags) | owner_tags(meta.namespace, meta.name, meta.uid)
    users = [key for key in model.spec.tags if not key.startswith(OUR_TAGS)]
    registering = condition("Synced", False, Reason.REGISTERING, "MLflow is being brought up to date.")
    if seen.model is None:
        return CreateModel(name, model.spec.description, tags.recorded(users) | wanted_tags), registering, ()
    missing = tags.missing(wanted_tags, users, seen.model.tags)
    if UID_TAG in missing:  # adopted: its versions are looked at when it is ours
        return SetModelTags(name, missing, model.spec.description), registering, ()
    following = condition("Synced", False, Reason.PROMOTING, "MLflow follows.")
    wanted = moves(model, seen, holders)
    drifted = next((move.action for move in wanted if move.drift), None)
    if (ours := next((move.action for move in wanted if not move.drift), None)) is not None:
        return ours, following, ()
    if drifted is not None and model.spec.drift is Drift.REVERT:
        event = Event("DriftReverted", f"Somebody had changed MLflow itself; put back: {_words(drifted)}.", warning=True)
        return drifted, following, (event,)
    # Behind the moves: a version or a tag that MLflow refuses must not hold up a stage.
    if stale := tags.stale(users, seen.model.tags):
        return DeleteModelTags(name, stale), registering, ()
    if missing or seen.model.description != model.spec.description:
        return SetModelTags(name, missing, model.spec.description), registering, ()
    if (registration := next_registration(model, seen)) is not None:
        return registration, registering, ()
    if drifted is not None:
        message = f"Somebody moved a stage or an alias in MLflow: {_words(drifted)} would put it back. spec.drift is Warn, so it stays."
        return None, condition("Synced", False, Reason.DRIFTED, message), ()
    return None, condition("Synced", True, Reason.SYNCED, "MLflow agrees with the spec."), ()


def _conditions(model: RegisteredModel, plans: dict[str, StagePlan], outside: Outside | None) -> tuple[Condition, ...]:
    waits = [plan.wait for plan in plans.values() if plan.wait]
    if blocked := next((wait for wait in waits if wait.stalled), None):
        return stalled(blocked.reason, blocked.message)
    if waits:
        return progressing(waits[0].reason, " ".join(wait.message for wait in waits))
    if outside is not None:
        return progressing(Reason.REGISTERING, "MLflow is being brought up to date.")
    served = [f"{name} holds {plan.status.version}" for name, plan in plans.items() if plan.status.version]
    if not served:
        return ready(Reason.REGISTERED, f"{model.metadata.name} is registered; no stage holds a version.")
    return ready(Reason.SERVING, f"{', '.join(served)}.")


def _troubled(model: RegisteredModel, plans: dict[str, StagePlan], error: ModelyardError) -> tuple[Condition, ...]:
    """What is served is Ready as long as it is served; what waits for the outside says what it waits for."""
    waits = {plan.wait.reason for plan in plans.values() if plan.wait}
    if not model.status.versions or waits & {Reason.VERSION_UNKNOWN, Reason.WAITING_FOR_VERSION, Reason.PROMOTING}:
        return trouble_conditions(error)
    return _conditions(model, plans, None)


def _status(
    model: RegisteredModel, seen: Seen, versions: tuple[VersionStatus, ...], plans: dict[str, StagePlan], now: datetime
) -> RegisteredModelStatus:
    meta = model.metadata
    name = mlflow_model_name(meta.namespace, meta.name)
    stages = {stage: plan.status for stage, plan in plans.items() if stage in model.spec.stages or plan.status.version or plan.actions}
    entries = tuple(plan.entry for plan in plans.values() if plan.entry)
    return model.status.model_copy(
        update={
            "mlflow_name": name,
            "url": f"{seen.tracking_url}/#/models/{name}" if seen.tracking_url else model.status.url,
            "versions": tuple(_with_stages(version, stages, now) for version in versions),
            "stages": stages,
            "history": (*model.status.history, *entries)[-_HISTORY:],
            "summary": _summary(stages),
        }
    )


def _with_stages(version: VersionStatus, stages: dict[str, StageStatus], now: datetime) -> VersionStatus:
    held = tuple(sorted(name for name, stage in stages.items() if stage.version == version.name))
    until = None if held else version.served_until or (now if version.stages else None)
    return version.model_copy(update={"stages": held, "served_until": until})


def _summary(stages: dict[str, StageStatus]) -> str:
    def one(name: str, stage: StageStatus) -> str:
        now, then = stage.version or "none", stage.desired or "none"
        return f"{name}={now}" if now == then else f"{name}={now}->{then}"

    return " ".join(one(name, stage) for name, stage in sorted(stages.items()))[:1024]


def _again(plans: dict[str, StagePlan], versions: tuple[VersionStatus, ...], seen: Seen) -> timedelta | None:
    looks = [plan.again for plan in plans.values() if plan.again is not None]
    waiting = {name for name, source in seen.sources.items() if isinstance(source, Problem) and source.waiting}  # a watch tells of those
    if any(version.problem and version.name not in waiting for version in versions):
        looks.append(_LOOK_AGAIN)
    return min(looks, default=None)


def _taken(model: RegisteredModel, seen: Seen) -> str | None:
    meta = model.metadata
    if seen.model is None or seen.model.tags.get(UID_TAG) == meta.uid or meta.annotations.get(ADOPT_ANNOTATION) == "true":
        return None
    return (
        f"MLflow already has the model {seen.model.name}, and it is not this object's. Give this RegisteredModel another name, "
        f"or take that one over: kubectl annotate mlmodel {meta.name} -n {meta.namespace} {ADOPT_ANNOTATION}=true"
    )


def _unknown(error: ModelyardError) -> Condition:
    said = next(c for c in trouble_conditions(error) if c.type == "Ready")
    return condition("Synced", None, said.reason, said.message)


def _changes(entries: list[HistoryEntry]) -> str:
    return " ".join(f"{entry.stage}: {entry.to or 'nothing'} took over from {entry.from_ or 'nothing'}." for entry in entries)


def _event(entry: HistoryEntry) -> Event:
    return Event(entry.reason, f"{entry.stage}: {entry.from_ or 'nothing'} -> {entry.to or 'nothing'}")


def _words(move: Outside) -> str:
    values = ", ".join(f"{key} {value}" for key, value in vars(move).items())
    return f"{type(move).__name__} ({values})"


def release(model: RegisteredModel, seen: Seen, _now: datetime) -> Plan[RegisteredModelStatus]:
    """Say what has to go before the object may: with `deletionPolicy: Delete`, our model in MLflow. Its serving goes with the object."""
    status = model.status.model_copy(update={"conditions": progressing(Reason.DELETING, "Deleting the model in MLflow.")})
    if model.spec.deletion_policy is DeletionPolicy.RETAIN:
        return Plan(status, released=True)
    if seen.trouble is not None:
        if seen.trouble.operation == CONNECTION_OPERATION:
            left = Event("LeftBehind", "There is no connection to MLflow any more: its model was left as it is.", warning=True)
            return Plan(status, released=True, events=(left,))
        return Plan(status.model_copy(update={"conditions": trouble_conditions(seen.trouble)}), again=_LOOK_AGAIN)
    if seen.model is not None and seen.model.tags.get(UID_TAG) == model.metadata.uid:
        return Plan(status, (DeleteModel(seen.model.name),))
    return Plan(status, released=True)


def trouble(model: RegisteredModel, error: ModelyardError, _now: datetime) -> Plan[RegisteredModelStatus]:
    """Say what an error means. What is served is served on, and the condition that says so stands; Synced names the trouble."""
    if error.dependency == "Kubernetes" or not model.status.is_true("Ready"):
        conditions = (*trouble_conditions(error), _unknown(error))
    else:
        conditions = (*(c for c in model.status.conditions if c.type != "Synced"), _unknown(error))
    return Plan(model.status.model_copy(update={"conditions": conditions}))


def settled(model: RegisteredModel, children: tuple[Manifest, ...]) -> bool:
    """Tell whether the status says that the spec was applied, and what serves it is there."""
    if (
        model.status.observed_generation != model.metadata.generation
        or not model.status.is_true("Ready")
        or not model.status.is_true("Synced")
    ):
        return False
    serving = {child["metadata"]["labels"].get("modelyard.io/stage") for child in children if child["kind"] == "Deployment"}
    return all(name in serving for name, stage in model.status.stages.items() if stage.desired_replicas)
