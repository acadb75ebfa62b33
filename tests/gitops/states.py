"""Objects in every state that a reason names, as the real decisions leave them. What engines make of them does not belong here."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cache
from typing import Any

from modelyard.registered_model.claims import claims

from modelyard.api.base import Resource
from modelyard.api.registered_model import ModelReason
from modelyard.errors import Forbidden, Invalid, Unavailable
from modelyard.experiment.decide import decide as decide_experiment
from modelyard.experiment.decide import on_error as experiment_error
from modelyard.plan import Manifest, Plan
from modelyard.registered_model.decide import release as release_model
from modelyard.registered_model.sources import Problem
from modelyard.training_run import build
from modelyard.training_run.decide import on_error as run_error
from tests.unit import test_experiment as an_experiment
from tests.unit import test_registered_model as a_model
from tests.unit import test_registered_model_settles as a_world
from tests.unit import test_training_run as a_run
from tests.unit import test_training_run_ends as an_end
from tests.unit import test_training_run_external as an_external
from tests.unit import test_training_run_fails as a_failure
from tests.unit import test_training_run_refused as a_refusal
from tests.unit.builders import (
    DAY,
    HOUR,
    NOW,
    RUNTIME,
    SECOND,
    body,
    experiment,
    live,
    registered_model,
    terminated,
    tracked_run,
    training_run,
    waiting,
    written,
)

__all__ = ["reasons", "states"]

Kind = Resource[Any, Any]

CONNECTION = "read connection", "risk/modelyard-connection"
TROUBLE = (
    Invalid("Kubernetes", *CONNECTION, "there is no Secret"),
    Forbidden("MLflow", "read", "risk/fraud"),
    Unavailable("MLflow", "read", "risk/fraud"),
    Unavailable("S3", "list", "s3://b/"),
    Invalid("Kubernetes", "apply", "risk/fraud", "exceeded quota"),
)


def after(resource: Kind, plan: Plan[Any]) -> Kind:
    """The object when the plan's status has been written."""
    return written(resource, plan)


def _experiments() -> Iterator[Kind]:
    plain, observed = experiment(), an_experiment.observed
    yield after(plain, decide_experiment(plain, observed(), NOW))
    yield after(plain, decide_experiment(plain, observed(tracked=an_experiment.SOMEBODY_ELSES), NOW))
    kept = experiment(retention={"runs": "1d"})
    old = tracked_run("r9", ended=9 * DAY)
    yield after(kept, decide_experiment(kept, observed(runs=(old,), unreferenced=frozenset({"r9"})), NOW))
    for error in TROUBLE:
        yield after(plain, experiment_error(plain, error, NOW))


