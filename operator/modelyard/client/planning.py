"""Planning a promotion: the checks, the patches and the plan's rows. Pure."""

from dataclasses import replace
from typing import Any

from modelyard.api.registered_model import ModelReason, PlannedStep, RegisteredModel, StageStatus
from modelyard.client import newest
from modelyard.client.errors import NotFound, Refused
from modelyard.client.progress import Change, Progress, State, asked_for, stage_change

__all__ = [
    "carry_out",
    "check",
    "is_planned",
    "patch",
    "plan_progress",
    "planned_changes",
    "rows",
    "take_back",
]


def planned_changes(model: RegisteredModel) -> dict[str, str | None]:
    """Return the version that the spec asks for, by stage, where it is not effective yet."""
    found = {}
    for name in sorted({*model.spec.stages, *model.status.stages}):
        wanted = asked_for(model, name).version
        status = model.status.stages.get(name) or StageStatus()
        if status.candidate is not None or wanted != status.version:
            found[name] = wanted
    return found


def is_planned(model: RegisteredModel, stage: str, version: str) -> bool:
    """Tell whether `dryRun` is set, and this change is the only one planned."""
    return model.spec.dry_run and planned_changes(model) == {stage: version}


def check(model: RegisteredModel, stage: str, version: str) -> None:
    """Check that a plan can be asked for.

    Raises:
        NotFound: There is no such stage or version.
        Refused: A promotion is under way, or another one is planned; the version is already
            effective; an override is in force; or the stage has `autoPromote`.

    """
    key, status = model.key, model.status.stages.get(stage) or StageStatus()
    if stage not in model.spec.stages:
        raise NotFound(
            f"{key} has no stage {stage}. Its stages: {', '.join(model.spec.stages) or 'none'}.",
            name=stage,
        )
    known = dict.fromkeys(
        [
            *(each.name for each in model.status.older_versions),
            *(each.name for each in model.status.versions),
            *model.spec.versions,
        ]
    )
    if newest.is_automatic(model, stage):
        raise Refused(
            f"{stage} of {key} takes the newest version automatically (autoPromote). Set"
            " spec.dryRun: true to have that planned."
        )
    if version not in known:
        raise NotFound(
            f"{key} has no version {version}. It has: {', '.join(known) or 'none yet'}.",
            name=version,
        )
    if model.status.observed_generation < model.metadata.generation:
        raise Refused(
            f"The operator has not observed the last change of {key} yet: ask again in a moment. Is"
            " it running?"
        )
    if status.override is not None and status.desired == status.override.version:
        raise Refused(
            f"An override is in force in {stage} of {key}. Nothing else can be planned there until"
            " it ends."
        )
    if changes := planned_changes(model):
        said = ", ".join(f"{name}: {wanted or 'no version'}" for name, wanted in changes.items())
        if model.spec.dry_run:
            raise Refused(f"{key} has another plan ({said}). Carry it out or take it back first.")
        raise Refused(f"{key} is being changed ({said}). Wait until that is complete, or undo it.")
    if status.version == version:
        raise Refused(f"{version} is already effective in {stage} of {key}: nothing to plan.")


def patch(model: RegisteredModel, stage: str, wanted: dict[str, Any]) -> dict[str, Any]:
    """Return the merge patch that asks for a version with `dryRun`.

    It names the resourceVersion that was read: if the object has changed, the API server refuses
    the patch.
    """
    return _of(model, dry_run=True, stages={stage: wanted})


def carry_out(model: RegisteredModel, stage: str, version: str) -> dict[str, Any]:
    """Return the merge patch that carries a plan out.

    Raises:
        Refused: There is no such plan, or another change is planned too.

    """
    _planned(model, stage, version)
    return _of(model, dry_run=False)


def take_back(
    model: RegisteredModel, stage: str, version: str, requester: dict[str, str]
) -> dict[str, Any]:
    """Return the merge patch that takes a plan back: the spec asks for the effective version.

    Raises:
        Refused: There is no such plan, or another change is planned too.

    """
    _planned(model, stage, version)
    effective = (model.status.stages.get(stage) or StageStatus()).version
    return _of(model, dry_run=False, stages={stage: {"version": effective, **requester}})


def _of(
    model: RegisteredModel, *, dry_run: bool, stages: dict[str, Any] | None = None
) -> dict[str, Any]:
    spec: dict[str, Any] = {"dryRun": dry_run} | ({"stages": stages} if stages else {})
    return {"metadata": {"resourceVersion": model.metadata.resource_version}, "spec": spec}


def _planned(model: RegisteredModel, stage: str, version: str) -> None:
    if is_planned(model, stage, version):
        return
    planned = (
        ", ".join(
            f"{name}: {wanted or 'no version'}" for name, wanted in planned_changes(model).items()
        )
        if model.spec.dry_run
        else ""
    )
    if not planned:
        raise Refused(
            f"{model.key} has no plan to promote {version} to {stage}: modelyard promote ... --plan"
            " makes one."
        )
    raise Refused(
        f"{model.key} has another plan ({planned}). spec.dryRun: false carries out all of it."
    )


def plan_progress(model: RegisteredModel, change: Change) -> Progress:
    """Return the progress of a plan. It is done when the stage is blocked with reason Planned."""
    found = stage_change(model, change)
    return replace(found, state=State.DONE) if found.reason == ModelReason.PLANNED else found


def rows(model: RegisteredModel, stage: str) -> tuple[PlannedStep, ...]:
    """Return the plan's rows for a stage, with those that belong to no stage."""
    return tuple(row for row in model.status.plan if row.stage in {stage, ""})
