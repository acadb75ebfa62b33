"""The next change in MLflow, the condition Synced, drift, and a name that is taken. Pure."""

from collections.abc import Mapping

from modelyard.api.base import Condition
from modelyard.api.registered_model import Drift, RegisteredModel
from modelyard.api.registered_model import ModelReason as Reason
from modelyard.kube import tags
from modelyard.kube.names import ADOPT_ANNOTATION, OUR_TAGS, UID_TAG, mlflow_model_name, owner_tags
from modelyard.plan import CreateModel, DeleteTags, Event, External, SetAlias, SetTags, TagTarget
from modelyard.registered_model import conditions
from modelyard.registered_model.observation import Observation
from modelyard.registered_model.registry import moves
from modelyard.registered_model.versions import next_registration, tracked_by_name

__all__ = ["next_change", "taken_name"]


def next_change(
    model: RegisteredModel, observation: Observation, effective: Mapping[str, str | None]
) -> tuple[External | None, Condition, tuple[Event, ...]]:
    """Return the next change in MLflow, the condition Synced, and events about drift."""
    meta, name = model.metadata, mlflow_model_name(model.metadata.namespace, model.metadata.name)
    target = TagTarget("model", name)
    wanted_tags = dict(model.spec.tags) | owner_tags(meta.namespace, meta.name, meta.uid)
    users = [key for key in model.spec.tags if not key.startswith(OUR_TAGS)]
    if observation.model is None:
        return (
            CreateModel(name, model.spec.description, tags.recorded(users) | wanted_tags),
            conditions.following(),
            (),
        )
    missing = tags.missing(wanted_tags, users, observation.model.tags)
    if UID_TAG in missing:  # adopted: its versions are read once the tag says that it is ours
        return SetTags(target, missing, model.spec.description), conditions.following(), ()
    wanted = moves(model, observation, effective)
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
    if stale := tags.stale(users, observation.model.tags):
        return DeleteTags(target, stale), conditions.following(), ()
    if missing or observation.model.description != model.spec.description:
        return SetTags(target, missing, model.spec.description), conditions.following(), ()
    if (registration := next_registration(model, observation)) is not None:
        return registration, conditions.following(), ()
    if drifted is not None:
        message = (
            f"MLflow itself was changed: {_drift(drifted, observation, effective, model)}"
            " spec.drift is Warn, so it stays."
        )
        return None, conditions.synced(message), ()
    return None, conditions.synced(), ()


def _drift(
    move: External,
    observation: Observation,
    effective: Mapping[str, str | None],
    model: RegisteredModel,
) -> str:
    """Say what MLflow has, what it should have, and what to do about it."""
    fix = "Set spec.drift: Revert, which puts it back"
    if not isinstance(move, SetAlias):
        return f"{_words(move)} would put it back. {fix}, or do so in MLflow."
    there = observation.model.aliases.get(move.alias) if observation.model is not None else None
    if there is None:
        return f"the alias {move.alias} is gone, but {effective[move.alias]} is effective. {fix}."
    name = next(
        (
            name
            for name, version in tracked_by_name(model, observation.versions).items()
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


def taken_name(model: RegisteredModel, observation: Observation) -> str | None:
    """Return the message if the model in MLflow belongs to another object, else None."""
    meta = model.metadata
    if (
        observation.model is None
        or observation.model.tags.get(UID_TAG) == meta.uid
        or meta.annotations.get(ADOPT_ANNOTATION) == "true"
    ):
        return None
    return (
        f"MLflow already has the model {observation.model.name}, and it belongs to another object."
        " Give this RegisteredModel another name, or adopt that model: kubectl annotate mlmodel"
        f" {meta.name} -n {meta.namespace} {ADOPT_ANNOTATION}=true"
    )
