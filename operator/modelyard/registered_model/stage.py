"""One stage: keep the stable version serving and carry out the requested promotion. Pure."""

from dataclasses import replace
from datetime import datetime

from modelyard.api.blocker import Blocker
from modelyard.api.registered_model import ModelReason as Reason
from modelyard.api.registered_model import PreviousVersion, ServedVersion, StageStatus
from modelyard.plan import Owned
from modelyard.registered_model import (
    build,
    dry_run,
    freezes,
    history,
    overrides,
    serving,
    shown,
    split,
    verification,
    warm,
    watch,
)
from modelyard.registered_model.changing import changing
from modelyard.registered_model.decision import (
    NO_PODS,
    StageDecision,
    acting,
    pod_fields,
    templates,
    until_override,
    warm_applies,
)
from modelyard.registered_model.kept import served_by
from modelyard.registered_model.step import without_candidate
from modelyard.registered_model.versions import may_start
from modelyard.registered_model.view import StageView

__all__ = ["decide_stage"]

_REPLACED = (
    "They are being replaced, because their template has changed: by the spec, by the Secret that"
    " they read, or by a restart."
)


def decide_stage(view: StageView, now: datetime) -> StageDecision:
    """Return what a stage needs in this round: a status to record first, or else actions."""
    decision = _decided(view, now)
    status = warm.recorded(view, decision.status)
    ends = [
        each
        for each in (status.previous.until_time if status.previous else None, warm.until(view))
        if each is not None and each > now
    ]
    waits = [
        *([decision.requeue_after] if decision.requeue_after is not None else []),
        *(each - now for each in ends),
    ]
    return replace(decision, status=status, requeue_after=min(waits, default=None))


def _decided(view: StageView, now: datetime) -> StageDecision:
    """Record what must be recorded first; else clear the stage, promote, or keep it serving."""
    recorded = (
        _recovered(view)
        or _override_ended(view, now)
        or _override_observed(view, now)
        or _aborted(view, now)
        or _breached(view, now)
    )
    if recorded is not None:
        return recorded
    if view.desired is None:
        return _clearing(view, now)
    decision = changing(view, now) if view.is_changing else _steady(view, now)
    return _watching(view, _verifying(view, decision, now))


# --- statuses that are recorded before any action ------------------------------------------------
def _recovered(view: StageView) -> StageDecision | None:
    """Record digest and runtime of the effective version if the status lacks them; else None.

    They are read from the Deployment that serves the version, never from tags. Without a Deployment
    they are those of the version's record and of this operator's runtime.
    """
    version = view.status.version
    if version is None or view.effective is not None:
        return None
    served = (served_by(deployment) for deployment in view.of_kind("Deployment"))
    serving = {
        found.runtime.identity: found
        for found in served
        if found is not None and found.version == version
    }
    found = serving.get(view.routed or "") or next(iter(serving.values()), None)
    recorded = view.versions.get(version)
    if found is None and recorded is not None and recorded.digest is not None:
        found = build.served(version, recorded.digest, view.runtime)
    if found is not None:
        whole = {"digest": found.digest, "runtime": found.runtime}
        return StageDecision(view.status.model_copy(update=whole), record=True)
    if view.desired != version:
        return None
    message = (
        f"{version} is effective, but neither its record nor a Deployment says which bytes it is."
        " Promote another version."
    )
    blocker = Blocker.of(Reason.VERSION_UNKNOWN, message, needs_action=True)
    return StageDecision(
        view.status.model_copy(update={"desired": view.desired, "blocked": blocker})
    )


def _override_ended(view: StageView, now: datetime) -> StageDecision | None:
    """Record that an override has ended whose version is still serving; else return None."""
    ended = overrides.ended(view.spec, view.status, now)
    if ended is None:
        return None
    status = view.status.model_copy(update={"override": ended})
    return StageDecision(status, entry=history.override_ended(view, now), record=True)


def _override_observed(view: StageView, now: datetime) -> StageDecision | None:
    """Record a new override with its version's digest; else return None.

    The override is in force from then on, and only for that digest.
    """
    override = view.spec.override if view.spec is not None else None
    version = view.versions.get(override.version if override is not None else "")
    observed = overrides.observed(view.spec, view.status, version, now)
    if observed is None:
        return None
    before = view.status.override
    is_same = before is not None and before.since_time == observed.since_time
    # The blocker of an earlier override does not apply to a new one.
    update = {"override": observed, "blocked": view.status.blocked if is_same else None}
    return StageDecision(view.status.model_copy(update=update), record=True)


