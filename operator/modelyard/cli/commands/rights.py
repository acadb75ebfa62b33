"""The rights part of `doctor`: what the user may do here, and whether approvals count."""

from collections.abc import Iterator, Sequence

from modelyard.api.approvals import FORGED_IS_REFUSED, forged
from modelyard.api.base import GROUP
from modelyard.api.experiment import Experiment
from modelyard.api.registered_model import RegisteredModel
from modelyard.api.training_run import TrainingRun
from modelyard.cli.commands.session import Session
from modelyard.cli.views.doctor import Finding, Verdict
from modelyard.client.approving import gates_of
from modelyard.client.errors import ClientError

__all__ = ["findings"]

_Right = tuple[str, str, list[tuple[str, str]]]
"""What a right is for, the role that grants it, and its (verb, resource) pairs."""


def findings(session: Session, models: Sequence[RegisteredModel]) -> Iterator[Finding]:
    """Yield what the user may do and, if a gate needs approvals, whether they can count."""
    allowed = []
    for words, role, verbs in (*_general_rights(models), *_decision_rights(models)):
        lacking = [
            f"{verb} {resource}" for verb, resource in verbs if not _can(session, verb, resource)
        ]
        if lacking:
            yield Finding(
                "rights",
                Verdict.WARNING,
                f"{words}: you may not {', '.join(lacking)}",
                f"If you need this, ask for {role}.",
            )
        else:
            allowed.append(words)
    if allowed:
        yield Finding("rights", Verdict.GOOD, ", ".join(allowed))
    if any(gates_of(stage) for model in models for stage in model.spec.stages.values()):
        yield _approvals(session)


def _general_rights(models: Sequence[RegisteredModel]) -> Iterator[_Right]:
    yield (
        "to read",
        "modelyard-viewer",
        [("list", "experiments"), ("watch", "trainingruns"), ("get", "registeredmodels")],
    )
    yield (
        "to train",
        "modelyard-editor",
        [("create", "trainingruns"), ("delete", "trainingruns"), ("patch", "registeredmodels")],
    )
    yield "to read logs", "view", [("list", "pods"), ("get", "pods/log")]
    yield "to download", "a Role that names the Secret modelyard-connection", [("get", "secrets")]
    yield (
        "to predict from here",
        "edit",
        [("get", "services"), ("list", "pods"), ("create", "pods/portforward")],
    )
    for stage in sorted({stage for model in models for stage in model.spec.stages}):
        role = f"{_role('promote', stage)}, or modelyard-release-manager for every stage"
        yield f"to promote to {stage}", role, [("promote", f"registeredmodels/{stage}")]
    yield (
        "to purge",
        "modelyard-release-manager",
        [("purge", kind.PLURAL) for kind in (Experiment, TrainingRun, RegisteredModel)],
    )


def _decision_rights(models: Sequence[RegisteredModel]) -> Iterator[_Right]:
    """Yield the rights to approve, attest and override, for the existing stages and gates."""
    approved, attested = set(), set()
    for name, stage in (
        (name, stage) for model in models for name, stage in model.spec.stages.items()
    ):
        groups = [gate.name for gate in stage.gates if gate.approvals is not None]
        approved |= {name} if len(groups) == 1 else set()
        named = [gate.name for gate in stage.gates if gate.external is not None]
        attested |= {f"{name}/{gate}" for gate in (*named, *(groups if len(groups) > 1 else ()))}
    for name in sorted(approved):
        verbs = [("create", "modelapprovals"), ("approve", f"registeredmodels/{name}")]
        yield (
            f"to approve for {name}",
            f"{_role('approve', name)} and create on modelapprovals, or modelyard-approver",
            verbs,
        )
    for place in sorted(attested):
        verbs = [("create", "modelapprovals"), ("attest", f"registeredmodels/{place}")]
        yield (
            f"to attest for {place}",
            f"{_role('attest', place)} and create on modelapprovals",
            verbs,
        )
    if stages := sorted({stage for model in models for stage in model.spec.stages}):
        verbs = [("override", f"registeredmodels/{stage}") for stage in stages]
        yield f"to override {', '.join(stages)}", "modelyard-overrider", verbs


def _role(verb: str, place: str) -> str:
    return f"a Role with the verb {verb} on registeredmodels/{place} (group {GROUP})"


def _can(session: Session, verb: str, resource: str) -> bool:
    return session.kube.can(
        verb, resource, name="modelyard-connection" if resource == "secrets" else ""
    )


def _approvals(session: Session) -> Finding:
    """Try to approve under another user's name, in a dry run: if it is accepted, none counts."""
    try:
        session.kube.create(forged(), dry_run=True)
    except ClientError as error:
        if FORGED_IS_REFUSED in str(error):
            return Finding(
                "approvals",
                Verdict.GOOD,
                "no user can approve under another's name, so approvals count here",
            )
        return Finding(
            "approvals", Verdict.UNKNOWN, f"Whether they count here was not checked: {error}"
        )
    words = (
        "Any user can approve under another's name here, because the policies are not in force. So"
        " no approvals gate or external gate passes."
    )
    return Finding(
        "approvals",
        Verdict.BAD,
        words,
        "Run helm upgrade with policies.approvals on. See docs/gates/approvals.md in modelyard's"
        " repository.",
    )
