"""Whether nothing is in progress, so that a starting operator need not read MLflow and S3. Pure."""

from collections.abc import Callable

from modelyard.api.registered_model import RegisteredModel
from modelyard.kube.pods import Runtime
from modelyard.plan import Manifest
from modelyard.registered_model.build import operator_runtime
from modelyard.registered_model.restored import stage_of

__all__ = ["in_sync", "in_sync_with"]


def in_sync(model: RegisteredModel, owned: tuple[Manifest, ...]) -> bool:
    """Tell whether, by its status, the spec was carried out, and the serving objects exist."""
    status = model.status
    if status.observed_generation != model.metadata.generation or not (
        status.is_true("Ready") and status.is_true("Synced")
    ):
        return False
    if any(
        stage.candidate is not None or stage.draining or stage.override or stage.watch
        for stage in status.stages.values()
    ):
        return False
    if any(stage.kept is not None for stage in status.stages.values()):
        return False  # a displaced version keeps its pods until its window or the watch ends
    if any(
        stage.verification is not None and stage.verification.is_open
        for stage in status.stages.values()
    ):
        return False
    if any(each["kind"] == "Job" for each in owned):  # a gate's Job has to be read or deleted
        return False
    serving = {stage_of(each) for each in owned if each["kind"] == "Deployment"}
    return all(name in serving for name, stage in status.stages.items() if stage.desired_replicas)


def in_sync_with(runtime: Runtime) -> Callable[[RegisteredModel, tuple[Manifest, ...]], bool]:
    """Return `in_sync` for an operator with this runtime; the status must record that runtime."""
    current = operator_runtime(runtime)

    def check(model: RegisteredModel, owned: tuple[Manifest, ...]) -> bool:
        return model.status.operator_runtime == current and in_sync(model, owned)

    return check
