"""Builders for a RegisteredModel's tests: its record, its observation, its serving objects."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from modelyard.api.base import condition
from modelyard.api.mlmodel import MLModel
from modelyard.api.registered_model import (
    PreviousVersion,
    RegisteredModel,
    RegisteredModelStatus,
    ServedVersion,
    StageStatus,
    VersionStatus,
)
from modelyard.errors import Invalid, ModelyardError
from modelyard.kube.names import IDENTITY_LABEL
from modelyard.kube.pods import Runtime
from modelyard.plan import Apply, Delete, Manifest, Plan
from modelyard.registered_model import build
from modelyard.registered_model.build import PodSettings
from modelyard.registered_model.decide import decider
from modelyard.registered_model.decision import StageDecision
from modelyard.registered_model.declarations import declarations
from modelyard.registered_model.observation import Artifacts, Observation, Source
from modelyard.registered_model.stage import decide_stage
from modelyard.registered_model.view import StageView
from tests.unit.builders import (
    NOW,
    RUNTIME,
    URL,
    artifacts,
    live,
    registered_model,
    status_of,
    tracked_model,
    tracked_version,
    tree,
)

AROUND = PodSettings(allow_code=False, pods_secret="modelyard-connection")
NEWER = Runtime("modelyard/runtime:1.3.0", "IfNotPresent", "1.3.0")
"""The runtime of the operator's next release."""

decide = decider(RUNTIME)


# --- versions -------------------------------------------------------------------------------------
def declared(*names: str, **tags: str) -> dict[str, Any]:
    """Return `spec.versions` with these versions."""
    return {name: {"uri": artifacts(name), "tags": tags} for name in names}


def digest(text: str = "a") -> str:
    """Return the digest of `tree(text)`."""
    return tree(text).digest


def source(version: str, text: str = "a", **more: Any) -> Source:
    """Return where a version is stored."""
    return replace(
        Source(artifacts(version), tree(text), MLModel("xgboost", "x: double -> long")), **more
    )


def record(name: str, number: str | None = None, text: str = "a", **more: Any) -> VersionStatus:
    """Return a recorded version, registered under a number unless it is None."""
    known = {
        "name": name,
        "mlflow_version": number,
        "uri": artifacts(name),
        "digest": digest(text),
        "bytes": 3,
        "flavor": "xgboost",
    }
    return VersionStatus(**(known | more))


def recording(model: RegisteredModel, *versions: VersionStatus, **more: Any) -> RegisteredModel:
    """Return the model with these versions in its status, as a reconcile has left it."""
    known = {
        "mlflow_name": "risk.fraud",
        "versions": versions,
        "conditions": (condition("Ready", True, "Registered"),),
    }
    return model.model_copy(update={"status": RegisteredModelStatus(**(known | more))})


def registered(model: RegisteredModel, *numbered: tuple[str, str], **more: Any) -> RegisteredModel:
    """Return the model with these versions (number, name) recorded and registered."""
    return recording(model, *(record(name, number) for number, name in numbered), **more)


def observed(**more: Any) -> Observation:
    """Return an observation of our model in MLflow without versions."""
    return Observation(
        **({"declarations": {}, "model": tracked_model(), "tracking_url": URL} | more)
    )


def around(model: RegisteredModel, **more: Any) -> Observation:
    """Return an observation: MLflow has what the status records, and the other declared versions
    can be recorded.
    """
    there = tuple(
        tracked_version(each.mlflow_version, each.name)
        for each in model.status.versions
        if each.mlflow_version
    )
    names = {version.name for version in model.status.versions}
    asked = declarations(model, ())
    sources = {name: source(name) for name in asked if name not in names}
    return observed(**({"declarations": asked, "versions": there, "sources": sources} | more))


def intact(version: VersionStatus) -> Artifacts:
    """Return the trees in S3 when they match the record."""
    return Artifacts("sha256:listing", version.digest)


def versions_of(plan: Plan[Any]) -> dict[str, VersionStatus]:
    """Return the versions in the status that a plan writes."""
    return {version.name: version for version in status_of(plan).versions}


# --- one stage ------------------------------------------------------------------------------------
A, B, C = (
    record(name, number, name[-1], uri=f"s3://b/{name}")
    for name, number in (("va", "1"), ("vb", "2"), ("vc", "3"))
)


def served(version: VersionStatus, runtime: Runtime = RUNTIME) -> ServedVersion:
    """Return a version's record in the status, with the runtime that serves it."""
    return build.served(version.name, str(version.digest), runtime)


def displaced(version: VersionStatus, until: datetime | None = None) -> PreviousVersion:
    """Return a version as the one displaced last, which keeps its pods until this time."""
    return PreviousVersion.of(served(version), until)


