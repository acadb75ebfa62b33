"""From an action to the one call that carries it out. Deciding, retrying and looking at the result do not belong here."""

from collections.abc import Awaitable, Callable
from typing import assert_never

from modelyard.plan import (
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
    DeleteExperimentTags,
    DeleteModel,
    DeleteModelTags,
    FinishRun,
    LogParameters,
    RestoreExperiment,
    SetAlias,
    SetExperimentTags,
    SetModelTags,
    SetRunTags,
    SetVersionTags,
    TransitionStage,
)
from modelyard.ports import Cluster, Tenant

__all__ = ["perform"]


async def perform(action: Action, namespace: str, cluster: Cluster, tenant: Callable[[], Awaitable[Tenant]]) -> None:
    """Carry an action out.

    Args:
        action: What to do.
        namespace: Where the object lives whose plan this is.
        cluster: Kubernetes.
        tenant: Returns the namespace's clients.

    Raises:
        ModelyardError: It did not happen, or nobody knows.

    """
    if isinstance(action, Apply):
        await cluster.apply(action.manifest)
        return
    if isinstance(action, Delete):
        await cluster.delete(namespace, action)
        return
    clients = await tenant()
    tracking, store = clients.tracking, clients.store
    match action:
        case CreateBucket(bucket):
            await store.create_bucket(bucket)
        case CreateExperiment(name, location, tags):
            await tracking.create_experiment(name, location, tags)
        case RestoreExperiment(id_):
            await tracking.restore_experiment(id_)
        case DeleteExperiment(id_):
            await tracking.delete_experiment(id_)
        case SetExperimentTags(id_, tags):
            await tracking.set_experiment_tags(id_, tags)
        case DeleteExperimentTags(id_, keys):
            await tracking.delete_experiment_tags(id_, keys)
        case CreateRun(experiment, name, tags):
            await tracking.create_run(experiment, name, tags)
        case LogParameters(run, parameters):
            await tracking.log_parameters(run, parameters)
        case SetRunTags(run, tags):
            await tracking.set_run_tags(run, tags)
        case FinishRun(run, status):
            await tracking.finish_run(run, status)
        case ArchiveRun(run):
            await tracking.delete_run(run)
        case CreateModel(name, description, tags):
            await tracking.create_model(name, description, tags)
        case SetModelTags(name, tags, note):
            await tracking.set_model_tags(name, tags, note)
        case DeleteModelTags(name, keys):
            await tracking.delete_model_tags(name, keys)
        case DeleteModel(name):
            await tracking.delete_model(name)
        case CreateVersion(model, source, origin, tags, logged_model):
            await tracking.create_version(model, source, origin, tags, logged_model)
        case SetVersionTags(model, version, tags):
            await tracking.set_version_tags(model, version, tags)
        case TransitionStage(model, version, stage, displacing):
            await tracking.transition(model, version, stage, displacing=displacing)
        case SetAlias(model, alias, version):
            await tracking.set_alias(model, alias, version)
        case DeleteAlias(model, alias):
            await tracking.delete_alias(model, alias)
        case _:
            assert_never(action)
