"""One stage: which version holds it, what its serving lacks, what stands between it and the version that the spec asks for. Pure.

A stage changes hands in this order: the new version comes up beside the old one; when it is ready, which means that it has
predicted, the Service points at it; then the registry follows (`registry`), and the old pods go after a while.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from modelyard.api.registered_model import HistoryEntry, RegisteredModel, Serving, StageStatus, VersionStatus
from modelyard.api.registered_model import ModelReason as Reason
from modelyard.kube.diff import matches
from modelyard.kube.names import REASON_ANNOTATION, STAGE_LABEL, VERSION_LABEL, serving_name
from modelyard.kube.pods import Runtime
from modelyard.plan import Apply, Delete, Manifest
from modelyard.registered_model import build
from modelyard.registered_model.health import Health, health

__all__ = ["DRAIN", "Context", "StagePlan", "Wait", "stage_plan"]

_PROBLEMS = (Reason.ARTIFACT_MISSING, Reason.ARTIFACT_DIGEST_MISMATCH, Reason.VERSION_INVALID, Reason.CONNECTION_REFUSED)

DRAIN = timedelta(seconds=15)
"""How long a displaced version serves on: until every node's proxy has certainly seen the Service change."""


@dataclass(frozen=True)
class Wait:
    """Why a stage is not as the spec asks. `stalled`: somebody has to do something."""

    reason: Reason
    message: str
    stalled: bool = False


@dataclass(frozen=True)
class StagePlan:
    """What a stage needs in this pass.

    Attributes:
        status: What to say of it.
        actions: Applies and deletes of what serves it.
        wait: Why it is not as the spec asks; None when it is.
        entry: What the history gains: the stage changes hands in this pass.
        again: When to look again at the latest.

    """

    status: StageStatus
    actions: tuple[Apply | Delete, ...] = ()
    wait: Wait | None = None
    entry: HistoryEntry | None = None
    again: timedelta | None = None


@dataclass(frozen=True)
class Context:
    """What the stages of a model have in common: the object, its versions, what serves them, the clock.

    `frozen`: nothing outside can be seen, so no stage changes hands. `told`: the version that holds a stage according to MLflow, for a
    status that was lost.
    """

    model: RegisteredModel
    versions: dict[str, VersionStatus]
    children: tuple[Manifest, ...]
    runtime: Runtime
    allow_code: bool
    now: datetime
    frozen: bool = False
    told: Mapping[str, str] = field(default_factory=dict)


class _Stage:
    """Everything that the decision about one stage looks at."""

    def __init__(self, context: Context, name: str) -> None:
        spec = context.model.spec.stages.get(name)
        self.name = name
        self.model, self.versions, self.runtime = context.model, context.versions, context.runtime
        self.allow_code, self.now, self.frozen = context.allow_code, context.now, context.frozen
        self.desired = spec.version if spec else None
        self.serving = spec.serving if spec else Serving(replicas=0)
        self.served = self.serving.replicas > 0 or self.serving.autoscaling is not None
        self.old = context.model.status.stages.get(name) or StageStatus(version=context.told.get(name) if spec else None)
        self.children = tuple(child for child in context.children if child["metadata"].get("labels", {}).get(STAGE_LABEL) == name)
        self.live = {(child["kind"], child["metadata"]["name"]): child for child in self.children}

    def fronts(self) -> list[Manifest]:
        """Everything but pods, in the order in which it goes: nobody is sent to pods that go."""
        order = {"Service": 0, "HorizontalPodAutoscaler": 1, "PodDisruptionBudget": 2, "Deployment": 3}
        return sorted((child for child in self.children if child["kind"] in order), key=lambda child: order[child["kind"]])


def stage_plan(context: Context, name: str) -> StagePlan:
    """Say what a stage needs: keep what holds it serving, bring up what is to hold it, hand over when that is ready."""
    stage = _Stage(context, name)
    if stage.desired is None:
        return _cleared(stage)
    if stage.desired == stage.old.version:
        return _steady(stage, stage.desired, {stage.desired})
    return _changing(stage, stage.desired)