def stage_of(
    version: str | None,
    *,
    holds: ServedVersion | VersionStatus | None = None,
    since: timedelta = timedelta(days=1),
    **more: Any,
) -> RegisteredModel:
    """Return a model whose stage production wants `version`; its effective version is that old.

    Of the rest `serving`, `attempt`, `from`, `override`, `reason`, `requestedBy`, `reverify`,
    `rollback`, `asked` (its gates) and `canary` (its rollout) are the spec's, everything else the
    stage's status.
    """
    ours = (
        "serving",
        "attempt",
        "asked",
        "canary",
        "from",
        "override",
        "reason",
        "requestedBy",
        "reverify",
        "rollback",
    )
    wanted = {name: more.pop(name) for name in ours if name in more}
    wanted |= {"gates": wanted.pop("asked")} if "asked" in wanted else {}
    wanted |= {"rollout": wanted.pop("canary")} if "canary" in wanted else {}
    model = registered_model(
        stages={"production": {"version": version} | wanted}, about={"generation": 7}
    )
    if isinstance(more.get("previous"), ServedVersion):
        more["previous"] = PreviousVersion.of(more["previous"])
    held: dict[str, Any] = {}
    if holds is not None:
        what = served(holds) if isinstance(holds, VersionStatus) else holds
        held = {
            "version": what.version,
            "digest": what.digest,
            "runtime": what.runtime,
            "desired": what.version,
            "since_time": NOW - since,
        }
    stages = {"production": StageStatus(**(held | more))} if held or more else {}
    return recording(model, A, B, C, stages=stages)


def pods_of(
    model: RegisteredModel,
    version: VersionStatus | ServedVersion,
    *,
    ready: int = 1,
    replicas: int = 1,
    routed: bool = False,
    **status: Any,
) -> tuple[Manifest, ...]:
    """Return a version's ControllerRevision and Deployment, with Service and budget too if it is
    routed to.
    """
    what = served(version) if isinstance(version, VersionStatus) else version
    uri = next(each.uri for each in (A, B, C) if each.name == what.version)
    rolled_out = build.template(model, "production", what, str(uri), RUNTIME.pull_policy)
    there = live(
        build.deployment(
            model, "production", what, rolled_out, replicas=replicas, pod_settings=AROUND
        )
    )
    there["metadata"]["creationTimestamp"] = "2026-01-01T11:00:00Z"
    there["status"] = {
        "observedGeneration": 1,
        "readyReplicas": ready,
        "availableReplicas": ready,
        "updatedReplicas": replicas,
    } | status
    found = (live(build.revision(model, "production", what, rolled_out)), there)
    if not routed:
        return found
    return (
        *found,
        live(build.service(model, "production", what)),
        live(build.disruption_budget(model, "production", what)),
    )


def deployment_in(owned: Iterable[Manifest]) -> Manifest:
    """Return the Deployment among serving objects."""
    return next(each for each in owned if each["kind"] == "Deployment")


def view_of(
    model: RegisteredModel,
    *owned: Manifest,
    versions: tuple[VersionStatus, ...] = (A, B, C),
    runtime: Runtime = RUNTIME,
    **more: Any,
) -> StageView:
    """Return the view of the stage production."""
    status = model.status.stages.get("production") or StageStatus()
    known = {version.name: version for version in versions}
    return StageView(
        "production", model, status, known, owned, runtime, AROUND, more.pop("now", NOW), **more
    )


def decided(
    model: RegisteredModel, *owned: Manifest, now: datetime = NOW, **more: Any
) -> StageDecision:
    """Return the decision about the stage production."""
    return decide_stage(view_of(model, *owned, now=now, **more), now)


def after(model: RegisteredModel, decision: StageDecision) -> RegisteredModel:
    """Return the model with the stage's decided status recorded."""
    return model.model_copy(
        update={
            "status": model.status.model_copy(update={"stages": {"production": decision.status}})
        }
    )


def recorded_first(model: RegisteredModel, *owned: Manifest, **more: Any) -> RegisteredModel:
    """Return the model after the stage's first write, before any action: a candidate admitted or
    dropped.
    """
    decision = decided(model, *owned, **more)
    assert decision.record, f"nothing is recorded: {decision}"
    assert decision.actions == (), "nothing is done before it is recorded"
    return after(model, decision)


def does(decision: StageDecision) -> list[str]:
    """Return a decision's actions as text: `apply Deployment/va`, with the version instead of the
    object's name.
    """
    return [_words(action) for action in decision.actions]


def _words(action: Apply | Delete) -> str:
    if isinstance(action, Delete):
        return f"delete {action.kind}/{action.name}"
    labels = action.manifest["metadata"]["labels"]
    return f"apply {action.manifest['kind']}/{labels['modelyard.io/version']}"


def routes_to(decision: StageDecision) -> str | None:
    """Return the version that a decision has the Service select, if it does."""
    for action in decision.actions:
        if isinstance(action, Apply) and action.manifest["kind"] == "Service":
            assert (
                action.manifest["spec"]["selector"][IDENTITY_LABEL]
                == action.manifest["metadata"]["labels"][IDENTITY_LABEL]
            )
            return str(action.manifest["metadata"]["labels"]["modelyard.io/version"])
    return None


def refusing(*names: tuple[str, str]) -> dict[tuple[str, str], ModelyardError]:
    """Return refusals of these applies, by kind and name."""
    return {
        name: Invalid("Kubernetes", f"apply {name[0]}", name[1], "admission webhook said no")
        for name in names
    }
