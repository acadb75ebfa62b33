"""Report whether a ModelApproval counts; delete one that no stage can use any more. Pure."""

from datetime import datetime, timedelta

from modelyard.api.approvals import ApprovalTarget, Standing, expiry, gate_of, standings
from modelyard.api.base import GROUP, VERSION, Condition
from modelyard.api.conditions import progressing, ready, stalled, trouble
from modelyard.api.model_approval import ApprovalReason as Reason
from modelyard.api.model_approval import ModelApproval, ModelApprovalStatus
from modelyard.api.registered_model import RegisteredModel
from modelyard.errors import ModelyardError
from modelyard.model_approval.observation import Observation
from modelyard.plan import Act, Delete, Finalize, Manifest, Plan, Rest

__all__ = ["decide", "finalize", "in_sync", "on_error"]

ApprovalPlan = Plan[ModelApprovalStatus]

_UNUSABLE_AFTER = timedelta(hours=1)
"""Age at which an unusable approval is deleted; its model may be created after it."""


def decide(approval: ModelApproval, observation: Observation, now: datetime) -> ApprovalPlan:
    """Return the approval's status, or its deletion."""
    deletion = None
    if not _is_usable(approval, observation.model):
        deletion = (approval.metadata.creation_timestamp or now) + _UNUSABLE_AFTER
        if now >= deletion:
            meta = approval.metadata
            return Act((Delete(f"{GROUP}/{VERSION}", approval.KIND, meta.name, meta.uid),))
    standing, expires = _standing(approval, observation, now)
    status = approval.status.model_copy(
        update={"conditions": _conditions(standing), "expire_time": expires}
    )
    times = [each for each in (standing.next_time, deletion) if each is not None]
    return Rest(status, requeue_after=min(times) - now if times else None)


def _is_usable(approval: ModelApproval, model: RegisteredModel | None) -> bool:
    """Tell whether a stage of the model can still ask for the bytes that were approved."""
    if model is None:
        return False
    spec, status = approval.spec, model.status
    recorded = {
        *(version.digest for version in status.versions),
        *(older.digest for older in status.older_versions),
    }
    if spec.digest in recorded or status.mlflow_name is None:
        return True
    # A requested version whose digest is not recorded yet may turn out to have these bytes.
    digested = {version.name for version in status.versions if version.digest is not None}
    return spec.version not in digested and any(
        model.requested_version(stage) == spec.version for stage in model.spec.stages
    )


def _standing(
    approval: ModelApproval, observation: Observation, now: datetime
) -> tuple[Standing, datetime | None]:
    """Return whether the approval counts and why, and when it expires."""
    spec, model = approval.spec, observation.model
    stage = model.spec.stages.get(spec.stage) if model is not None else None
    if model is None or stage is None:
        missing = (
            f"There is no RegisteredModel {spec.model}"
            if model is None
            else f"{spec.model} has no stage {spec.stage}"
        )
        return Standing(Reason.NO_SUCH_GATE, f"{missing}, so no gate needs this approval."), None
    gate = gate_of(approval, stage)
    if gate is None:
        return Standing(
            Reason.NO_SUCH_GATE,
            _no_gate(approval, [each.name for each in stage.gates if each.approvals]),
        ), None
    effective = model.status.stages.get(spec.stage)
    if effective is not None and (effective.version, effective.digest) == (
        spec.version,
        spec.digest,
    ):
        return Standing(Reason.EFFECTIVE, f"{spec.version} is effective in {spec.stage}."), None
    version = next((each for each in model.status.versions if each.name == spec.version), None)
    if (
        model.requested_version(spec.stage) != spec.version
        or version is None
        or version.digest is None
    ):
        return Standing(
            Reason.NOT_ASKED_FOR, f"{spec.stage} does not ask for {spec.version} now."
        ), None
    found = {
        each.metadata.uid: standing
        for each, standing in standings(
            observation.approvals, ApprovalTarget(spec.stage, stage, gate, version), now
        )
    }
    standing = found.get(approval.metadata.uid)
    if standing is None:  # it is being deleted
        return Standing(Reason.NOT_ASKED_FOR, "It is withdrawn."), None
    return standing, expiry(approval, gate)


def _no_gate(approval: ModelApproval, names: list[str]) -> str:
    spec = approval.spec
    if spec.gate is not None:
        return (
            f"{spec.stage} of {spec.model} has no gate {spec.gate} of the kind approvals or"
            " external."
        )
    if not names:
        return f"{spec.stage} of {spec.model} has no approvals gate."
    return (
        f"{spec.stage} of {spec.model} has several approvals gates: {', '.join(names)}. Name one in"
        " spec.gate."
    )


def _conditions(standing: Standing) -> tuple[Condition, ...]:
    if standing.counts or standing.reason is Reason.EFFECTIVE:
        return ready(standing.reason, standing.message)
    derive = progressing if standing.reason is Reason.NOT_ASKED_FOR else stalled
    return derive(standing.reason, standing.message)


def finalize(_approval: ModelApproval, _observation: Observation, _now: datetime) -> ApprovalPlan:
    """Finalize at once: an approval has no external system to clean up."""
    return Finalize()


def on_error(
    approval: ModelApproval, error: ModelyardError, _now: datetime
) -> Rest[ModelApprovalStatus] | Finalize:
    """Report an error."""
    return Rest(approval.status.model_copy(update={"conditions": trouble(error)}))


def in_sync(_approval: ModelApproval, _owned: tuple[Manifest, ...]) -> bool:
    """Return False: the status depends on the time and on other objects, so always reconcile."""
    return False