def _cleared(stage: _Stage) -> StagePlan:
    """Nothing holds the stage: nothing serves it."""
    if stage.old.version is not None:
        if stage.frozen:
            return StagePlan(stage.old, wait=_thaw(f"{stage.name} is cleared"))
        entry = HistoryEntry(time=stage.now, stage=stage.name, from_=stage.old.version, reason="Cleared", note=_note(stage, "none"))
        return StagePlan(StageStatus(since=stage.now), entry=entry)
    return StagePlan(StageStatus(since=stage.old.since), _deletes(stage.fronts()))


def _steady(stage: _Stage, version: str, keep: set[str]) -> StagePlan:
    """Keep a version served; take away the Deployments of all versions but those to keep."""
    calm: dict[str, None] = {"started": None, "refused": None, "refused_generation": None}
    status = stage.old.model_copy(update={"version": version, "desired": version, **calm})
    if not stage.served:
        none = {"url": None, "ready_replicas": 0, "desired_replicas": 0}
        return StagePlan(status.model_copy(update=none), _deletes(stage.fronts()))
    found = _health(stage, version)
    replicas = _replicas(stage, version)
    retired, again = _retired(stage, keep)
    status = status.model_copy(update={"url": _url(stage), "ready_replicas": found.ready, "desired_replicas": replicas})
    wait = _doubt(stage, version)
    if wait is None and (found.ready < replicas or not found.current):
        why = found.message or ("Pods are starting." if found.ready < replicas else "They are being replaced, for the spec has changed.")
        wait = Wait(
            found.reason or Reason.NOT_SERVING,
            f"{stage.name}: {found.ready} of {replicas} pods of {version} are ready. {why}",
            found.stalled,
        )
    return StagePlan(status, (*_workload(stage, version, replicas), *_frontage(stage, version), *retired), wait, again=again)


def _doubt(stage: _Stage, version: str) -> Wait | None:
    """Say what is wrong with a version that is being served: its pods serve on, and could not be started anew."""
    known = stage.versions.get(version)
    if known is None:
        cure = f"Declare it in spec.versions, or promote another one. There are: {_names(stage)}."
        return Wait(
            Reason.VERSION_UNKNOWN, f"{stage.name}: {version} serves on, but MLflow has it no more and nothing declares it. {cure}", True
        )
    if known.problem is None:
        return None
    reason, for_good = _blame(known.problem)
    return Wait(reason, f"{stage.name}: {version} serves on, but its pods could not be started anew. {known.problem}", for_good)


def _blame(problem: str) -> tuple[Reason, bool]:
    """The reason with which a problem begins, and whether somebody has to do something about it."""
    reason = next((reason for reason in _PROBLEMS if problem.startswith(f"{reason}:")), None)
    return reason or Reason.WAITING_FOR_VERSION, reason is not None


def _names(stage: _Stage) -> str:
    return ", ".join(sorted(stage.versions)) or "none yet"


def _thaw(what: str) -> Wait:
    return Wait(Reason.PROMOTING, f"{what} when MLflow and S3 answer.")


