"""Aborting a promotion or a refresh: what the stage's spec becomes. Pure."""

from dataclasses import dataclass
from typing import Any

from modelyard.api.registered_model import RegisteredModel, StageStatus
from modelyard.client import newest
from modelyard.client.errors import Refused
from modelyard.client.progress import Change, asked_for
from modelyard.client.rollouts import spec_of

__all__ = ["Abort", "abort"]


@dataclass(frozen=True)
class Abort:
    """What is aborted, and what is asked for instead.

    Attributes:
        given_up: The version that was asked for; None: the stage was to be cleared.
        version: The effective version, which keeps serving; None: there is none.
        wanted: The changed fields of the stage's spec.
        is_refresh: Whether only the runtime was to change.

    """

    given_up: str | None
    version: str | None
    wanted: dict[str, Any]
    is_refresh: bool = False

    def change(self, written: RegisteredModel, stage: str) -> Change:
        """Return the change to follow, from the API server's answer to the patch."""
        attempt = self.wanted.get("attempt", 0)
        return Change(stage, self.version, written.metadata.generation, attempt)


def abort(model: RegisteredModel, stage: str) -> Abort:
    """Return how to abort the change of a stage that is under way or was rejected.

    Raises:
        NotFound: The spec has no such stage.
        Refused: Nothing is under way there; an override is in force; or the stage follows the
            operator's runtime.

    """
    spec, status = spec_of(model, stage), model.status.stages.get(stage) or StageStatus()
    if (
        status.override is not None
        and status.desired == status.override.version
        and spec.override is not None
    ):
        ends = f"modelyard override {model.metadata.name} --stage {stage} --end"
        raise Refused(
            f"The effective version of {stage} of {model.key} comes from an override. To end it:"
            f" {ends}"
        )
    candidate = status.candidate
    given_up = candidate.version if candidate is not None else asked_for(model, stage).version
    if given_up != status.version:
        return Abort(
            given_up, status.version, {"version": status.version} | newest.stopped(model, stage)
        )
    if status.candidate is None and spec.attempt <= status.attempt:
        raise Refused(
            f"There is nothing to abort in {stage} of {model.key}: {status.version or 'no version'}"
            " is effective."
        )
    if spec.attempt <= status.attempt:
        raise Refused(
            f"{stage} of {model.key} follows the operator's runtime. To end that, set"
            " serving.runtime.update: WithPromotion."
        )
    return Abort(given_up, status.version, {"attempt": status.attempt}, is_refresh=True)
