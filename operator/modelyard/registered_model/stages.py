"""The decisions about all stages of a model, within the capacity of the history. Pure."""

from collections.abc import Iterable, Mapping
from datetime import datetime

from modelyard.api.model_status import STAGES
from modelyard.api.registered_model import RegisteredModel, StageStatus, VersionStatus
from modelyard.kube.pods import Runtime
from modelyard.plan import Apply, Delete, Manifest, SetTrafficRule
from modelyard.registered_model import build, record, serving, split
from modelyard.registered_model.build import PodSettings
from modelyard.registered_model.decision import StageDecision
from modelyard.registered_model.observation import Observation
from modelyard.registered_model.restored import stage_of
from modelyard.registered_model.stage import decide_stage
from modelyard.registered_model.view import StageView

__all__ = ["decide_stages"]

_STAGES_LEFT = 4
"""Maximum stages per round that neither spec nor status has, only labels (after a lost status)."""


def decide_stages(
    model: RegisteredModel,
    observation: Observation,
    versions: tuple[VersionStatus, ...],
    now: datetime,
    *,
    runtime: Runtime,
) -> tuple[list[StageView], dict[str, StageDecision]]:
    """Return the views of the stages, and the decision about each.

    A change for which the history has no room is not carried out. The stage then keeps its version,
    and only its lost serving objects are restored.
    """
    recorded = record.current(model, observation)
    room = record.room(recorded)
    views: list[StageView] = []
    decisions: dict[str, StageDecision] = {}
    for name in _stage_names(model, observation):
        begun = _promotions_in_progress(model, decisions)
        view = _view(
            model,
            observation,
            versions,
            name,
            runtime=runtime,
            now=now,
            is_full=record.is_full(recorded, begun),
            has_room=recorded is None or room > 0,
        )
        decision = decide_stage(view, now)
        if decision.entry is not None and room <= 0:
            blocker = record.full(model.metadata.name, view.desired, recorded)
            decision = StageDecision(
                view.status.model_copy(update={"blocked": blocker}),
                (*_rule_removals(view), *_restored_objects(view)),
                requeue_after=record.RETRY,
            )
        room -= decision.entry is not None
        views.append(view)
        decisions[name] = decision
    return views, decisions


def _rule_removals(view: StageView) -> Iterable[SetTrafficRule]:
    """Return the removals of the pods' rules: a candidate that cannot end yet gets no requests."""
    return split.rule_writes(view.of_kind("Pod"), None) if view.status.rollout is not None else ()


def _restored_objects(view: StageView) -> tuple[Apply | Delete, ...]:
    """Return the applies that restore lost objects of the version that receives requests.

    That is the version that the Service routes to, else the effective version.
    """
    held = [each for each in (view.effective, view.status.candidate) if each is not None]
    live = next((each for each in held if each.runtime.identity == view.routed), view.effective)
    if live is None or view.spec is None or not view.is_served:
        return ()
    wanted = (*serving.workload(view, live), *serving.routes(view, live))
    return tuple(
        each
        for each in wanted
        if not isinstance(each, Apply) or serving.refused(view, [each]) is None
    )


def _promotions_in_progress(model: RegisteredModel, decisions: Mapping[str, StageDecision]) -> int:
    """Return the number of promotions in progress; each ends with an entry in the history."""
    stages = dict(model.status.stages) | {
        name: decision.status for name, decision in decisions.items()
    }
    return sum(stage.candidate is not None for stage in stages.values())


def _view(
    model: RegisteredModel,
    observation: Observation,
    versions: tuple[VersionStatus, ...],
    name: str,
    *,
    runtime: Runtime,
    now: datetime,
    is_full: bool,
    has_room: bool,
) -> StageView:
    return StageView(
        name=name,
        model=model,
        status=model.status.stages.get(name) or StageStatus(),
        versions={version.name: version for version in versions},
        owned=tuple(
            each
            for each in observation.owned
            if stage_of(each) == name or _keeps_its_analysis(model, name, each)
        ),
        runtime=runtime,
        pod_settings=PodSettings(observation.allow_code, observation.pods_secret),
        refusals=observation.refusals,
        dependencies_down=observation.dependency_error is not None,
        now=now,
        evidence=observation.evidence,
        calendar=observation.calendar,
        neighbour=observation.neighbours.get(name),
        record_is_full=is_full,
        record_has_room=has_room,
    )


def _keeps_its_analysis(model: RegisteredModel, stage: str, owned: Manifest) -> bool:
    """Tell whether an object is the ConfigMap of a stage's rollout.

    It is found by its name: the watch of ConfigMaps has no labels.
    """
    return (owned["kind"], owned["metadata"]["name"]) == (
        "ConfigMap",
        build.rollout_name(model, stage),
    )


def _stage_names(model: RegisteredModel, observation: Observation) -> list[str]:
    """Return the stages to decide on: those of the spec, and removed ones of which objects remain.

    The status has room for as many stages as the spec may have. A removed stage takes up room while
    it has an effective version, which is cleared when MLflow answers; new stages of the spec wait
    for room meanwhile. Labels of owned objects may name any number of other stages, of which a
    round handles a few.
    """
    kept = {
        name
        for name, stage in model.status.stages.items()
        if name in model.spec.stages or stage.version
    }
    new = sorted(model.spec.stages.keys() - kept)[: STAGES - len(kept)]
    labelled = (
        {*filter(None, map(stage_of, observation.owned))}
        - model.spec.stages.keys()
        - model.status.stages.keys()
    )
    left = model.status.stages.keys() - model.spec.stages.keys()
    return sorted({*kept, *new, *left, *sorted(labelled)[:_STAGES_LEFT]})
