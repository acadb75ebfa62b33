"""The serving objects that a stage lacks, and those to delete. Pure."""

from collections.abc import Collection, Iterable
from dataclasses import replace
from datetime import datetime, timedelta

from modelyard.api.registered_model import Draining, ServedVersion
from modelyard.errors import ModelyardError
from modelyard.kube.applied import in_sync
from modelyard.kube.names import serving_name
from modelyard.plan import Apply, Delete, Manifest, Owned, SetTrafficRule
from modelyard.registered_model import applied, build, ramp, warm
from modelyard.registered_model.facts import identity_of
from modelyard.registered_model.kept import template_in
from modelyard.registered_model.pods import Health, health
from modelyard.registered_model.versions import may_start
from modelyard.registered_model.view import StageView

__all__ = [
    "DRAIN",
    "draining",
    "everything",
    "expired",
    "pod_health",
    "private_route",
    "refused",
    "replicas",
    "routes",
    "routing",
    "unneeded",
    "workload",
]

DRAIN = timedelta(seconds=15)
"""How long a displaced version keeps its pods, while kube-proxy learns the new routes."""

_ORDER = {
    "Service": 0,
    "HorizontalPodAutoscaler": 1,
    "PodDisruptionBudget": 2,
    "Job": 3,
    "Deployment": 4,
    "ControllerRevision": 5,
    "ConfigMap": 6,
}
"""Owned objects in deletion order: the Service first, so that no request reaches a terminating
pod.
"""
_DELETES = 50
"""Maximum deletions per stage and round.

The operator never creates more objects than that. Other clients may, and deleting all of theirs at
once would delay serving.
"""
_ROUTING = {"Service", "HorizontalPodAutoscaler", "PodDisruptionBudget"}


def pod_health(view: StageView, what: ServedVersion) -> Health:
    """Return the state of a version's pods."""
    deployment = next(iter(view.of_kind("Deployment", what)), None)
    return health(deployment, view.of_kind("Pod", what))


def replicas(view: StageView, what: ServedVersion) -> int:
    """Return how many pods a version should have.

    With an autoscaler, that is the Deployment's present number; a candidate gets at least the
    stable version's number, unless it is a warm version with pods. During a rollout the candidate's
    number depends on the step.
    """
    whole = _whole(view, what)
    canary, state = view.canary, view.status.rollout
    if canary is None or what != view.status.candidate or what == view.effective:
        return whole
    asked, index = canary.whole, state.index if state is not None else 0
    wanted = ramp.pods(asked, index, whole)
    if state is not None and state.weight <= ramp.weight(asked, index) and applied.is_applied(view):
        return wanted
    # When the weight falls, pods are deleted only after all stable pods apply it.
    live = next(iter(view.of_kind("Deployment", what)), None)
    return max(wanted, int(live["spec"].get("replicas", 1)) if live is not None else 0)


def _whole(view: StageView, what: ServedVersion) -> int:
    """Return how many pods a version needs to answer all requests."""
    scaling = view.serving.autoscaling
    if scaling is None:
        return view.serving.replicas
    live = view.of_kind("Deployment", what)
    if (
        view.effective is not None
        and what != view.effective
        and not (live and what in warm.kept(view))
    ):
        live = [*live, *view.of_kind("Deployment", view.effective)]
    now = max((int(each["spec"].get("replicas", 1)) for each in live), default=scaling.min_replicas)
    return min(max(now, scaling.min_replicas), scaling.max_replicas)


def workload(view: StageView, what: ServedVersion, count: int | None = None) -> tuple[Apply, ...]:
    """Return the applies that bring a version's pods to their desired state.

    A version that must not start gets no new pods; existing pods are left alone.

    Args:
        view: The stage.
        what: The version.
        count: How many pods; None: as many as the stage has.

    """
    known = view.versions.get(what.version)
    if known is None or not may_start(known) or known.uri is None or known.digest != what.digest:
        return ()
    template = _template(view, what, known.uri)
    wanted = [build.revision(view.model, view.name, what, template)]
    pod_settings = replace(view.pod_settings, pull_secrets=_pull_secrets(view, what))
    number = replicas(view, what) if count is None else count
    wanted.append(
        build.deployment(
            view.model, view.name, what, template, replicas=number, pod_settings=pod_settings
        )
    )
    return _missing(view, wanted)


def _pull_secrets(view: StageView, what: ServedVersion) -> tuple[str, ...]:
    """Return the pull secrets of a version's pods.

    An effective or warm version keeps the pull secrets of its Deployment, so that a changed setting
    does not restart it. Any other version gets the operator's, so that its image can be pulled.
    """
    live = (
        next(iter(view.of_kind("Deployment", what)), None)
        if what == view.effective or what in warm.kept(view)
        else None
    )
    if live is None:
        return view.runtime.pull_secrets
    return tuple(
        each["name"] for each in live["spec"]["template"]["spec"].get("imagePullSecrets") or ()
    )


