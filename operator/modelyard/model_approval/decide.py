"""ModelApproval: say whether it counts, and delete one that no stage can use any more. Pure."""

from datetime import datetime, timedelta

from modelyard.api.approvals import Asked, Standing, expiry, gate_of, heard
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

_USELESS = timedelta(hours=1)
"""How old an approval of no use is before it is deleted: what it names may be created after it."""


def decide(approval: ModelApproval, seen: Observation, now: datetime) -> ApprovalPlan:
    """Return the approval's status, or its deletion."""
    useless_from = None
    if not _is_of_use(approval, seen.model):
        useless_from = (approval.metadata.creation_timestamp or now) + _USELESS
        if now >= useless_from:
            meta = approval.metadata
            return Act((Delete(f"{GROUP}/{VERSION}", approval.KIND, meta.name, meta.uid),))
    said, expires = _standing(approval, seen, now)
    status = approval.status.model_copy(
        update={"conditions": _conditions(said), "expire_time": expires}
    )
    times = [each for each in (said.next_time, useless_from) if each is not None]
    return Rest(status, requeue_after=min(times) - now if times else None)


def _is_of_use(approval: ModelApproval, model: RegisteredModel | None) -> bool:
    """Tell whether a stage of the model can ever ask for what was judged."""
    if model is None:
        return False
    spec, status = approval.spec, model.status
    recorded = {
        *(version.digest for version in status.versions),
        *(older.digest for older in status.older_versions),
    }
    if spec.digest in recorded or status.mlflow_name is None:
        return True
    # The bytes of a version that is asked for may be about to be recorded.
    known = {version.name for version in status.versions if version.digest is not None}
    return spec.version not in known and any(
        model.asked(stage) == spec.version for stage in model.spec.stages
    )


def _standing(
    approval: ModelApproval, seen: Observation, now: datetime
) -> tuple[Standing, datetime | None]:
    """Return how the approval stands, and when it expires."""
    spec, model = approval.spec, seen.model
    stage = model.spec.stages.get(spec.stage) if model is not None else None
    if model is None or stage is None:
        what = (
            f"There is no RegisteredModel {spec.model}"
            if model is None
            else f"{spec.model} has no stage {spec.stage}"
        )
        return Standing(Reason.NO_SUCH_GATE, f"{what}, so nothing asks for this approval."), None
    gate = gate_of(approval, stage)
    if gate is None:
        return Standing(
            Reason.NO_SUCH_GATE,
            _no_gate(approval, [each.name for each in stage.gates if each.approvals]),
        ), None
    held = model.status.stages.get(spec.stage)
    if held is not None and (held.version, held.digest) == (spec.version, spec.digest):
        return Standing(Reason.EFFECTIVE, f"{spec.version} holds {spec.stage}."), None
    version = next((each for each in model.status.versions if each.name == spec.version), None)
    if model.asked(spec.stage) != spec.version or version is None or version.digest is None:
        return Standing(
            Reason.NOT_ASKED_FOR, f"{spec.stage} does not ask for {spec.version} now."
        ), None
    found = {
        each.metadata.uid: said
        for each, said in heard(seen.approvals, Asked(spec.stage, stage, gate, version), now)
    }
    said = found.get(approval.metadata.uid)
    if said is None:  # it is on its way out
        return Standing(Reason.NOT_ASKED_FOR, "It is withdrawn."), None
    return said, expiry(approval, gate)


def _no_gate(approval: ModelApproval, people: list[str]) -> str:
    spec = approval.spec
    if spec.gate is not None:
        return (
            f"{spec.stage} of {spec.model} has no gate {spec.gate} of the kind external or"
            " approvals."
        )
    if not people:
        return f"{spec.stage} of {spec.model} has no gate approvals."
    return (
        f"{spec.stage} of {spec.model} has several gates approvals: {', '.join(people)}. Name one"
        " as spec.gate."
    )


def _conditions(said: Standing) -> tuple[Condition, ...]:
    if said.counts or said.reason is Reason.EFFECTIVE:
        return ready(said.reason, said.message)
    return (progressing if said.reason is Reason.NOT_ASKED_FOR else stalled)(
        said.reason, said.message
    )


def finalize(_approval: ModelApproval, _seen: Observation, _now: datetime) -> ApprovalPlan:
    """Let it go: nothing outside of the cluster belongs to it."""
    return Finalize()


def on_error(
    approval: ModelApproval, error: ModelyardError, _now: datetime
) -> Rest[ModelApprovalStatus] | Finalize:
    """Return what an error means to users."""
    return Rest(approval.status.model_copy(update={"conditions": trouble(error)}))


def in_sync(_approval: ModelApproval, _owned: tuple[Manifest, ...]) -> bool:
    """Tell whether its status can wait for the next resync; it depends on the time and on other
    objects, so it cannot.
    """
    return False