def _aborted(view: StageView, now: datetime) -> StageDecision | None:
    """Drop the candidate if it is no longer what is to be promoted; else return None."""
    if view.status.candidate in {None, view.target}:
        return None
    update = {"desired": view.desired, "blocked": None}
    dropped = without_candidate(view, now).model_copy(update=update)
    # Two cases get no entry in the history: a plan of `dryRun` has started nothing, and with
    # `autoPromote` no user asked for the candidate that a newer version replaces.
    is_silent = view.is_automatic or any(step.name == "plan" for step in view.status.steps)
    entry = None if is_silent else history.aborted(view, now)
    return StageDecision(dropped, entry=entry, record=True)


def _breached(view: StageView, now: datetime) -> StageDecision | None:
    """Record that the watch rejects the effective version; else return None."""
    breached = watch.breached(view, now)
    if breached is None:
        return None
    return StageDecision(breached[0], record=True, events=breached[1], quiet=True)


def _watching(view: StageView, decision: StageDecision) -> StageDecision:
    """Add the effective version's watch to a decision that has nothing to record."""
    if decision.record:
        return decision
    waits = [each for each in (decision.requeue_after, watch.look_again(view)) if each is not None]
    status = decision.status.model_copy(update={"watch": watch.carried(view)})
    return replace(decision, status=status, requeue_after=min(waits, default=None))


def _verifying(view: StageView, decision: StageDecision, now: datetime) -> StageDecision:
    """Add the effective version's verification to a decision that has nothing to record."""
    if decision.record:
        return decision
    found = verification.again(view, now)
    if found.record:
        status = view.status.model_copy(update={"verification": found.status})
        return StageDecision(status, record=True, events=found.events, quiet=True)
    status = decision.status.model_copy(update={"verification": found.status})
    waits = [each for each in (decision.requeue_after, found.requeue_after) if each is not None]
    return replace(
        decision,
        status=status,
        actions=(*decision.actions, *found.actions),
        requeue_after=min(waits, default=None),
    )


# --- keep serving, or clear -----------------------------------------------------------------------
def _clearing(view: StageView, now: datetime) -> StageDecision:
    """Clear the stage: no version is effective, and all its serving objects are deleted."""
    stable = view.effective
    if stable is not None:
        if view.dependencies_down:
            return _kept_serving(
                view,
                Blocker.of(Reason.PROMOTING, "The stage is cleared when MLflow and S3 answer."),
                now,
            )
        if dry_run.delays(view):
            return _kept_serving(view, dry_run.blocker(view), now)
        is_from_override = overrides.is_from_override(view.status)
        empty = StageStatus(
            verification=verification.carried(view, "", ""),
            since_time=now,
            previous=view.status.previous if is_from_override else PreviousVersion.of(stable),
            attempt=view.attempt,
            hold_time=view.status.hold_time,
            traffic_revision=view.status.traffic_revision,
            rejected=view.status.rejected,
            override=view.status.override,
        )
        return StageDecision(empty, entry=history.entry(view, None, now), record=True)
    previous = view.status.previous if view.spec is not None else None
    kept = [previous.runtime.identity] if previous else []
    status = StageStatus(
        verification=verification.carried(view, "", ""),
        since_time=view.status.since_time,
        previous=previous,
        attempt=view.attempt,
        hold_time=view.status.hold_time,
        traffic_revision=view.status.traffic_revision,
        rejected=view.status.rejected,
        override=overrides.end(view.spec, view.status),
        blocked=overrides.trouble(view.model.metadata.name, view.name, view.spec, view.status, now),
    )
    return StageDecision(status, serving.everything(view, but=kept))


