"""Carry out an action with one call of a client, and name in messages what it writes."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, assert_never

from modelyard.plan import (
    Act,
    Action,
    Apply,
    ArchiveRun,
    CreateBucket,
    CreateExperiment,
    CreateModel,
    CreateRun,
    CreateVersion,
    Delete,
    DeleteAlias,
    DeleteExperiment,
    DeleteModel,
    DeleteTags,
    FinishRun,
    LogParameters,
    Plan,
    PutRecord,
    ReopenRun,
    RestoreExperiment,
    SetAlias,
    SetTags,
    SetTrafficRule,
    Suspend,
    TagTarget,
    TransitionStage,
)
from modelyard.ports import Cluster, Tenant, Tracking

__all__ = ["perform", "subject_of", "written_by"]


async def perform(
    action: Action, namespace: str, cluster: Cluster, tenant: Callable[[], Awaitable[Tenant]]
) -> None:
    """Carry an action out.

    Args:
        action: What to do.
        namespace: The namespace of the object whose plan this is.
        cluster: Kubernetes.
        tenant: Returns the namespace's clients.

    Raises:
        ModelyardError: The action failed, or its outcome is unknown.

    """
    if isinstance(action, Apply):
        await cluster.apply(action.manifest)
        return
    if isinstance(action, Delete):
        await cluster.delete(namespace, action)
        return
    if isinstance(action, Suspend):
        await cluster.suspend(namespace, action)
        return
    if isinstance(action, SetTrafficRule):
        await cluster.tell(namespace, action)
        return
    clients = await tenant()
    tracking, store = clients.tracking, clients.store
    match action:
        case SetTags(target, tags, description):
            await _set_tags(tracking, target, tags, description)
        case DeleteTags(target, keys):
            await _delete_tags(tracking, target, keys)
        case CreateBucket(bucket):
            await store.create_bucket(bucket)
        case CreateExperiment(name, location, tags):
            await tracking.create_experiment(name, location, tags)
        case RestoreExperiment(id_):
            await tracking.restore_experiment(id_)
        case DeleteExperiment(id_):
            await tracking.delete_experiment(id_)
        case CreateRun(experiment, name, tags):
            await tracking.create_run(experiment, name, tags)
        case LogParameters(run, parameters):
            await tracking.log_parameters(run, parameters)
        case FinishRun(run, status):
            await tracking.finish_run(run, status)
        case ReopenRun(run):
            await tracking.reopen_run(run)
        case ArchiveRun(run):
            await tracking.delete_run(run)
        case CreateModel(name, description, tags):
            await tracking.create_model(name, description, tags)
        case DeleteModel(name):
            await tracking.delete_model(name)
        case CreateVersion(model, source, origin, tags, logged_model):
            await tracking.create_version(model, source, origin, tags, logged_model)
        case TransitionStage(model, version, stage, displacing):
            await tracking.transition(model, version, stage, displacing=displacing)
        case SetAlias(model, alias, version):
            await tracking.set_alias(model, alias, version)
        case DeleteAlias(model, alias):
            await tracking.delete_alias(model, alias)
        case PutRecord(uri, content):
            await store.create(uri, content)
        case _:
            assert_never(action)


async def _set_tags(
    tracking: Tracking, target: TagTarget, tags: Mapping[str, str], description: str | None
) -> None:
    match target.kind:
        case "experiment":
            await tracking.set_experiment_tags(target.id, tags)
        case "run":
            await tracking.set_run_tags(target.id, tags)
        case "model":
            await tracking.set_model_tags(target.id, tags, description)
        case "version":
            await tracking.set_version_tags(target.id, target.version, tags)
        case _:
            assert_never(target.kind)


async def _delete_tags(tracking: Tracking, target: TagTarget, keys: Iterable[str]) -> None:
    match target.kind:
        case "experiment":
            await tracking.delete_experiment_tags(target.id, keys)
        case "model":
            await tracking.delete_model_tags(target.id, keys)
        case "run" | "version":
            raise AssertionError(f"no decision deletes tags of a {target.kind}")
        case _:
            assert_never(target.kind)


def subject_of(action: Apply | SetTrafficRule) -> tuple[str, str]:
    """Return kind and name of the object that an action writes."""
    if isinstance(action, SetTrafficRule):
        return "Pod", action.name
    return action.manifest["kind"], action.manifest["metadata"]["name"]


def written_by(plan: Plan[Any]) -> str:
    """Name what a plan writes, in the user's terms."""
    return ", ".join(map(_written, plan.actions)) if isinstance(plan, Act) else "its status"


def _written(action: Action) -> str:
    match action:
        case Apply(manifest):
            return f"{manifest['kind']} {manifest['metadata']['name']}"
        case Suspend(name):
            return f"suspend of the Job {name}"
        case SetTrafficRule(name):
            return f"the annotation of the Pod {name}"
        case Delete():
            return f"the deletion of {action.kind} {action.name}"
        case _:
            return f"{type(action).__name__} in MLflow or S3"
