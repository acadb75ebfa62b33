"""Whether nothing is in progress: a starting operator then reads MLflow and S3 later. Pure."""

from collections.abc import Callable

from modelyard.api.registered_model import RegisteredModel
from modelyard.kube.pods import Runtime
from modelyard.plan import Manifest
from modelyard.registered_model.build import operator_runtime
from modelyard.registered_model.restored import stage_of

__all__ = ["in_sync", "in_sync_with"]


def in_sync(model: RegisteredModel, owned: tuple[Manifest, ...]) -> bool:
    """Tell whether the spec was applied and its serving objects exist, going by the status."""
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
    if any(each["kind"] == "Job" for each in owned):  # a gate's: it must be read or deleted
        return False
    serving = {stage_of(each) for each in owned if each["kind"] == "Deployment"}
    return all(name in serving for name, stage in status.stages.items() if stage.desired_replicas)


def in_sync_with(runtime: Runtime) -> Callable[[RegisteredModel, tuple[Manifest, ...]], bool]:
    """Return `in_sync` for an operator of this runtime, which the status must name."""
    current = operator_runtime(runtime)

    def check(model: RegisteredModel, owned: tuple[Manifest, ...]) -> bool:
        return model.status.operator_runtime == current and in_sync(model, owned)

    return check