def _kept_serving(view: StageView, why: Blocker, now: datetime) -> StageDecision:
    """Keep the stage serving while its clearing is delayed, for the reason `why`.

    A stage that was removed from the spec is left alone: its serving fields are gone.
    """
    if view.spec is None:
        return StageDecision(view.status.model_copy(update={"desired": None, "blocked": why}))
    if view.status.candidate is not None:
        dropped = without_candidate(view, now).model_copy(update={"desired": None, "blocked": None})
        return StageDecision(dropped, record=True)
    found = _watching(view, _verifying(view, _steady(view, now), now))
    problem = found.status.blocked
    if found.record or (problem is not None and problem.needs_action):
        return found
    return replace(found, status=found.status.model_copy(update={"blocked": why}))


def _steady(view: StageView, now: datetime) -> StageDecision:
    """Keep the effective version serving, and delete objects of other versions."""
    stable = view.effective
    assert stable is not None, "a steady stage has an effective version"
    status = view.status.model_copy(
        update={
            "desired": view.desired,
            "attempt": view.attempt,
            "start_time": None,
            "draining": serving.draining(view, now),
        }
    )
    status = status.model_copy(
        update={"steps": shown.last_done(view.status)} | _judged_fields(view, stable)
    )
    status = status.model_copy(update={"override": overrides.kept(view.spec, view.status, now)})
    kept = verification.jobs(view, now)
    if not view.is_served:
        none = NO_PODS | {"blocked": None, "draining": ()}
        everything = serving.everything(view, but=templates(view), keep=kept)
        return StageDecision(
            status.model_copy(update=none), everything, requeue_after=until_override(view)
        )
    actions = (*serving.workload(view, stable), *serving.routes(view, stable), *warm_applies(view))
    expired, left = serving.expired(view, [stable, *warm.kept(view)], now)
    deletes: tuple[Owned, ...] = (
        *split.rule_removals(view, now),
        *serving.unneeded(view, kept | split.keeps(view)),
        *expired,
    )
    blocker = (
        watch.trouble(view)
        or _problem(view, stable)
        or overrides.trouble(view.model.metadata.name, view.name, view.spec, view.status, now)
        or freezes.trouble(view)
    )
    status = status.model_copy(update=pod_fields(view, stable) | {"blocked": blocker})
    return acting(
        view,
        status,
        (*actions, *deletes),
        min((each for each in (left, until_override(view)) if each is not None), default=None),
    )


def _judged_fields(view: StageView, stable: ServedVersion) -> dict[str, object]:
    """Return the status fields that clear the verdicts unless they judge the effective version."""
    judged = view.status.judged
    about = judged is not None and (judged.version, judged.digest) == (
        stable.version,
        stable.digest,
    )
    if judged is not None and judged.runtime not in {None, stable.runtime.identity}:
        about = False  # they judge a refresh that was rejected and is no longer requested
    return {} if about else {"judged": None, "gates": ()}


def _problem(view: StageView, stable: ServedVersion) -> Blocker | None:
    """Return what is wrong with the effective version, if anything is."""
    recorded = view.versions.get(stable.version)
    if recorded is not None and recorded.digest not in {None, stable.digest}:
        message = (
            f"{stable.version} is still serving, but its bytes are not those of its record. Promote"
            " another version."
        )
        return Blocker.of(Reason.ARTIFACT_DIGEST_MISMATCH, message, needs_action=True)
    if recorded is None or (
        recorded.mlflow_version is None and recorded.blocked is None and not view.dependencies_down
    ):
        if recorded is None or recorded.digest is None:
            message = (
                f"{stable.version} is still serving, but its record is lost. Promote another"
                " version."
            )
            return Blocker.of(Reason.VERSION_UNKNOWN, message, needs_action=True)
        message = (
            f"{stable.version} is still serving. MLflow has lost it; it is being registered again."
        )
        return Blocker.of(Reason.REGISTERING, message)
    if recorded.blocked is not None:
        but = "" if may_start(recorded) else ", but no new pod of it could start"
        message = f"{stable.version} is still serving{but}. {recorded.blocked.message}"
        return Blocker.of(
            recorded.blocked.reason, message, needs_action=recorded.blocked.needs_action
        )
    pods, wanted = serving.pod_health(view, stable), serving.replicas(view, stable)
    if pods.ready >= wanted and pods.current:
        return None
    why = pods.message or ("Pods are starting." if pods.ready < wanted else _REPLACED)
    message = f"{pods.ready} of {wanted} pods of {stable.version} are ready. {why}"
    return Blocker.of(pods.reason or Reason.NOT_SERVING, message, needs_action=pods.stalled)
