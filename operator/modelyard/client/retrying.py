"""Retrying a rejected version: the rejection, and the patch that ends it. Pure."""

from typing import Any

from modelyard.api.registered_model import RegisteredModel, Rejection, StageStatus
from modelyard.client import newest, refreshing
from modelyard.client.errors import NotFound, Refused
from modelyard.client.progress import asked_for

__all__ = ["patch", "rejection"]


def rejection(model: RegisteredModel, stage: str) -> Rejection:
    """Return the rejection of the version that a stage's spec asks for.

    Raises:
        NotFound: The spec has no such stage.
        Refused: That version is not rejected; the message has its state.

    """
    if stage not in model.spec.stages:
        text = (
            f"{model.key} has no stage {stage}. Its stages:"
            f" {', '.join(model.spec.stages) or 'none'}."
        )
        raise NotFound(text, name=stage, namespace=model.metadata.namespace)
    if newest.is_automatic(model, stage):
        return _of_the_newest(model, stage)
    wanted = asked_for(model, stage).version
    status = model.status.stages.get(stage) or StageStatus()
    subject = f"There is nothing to retry in {stage} of {model.key}"
    if wanted is None:
        raise Refused(f"{subject}: the spec asks for no version there.")
    if model.status.observed_generation < model.metadata.generation or status.desired != wanted:
        raise Refused(
            f"{subject} yet: the operator has not observed that the spec asks for {wanted}. Is it"
            " running?"
        )
    blocker = status.blocked
    found = [each for each in status.rejected if each.version == wanted]
    if (
        blocker is None
        or not blocker.needs_action
        or not any(each.reason == blocker.reason for each in found)
    ):
        raise Refused(f"{subject}: {_stands(status, wanted)}")
    return next(each for each in reversed(found) if each.reason == blocker.reason)


def _of_the_newest(model: RegisteredModel, stage: str) -> Rejection:
    found = newest.rejection(model, stage)
    if found is None:
        raise Refused(
            f"There is nothing to retry in {stage} of {model.key}: it takes the newest version,"
            " and has rejected none."
        )
    return found


def patch(model: RegisteredModel, stage: str) -> dict[str, Any]:
    """Return the merge patch that raises `attempt` of a stage above that of its rejections."""
    return refreshing.patch(model, [stage])


def _stands(status: StageStatus, wanted: str) -> str:
    if status.blocked is not None:
        return f"{wanted} is not rejected, {status.blocked.reason}: {status.blocked.message}"
    if status.version == wanted:
        return (
            f"{wanted} is effective. To serve it with the operator's current runtime: modelyard"
            " refresh."
        )
    return f"{wanted} is being promoted."