def _changing(stage: _Stage, desired: str) -> StagePlan:
    """The spec asks for another version: bring it up beside the one that holds the stage, and hand over when it is ready."""
    current, generation = stage.old.version, stage.model.metadata.generation
    refused = stage.old.refused if stage.old.desired == desired and stage.old.refused_generation == generation else None
    refusal = _refusal(stage, desired, refused)
    hold = _hold(stage, desired, refused, spare=refusal is not None and refusal.stalled)
    if refusal is not None:
        return replace(hold, wait=refusal)
    if not stage.served:
        return replace(hold, wait=_thaw(f"{desired} takes {stage.name}")) if stage.frozen else _hand_over(stage, hold.status, desired)
    replicas, found = _replicas(stage, desired), _health(stage, desired)
    workload = _workload(stage, desired, replicas)
    if found.refused and not workload:
        status = hold.status.model_copy(update={"refused": found.message[:1024], "refused_generation": generation})
        # Written down first; then what came up for it goes, in the same breath.
        return replace(hold, status=status, wait=_refusal(stage, desired, found.message), again=timedelta(0))
    # Nobody's requests depend on the first version yet; those of a later one must not meet a pod that is ready for a moment only.
    steady = found.available if current else found.ready
    if workload or steady < replicas or not found.current:
        beside = f" beside {current}, which serves on" if current else ""
        starting = "Its pods are ready; it takes over if they stay so." if found.ready >= replicas else "Its pods are starting."
        message = f"{stage.name}: {desired} comes up{beside}. {found.message or starting}"
        return replace(hold, actions=(*hold.actions, *workload), wait=Wait(found.reason or Reason.PROMOTING, message, found.stalled))
    if stage.frozen:
        return replace(hold, wait=_thaw(f"{desired} is ready, and takes {stage.name}"))
    front = _frontage(stage, desired)
    if front:
        return replace(hold, actions=tuple(front), wait=Wait(Reason.PROMOTING, f"{stage.name}: {desired} is ready and takes over."))
    return _hand_over(stage, hold.status, desired)


def _hold(stage: _Stage, desired: str, refused: str | None, *, spare: bool) -> StagePlan:
    """What goes on while the stage waits for a version: the one that holds it serves. `spare`: what came up for the other goes."""
    keep = {version for version in (stage.old.version, None if spare else desired) if version}
    if stage.old.version is not None:
        plan = _steady(stage, stage.old.version, keep)
    elif stage.frozen:
        plan = StagePlan(stage.old)
    else:
        # Nobody is sent to a version that does not hold the stage: another was asked for just before it was written down.
        stray = [child for child in stage.fronts() if child["kind"] != "Deployment" and _version(child) not in keep]
        retired, again = _retired(stage, keep)
        plan = StagePlan(stage.old, (*_deletes(stray), *retired), again=again)
    started = stage.old.started if stage.old.desired == desired and stage.old.started else stage.now
    generation = stage.old.refused_generation if refused else None
    asked = {"desired": desired, "started": started, "refused": refused, "refused_generation": generation}
    return replace(plan, status=plan.status.model_copy(update=asked), wait=None)


def _hand_over(stage: _Stage, status: StageStatus, desired: str) -> StagePlan:
    """The stage has changed hands: say so before the registry follows."""
    held_before = any(entry.stage == stage.name and desired in {entry.from_, entry.to} for entry in stage.model.status.history)
    entry = HistoryEntry(
        time=stage.now,
        stage=stage.name,
        from_=stage.old.version,
        to=desired,
        reason="RolledBack" if held_before else "Promoted",
        duration_seconds=max(0, round((stage.now - (status.started or stage.now)).total_seconds())),
        note=_note(stage, desired),
    )
    status = status.model_copy(
        update={"version": desired, "desired": desired, "since": stage.now, "started": None, "refused": None, "refused_generation": None}
    )
    return StagePlan(status, entry=entry)


def _note(stage: _Stage, version: str) -> str | None:
    """Why, if it was said of this version and not of a change before: the annotation stays on the object."""
    said, _, why = stage.model.metadata.annotations.get(REASON_ANNOTATION + stage.name, "").partition(":")
    note = "".join(letter for letter in why.strip()[:256] if letter.isprintable())
    before = next((entry for entry in reversed(stage.model.status.history) if entry.stage == stage.name and entry.note), None)
    told = before is not None and (before.to or "none", before.note) == (version, note)
    return note if note and said == version and not told else None


def _refusal(stage: _Stage, desired: str, refused: str | None) -> Wait | None:
    """Say why a version cannot take the stage, before anything is brought up for it."""
    version = stage.versions.get(desired)
    if version is None:
        cure = "Declare it in spec.versions, or register it from a TrainingRun"
        message = f"{stage.name}: nothing declares the version {desired}. {cure}. There are: {_names(stage)}."
        return Wait(Reason.VERSION_UNKNOWN, message, stalled=True)
    if version.problem is not None:
        reason, for_good = _blame(version.problem)
        return Wait(reason, f"{stage.name}: {desired} cannot be promoted. {version.problem}", for_good)
    if version.mlflow_version is None or version.digest is None:
        return Wait(Reason.WAITING_FOR_VERSION, f"{stage.name}: {desired} is being registered.")
    if refused is not None:
        beside = f"{stage.old.version} serves on" if stage.old.version else "nothing is served"
        message = f"{stage.name}: {desired} cannot be served, {beside}. {refused} It is tried again when the spec changes."
        return Wait(Reason.SERVING_FAILED, message, stalled=True)
    return None


