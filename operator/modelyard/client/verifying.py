"""Verifying the effective version of a stage: the patch, the progress and the result. Pure."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from modelyard.api.gates import Verdict
from modelyard.api.registered_model import ModelReason, RegisteredModel, StageStatus, Verification
from modelyard.client.errors import NotFound, Refused
from modelyard.client.progress import Progress, State
from modelyard.client.text import ago

__all__ = ["VerificationText", "Verify", "patch", "verification_progress", "verification_text"]


@dataclass(frozen=True)
class Verify:
    """A verification that a user has asked for.

    Attributes:
        stage: The stage.
        version: The version that was effective at that time.
        attempt: The value that `reverify.attempt` was raised to.
        generation: The generation of the spec that asks for it, from the API server's answer.

    """

    stage: str
    version: str
    attempt: int
    generation: int = 0


@dataclass(frozen=True)
class VerificationText:
    """The verification of a stage for displays.

    Attributes:
        words: The text, such as `verified 3h ago`.
        tone: The tone of the badge.

    """

    words: str
    tone: Literal["good", "busy", "bad", "quiet"]


def patch(model: RegisteredModel, stage: str) -> tuple[Verify, dict[str, Any]]:
    """Return a verification and its merge patch, which raises `reverify.attempt` of the stage.

    Raises:
        NotFound: The spec has no such stage.
        Refused: No version is effective there.

    """
    if stage not in model.spec.stages:
        text = (
            f"{model.key} has no stage {stage}. Its stages:"
            f" {', '.join(model.spec.stages) or 'none'}."
        )
        raise NotFound(text, name=stage, namespace=model.metadata.namespace)
    status = model.status.stages.get(stage) or StageStatus()
    reverify = model.spec.stages[stage].reverify
    if status.version is None:
        raise Refused(
            f"There is nothing to verify in {stage} of {model.key}: no version is effective there."
        )
    known = status.verification or Verification()
    attempt = max(reverify.attempt if reverify is not None else 0, known.attempt) + 1
    return Verify(stage, status.version, attempt), {
        "spec": {"stages": {stage: {"reverify": {"attempt": attempt}}}}
    }


def verification_progress(model: RegisteredModel, verify: Verify) -> Progress:
    """Return the progress of a verification.

    It is done when every gate passes; it fails when one fails, or when none can be asked.
    """
    spec = model.spec.stages.get(verify.stage)
    status = model.status.stages.get(verify.stage) or StageStatus()
    if model.metadata.generation < verify.generation:  # a read that is older than the write
        return Progress(State.UNOBSERVED, _UNOBSERVED)
    if spec is None or spec.reverify is None or spec.reverify.attempt < verify.attempt:
        return Progress(
            State.SUPERSEDED, "Another user has since set reverify.attempt back.", "Superseded"
        )
    if model.status.observed_generation < verify.generation:
        return Progress(State.UNOBSERVED, _UNOBSERVED)
    if status.version != verify.version:
        message = f"{status.version or 'No version'} is effective now instead of {verify.version}."
        return Progress(State.SUPERSEDED, message, "Superseded")
    known = status.verification or Verification()
    if known.attempt < verify.attempt or (known.lacks_verdict and not known.is_open):
        return _not_begun(model, status)
    if known.waiting is not None:
        return Progress(State.UNDER_WAY, known.waiting)
    if known.verdict is Verdict.FAIL:
        return Progress(State.FAILED, known.message, ModelReason.VERIFICATION_FAILED)
    return Progress(State.DONE, known.message)


_UNOBSERVED = "The operator has not observed it yet."


def _not_begun(model: RegisteredModel, status: StageStatus) -> Progress:
    condition, stalled = model.status.condition("Verified"), model.status.condition("Stalled")
    if condition is not None and condition.reason == ModelReason.NOTHING_TO_VERIFY:
        return Progress(State.FAILED, condition.message, condition.reason)
    if status.override is not None and status.override.version == status.desired:
        until = f"{status.override.until_time:%Y-%m-%d %H:%M} UTC"
        return Progress(
            State.UNDER_WAY,
            f"an override is in force until {until} at the latest; the gates are asked after that",
        )
    if stalled is not None and stalled.status == "True":
        return Progress(State.UNDER_WAY, stalled.message)
    return Progress(State.UNDER_WAY, "it has not begun")


def verification_text(model: RegisteredModel, stage: str, now: datetime) -> VerificationText | None:
    """Return a stage's verification as text; None without `reverify` or an effective version."""
    spec, status = model.spec.stages.get(stage), model.status.stages.get(stage) or StageStatus()
    if spec is None or spec.reverify is None or status.version is None:
        return None
    known = status.verification or Verification()
    again = (
        f"; asked again {ago(known.start_time, now)}: {known.waiting}"
        if known.waiting is not None
        else ""
    )
    if known.verdict is Verdict.FAIL:
        return VerificationText(
            f"NOT verified, {ago(known.time, now)}: {known.message}{again}", "bad"
        )
    if known.verdict is Verdict.PASS:
        return VerificationText(
            f"verified {ago(known.time, now)}{again}", "busy" if again else "good"
        )
    return VerificationText(f"not verified yet{again}", "busy" if again else "quiet")