def _before_training() -> Iterator[Kind]:
    plain, held = training_run(), training_run(suspend=True)
    yield after(plain, a_run.decide(plain, a_run.observed(experiment=None), NOW))
    yield after(held, a_run.decide(held, a_run.observed(), NOW))
    queued = training_run(about=a_run.QUEUED)
    made = live(build.config_map(queued)), live(build.job(queued, 1, "r1", RUNTIME))
    yield after(queued, a_run.decide(queued, a_run.observed(*made, runs=(a_run.attempt(),)), NOW))
    for statuses, conditions in (
        ([waiting("ContainerCreating")], []),
        ([], [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes"}]),
        ([waiting("ImagePullBackOff", "not found")], []),
        ([waiting("CreateContainerConfigError", 'configmap "x" not found')], []),
    ):
        pod = a_run.running(plain, phase="Pending", statuses=statuses, conditions=conditions)
        yield after(plain, a_run.decide(plain, a_run.training(plain, pod), NOW))
    yield after(plain, a_run.decide(plain, a_run.training(plain, a_run.running(plain)), NOW))

    podless = a_run.began(plain, 30)
    yield after(plain, a_run.decide(plain, podless, NOW))
    refused = run_error(plain, Invalid("Kubernetes", "apply Job", "risk/fraud-1-1", a_refusal.REFUSED), NOW)
    yield after(plain, refused)


def _elsewhere() -> Iterator[Kind]:
    run, world = an_external.external(SECOND), an_external.open_since()
    yield after(run, a_run.decide(run, world, NOW))
    run = an_external.silent(an_external.external(90 * SECOND), world, 30 * SECOND)
    run = written(run, a_run.decide(run, world, NOW))
    yield an_external.ended(run, an_external.closed("FAILED"))


def _after_training() -> Iterator[Kind]:
    plain = training_run()
    again = training_run(backoff_limit=3)
    yield after(again, a_failure.failed(again, 1, SECOND))
    once = training_run(backoff_limit=0)
    yield after(once, a_failure.failed(once, 1, SECOND))
    yield after(once, a_failure.failed(once, 1, SECOND, terminated(137, "", "OOMKilled")))
    for reason in ("ScriptInvalid", "InvalidParameters", "DatasetDigestMismatch", "DatasetInvalid", "DatasetUnavailable", "VolumeFull"):
        yield after(once, a_failure.failed(once, 1, SECOND, terminated(67, json.dumps({"reason": reason, "message": "no"}))))
    late = a_failure.broken(once, terminated(143), reason="DeadlineExceeded", status="FAILED")
    known = a_failure.decided(once, late)
    yield after(known, a_run.decide(known, late, NOW))
    lost = a_run.observed(runs=(a_run.attempt(deleted=True),))
    yield after(plain, a_run.decide(plain, lost, NOW))
    done = an_end.trained()
    yield after(done, a_run.decide(done, a_run.observed(), NOW))
    register = an_end.trained(register=an_end.REGISTER)
    for there in (None, registered_model(), an_end.model(trainingRun="fraud-2", runId="r9")):
        yield after(register, a_run.decide(register, a_run.observed(registered_model=there), NOW))
    bare = training_run(register=an_end.REGISTER)
    bare = written(bare, a_run.decide(bare, an_end.complete(bare, model=None), NOW))
    yield after(bare, a_run.decide(bare, a_run.observed(registered_model=an_end.model()), NOW))
    for error in TROUBLE:
        yield after(plain, run_error(plain, error, NOW))


def _model_versions() -> Iterator[Kind]:
    decide, declared, world = a_model.decide, a_model.declared, a_model.world
    plain = registered_model()
    yield after(plain, decide(plain, a_model.seen(), NOW))
    yield after(plain, decide(plain, a_model.seen(model=None), NOW))
    yield after(plain, decide(plain, a_model.seen(model=a_model.SOMEBODY_ELSES), NOW))
    wants = registered_model(versions=declared("v3"), stages={"production": {"version": "v3"}})
    refused = Problem(ModelReason.CONNECTION_REFUSED, "S3 refused.")
    for problem in (a_model.WAITS, a_model.GONE, a_model.INVALID, a_model.CHANGED, refused):
        yield after(wants, decide(wants, world(wants, sources={"v3": problem}), NOW))
    unknown = registered_model(stages={"production": {"version": "v9"}})
    yield after(unknown, decide(unknown, a_model.seen(), NOW))
    for error in TROUBLE:
        yield after(wants, decide(wants, a_model.Seen(claims=claims(wants, ()), children=(), trouble=error), NOW))
    going = a_model.leaving("Delete")
    yield after(going, release_model(going, a_model.seen(), NOW))


def held(version: str = "v1", **more: Any) -> a_world.World:
    """A world whose production holds a version, and where all is well."""
    world = a_world.World(stages={"production": {"version": version}}, **more)
    world.settle(120)
    return world


def _model_stages() -> Iterator[Kind]:
    world = held()
    yield world.model
    world.edit(production="v2")
    world.look()
    world.look()
    yield world.model
    broken = held()
    broken.edit(production=a_world.BROKEN)
    broken.settle()
    yield broken.model
    first = a_world.World(stages={"production": {"version": a_world.BROKEN}})
    first.settle()
    yield first.model
    few = held()
    few.patch(stages={"production": {"version": "v1", "serving": {"replicas": 3}}})
    for kind, name in list(few.children):
        if kind == "Deployment":
            few.children[kind, name]["spec"]["replicas"] = 3
    plan = a_model.decide(few.model, few.seen(), NOW)
    yield after(few.model, plan)
    moved = held(drift="Warn")
    moved.alias("production", "2")
    moved.settle()
    yield moved.model
    pickled = held()
    pickled.edit(production="v2")
    pickled.look()
    said = terminated(67, json.dumps({"reason": "CodeModelForbidden", "message": "It runs pickled code."}), name="model")
    yield after(pickled.model, a_model.decide(pickled.model, _dying(pickled, "v2", said), NOW))


NO_NODE = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes"}


def _model_pods() -> Iterator[Kind]:
    """The version that holds the stage serves no more, and its new pod is in trouble."""
    for reason in ("ArtifactInvalid", "VolumeFull"):
        said = json.dumps({"reason": reason, "message": "so it is"})
        yield _troubled(terminated(67, said, name="fetch"))
    yield _troubled(terminated(137, "", "OOMKilled", name="model"))
    yield _troubled(waiting("ImagePullBackOff", "not found", name="model"))
    yield _troubled(waiting("CreateContainerConfigError", 'secret "x" not found', name="fetch"))
    yield _troubled(conditions=[NO_NODE])
    for text in ("exceeded quota: pods", "violates PodSecurity"):
        yield _troubled(refused=text)


def _troubled(*statuses: Manifest, **more: Any) -> Kind:
    world = held()
    return after(world.model, a_model.decide(world.model, _dying(world, "v1", *statuses, **more), NOW))


def _dying(world: a_world.World, version: str, *statuses: Manifest, conditions: Iterable[Manifest] = (), refused: str = "") -> Any:
    """What is seen when a version's pod has ended or waits in this way, or cannot be created."""
    there = world.children["Deployment", f"fraud-production-{version}"]
    failure = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": refused}
    there["status"] = {
        "observedGeneration": there["metadata"]["generation"],
        "updatedReplicas": 0 if refused else 1,
        "conditions": [failure] if refused else [],
    }
    labels = {"modelyard.io/stage": "production", "modelyard.io/version": version, **there["spec"]["template"]["metadata"]["labels"]}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "dying", "labels": labels, "creationTimestamp": f"{world.now + HOUR:%FT%TZ}"},
        "spec": {},
        "status": {"phase": "Pending", "containerStatuses": statuses, "initContainerStatuses": [], "conditions": [*conditions]},
    }
    others = tuple(child for key, child in world.children.items() if key[0] != "Pod")
    return replace(world.seen(), children=(*others, pod))


def reasons(manifest: Manifest) -> set[str]:
    """The reasons that an object's conditions give."""
    return {condition["reason"] for condition in manifest["status"]["conditions"]}


@cache
def states() -> tuple[Manifest, ...]:
    """Every state, as the API server has it."""
    found = (_experiments(), _before_training(), _after_training(), _elsewhere(), _model_versions(), _model_stages(), _model_pods())
    return tuple(body(resource) for each in found for resource in each)