def _template(view: StageView, what: ServedVersion, uri: str) -> Manifest:
    """Return the template that was rolled out (perhaps by another release), else a new one."""
    for kept in view.of_kind("ControllerRevision", what):
        found = template_in(kept, what)
        if found is not None:
            return found
    return build.template(view.model, view.name, what, uri, view.runtime.pull_policy)


def routes(view: StageView, what: ServedVersion) -> tuple[Apply | Delete, ...]:
    """Return the actions that make the stage's Service, budget and autoscaler select a version."""
    state = view.status.rollout
    least = (
        state.replicas
        if state is not None and view.canary is not None and what == view.effective
        else 0
    )
    scaler = build.autoscaler(view.model, view.name, what, least)
    wanted = [
        build.service(view.model, view.name, what),
        build.disruption_budget(view.model, view.name, what),
    ]
    surplus = [] if scaler else view.of_kind("HorizontalPodAutoscaler")
    return (*_missing(view, [*wanted, *([scaler] if scaler else [])]), *_deletes(surplus))


def private_route(view: StageView, what: ServedVersion) -> tuple[Apply, ...]:
    """Return the apply of a candidate's private Service, if it is missing or differs."""
    return _missing(view, [build.private_service(view.model, view.name, what)])


def refused(view: StageView, actions: Iterable[Owned]) -> ModelyardError | None:
    """Return why the API server refused one of these actions in this reconcile; None: none."""
    names = [name_of(each.manifest) for each in actions if isinstance(each, Apply)]
    names += [("Pod", each.name) for each in actions if isinstance(each, SetTrafficRule)]
    return next((view.refusals[name] for name in names if name in view.refusals), None)


def expired(
    view: StageView, keep: Iterable[ServedVersion | None], now: datetime
) -> tuple[tuple[Delete, ...], timedelta | None]:
    """Return the deletions of versions that are neither kept nor draining, and when to delete more.

    The templates of the previous version and of the candidate are kept. A rollback needs the first;
    the second may have no pods while people are asked to approve it.
    """
    kept = {what.runtime.identity for what in keep if what is not None}
    drains = draining(view, now)
    templates = kept | {
        what.runtime.identity
        for what in (view.status.previous, view.status.candidate)
        if what is not None
    }
    serving = kept | {each.identity for each in drains}
    deletes = [each for each in view.of_kind("Deployment") if identity_of(each) not in serving]
    deletes += [
        each
        for each in view.of_kind("ControllerRevision")
        if identity_of(each) not in templates | serving
    ]
    return _deletes(deletes), min((each.until_time - now for each in drains), default=None)


def draining(view: StageView, now: datetime) -> tuple[Draining, ...]:
    """Return the displaced versions whose draining has not ended."""
    return tuple(each for each in view.status.draining if each.until_time > now)


def unneeded(view: StageView, keep: Collection[tuple[str, str]] = ()) -> tuple[Delete, ...]:
    """Return the deletions of gates' Jobs, private Services and analyses, except those to keep.

    Args:
        view: The stage.
        keep: Objects that stay, by kind and name.

    """
    public = serving_name(view.model.metadata.name, view.name)
    found = (each for each in view.owned if each["kind"] in {"Job", "Service", "ConfigMap"})
    return _deletes(each for each in found if name_of(each) not in {*keep, ("Service", public)})


def everything(
    view: StageView, *, but: Iterable[str] = (), keep: Collection[tuple[str, str]] = ()
) -> tuple[Delete, ...]:
    """Return the deletions of all serving objects of the stage, in order.

    Args:
        view: The stage.
        but: Identities whose templates stay.
        keep: Objects that stay, by kind and name.

    """
    kept = set(but)
    deletes = [each for each in view.owned if each["kind"] in _ORDER and name_of(each) not in keep]
    return _deletes(
        each
        for each in deletes
        if each["kind"] != "ControllerRevision" or identity_of(each) not in kept
    )


def routing(view: StageView) -> tuple[Delete, ...]:
    """Return the deletions of the stage's Service, autoscaler and budget."""
    public = serving_name(view.model.metadata.name, view.name)
    return _deletes(
        each
        for each in view.owned
        if each["kind"] in _ROUTING and each["metadata"]["name"] == public
    )


def name_of(owned: Manifest) -> tuple[str, str]:
    """Return kind and name of an object."""
    return owned["kind"], owned["metadata"]["name"]


def _missing(view: StageView, wanted: Iterable[Manifest]) -> tuple[Apply, ...]:
    return tuple(Apply(manifest) for manifest in wanted if not _is_there(view, manifest))


def _is_there(view: StageView, manifest: Manifest) -> bool:
    live = view.live(manifest["kind"], manifest["metadata"]["name"])
    return live is not None and in_sync(manifest, live)


def _deletes(objects: Iterable[Manifest]) -> tuple[Delete, ...]:
    there = (each for each in objects if not each["metadata"].get("deletionTimestamp"))
    ordered = sorted(there, key=lambda each: _ORDER[each["kind"]])
    return tuple(
        Delete(each["apiVersion"], each["kind"], each["metadata"]["name"], each["metadata"]["uid"])
        for each in ordered[:_DELETES]
    )