def _health(stage: _Stage, version: str) -> Health:
    pods = [child for child in stage.children if child["kind"] == "Pod" and _version(child) == version]
    return health(_live_workload(stage, version), pods)


def _live_workload(stage: _Stage, version: str) -> Manifest | None:
    return next((child for child in stage.children if child["kind"] == "Deployment" and _version(child) == version), None)


def _version(child: Manifest) -> str | None:
    found: str | None = child["metadata"]["labels"].get(VERSION_LABEL)
    return found


def _replicas(stage: _Stage, version: str) -> int:
    """What the spec says; with an autoscaler what that has come to, for a new version what the old one has now."""
    scaling = stage.serving.autoscaling
    if scaling is None:
        return stage.serving.replicas
    live = _live_workload(stage, version) or (_live_workload(stage, stage.old.version) if stage.old.version else None)
    now = int(live["spec"].get("replicas", 1)) if live else scaling.min_replicas
    return min(max(now, scaling.min_replicas), scaling.max_replicas)


def _workload(stage: _Stage, version: str, replicas: int) -> list[Apply]:
    """The version's Deployment, if it is not as it should be. One that must not be served, or of which nothing is known, is left alone."""
    known = stage.versions.get(version)
    if known is None or known.problem is not None or known.uri is None or known.digest is None:
        return []
    return _missing(stage, build.deployment(stage.model, stage.name, known, replicas, stage.runtime, allow_code=stage.allow_code))


def _frontage(stage: _Stage, version: str) -> list[Apply | Delete]:
    """What points at the version that holds the stage, if it does not."""
    scaler = build.autoscaler(stage.model, stage.name, version)
    wanted = [build.service(stage.model, stage.name, version), build.disruption_budget(stage.model, stage.name, version)]
    actions: list[Apply | Delete] = []
    for manifest in [*wanted, *([scaler] if scaler else [])]:
        actions += _missing(stage, manifest)
    if scaler is None:
        actions += _deletes([child for child in stage.children if child["kind"] == "HorizontalPodAutoscaler"])
    return actions


def _missing(stage: _Stage, manifest: Manifest) -> list[Apply]:
    live = stage.live.get((manifest["kind"], manifest["metadata"]["name"]))
    return [] if live is not None and matches(manifest, live) else [Apply(manifest)]


def _retired(stage: _Stage, serving: set[str]) -> tuple[tuple[Delete, ...], timedelta | None]:
    """Deployments of versions that do not hold the stage: of one that held it when it has served long enough since, of others at once."""
    displaced = {entry.from_: entry.time for entry in stage.model.status.history if entry.stage == stage.name}
    gone: list[Manifest] = []
    later: list[timedelta] = []
    for child in stage.children:
        version = _version(child)
        if child["kind"] != "Deployment" or version in serving or child["metadata"].get("deletionTimestamp"):
            continue
        left = displaced[version] + DRAIN - stage.now if version in displaced else timedelta(0)
        if left > timedelta(0):
            later.append(left)
        else:
            gone.append(child)
    return _deletes(gone), min(later, default=None)


def _deletes(children: Iterable[Manifest]) -> tuple[Delete, ...]:
    return tuple(
        Delete(child["apiVersion"], child["kind"], child["metadata"]["name"], child["metadata"]["uid"])
        for child in children
        if not child["metadata"].get("deletionTimestamp")
    )


def _url(stage: _Stage) -> str:
    return f"http://{serving_name(stage.model.metadata.name, stage.name)}.{stage.model.metadata.namespace}"
