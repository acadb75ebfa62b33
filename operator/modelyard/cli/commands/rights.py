"""The part of `doctor` about rights: what the user may do here, in the groups in which roles
give it; and whether approvals count.
"""

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
"""What it is for, the role that gives it, and its verbs, each with a resource."""


def findings(session: Session, models: Sequence[RegisteredModel]) -> Iterator[Finding]:
    """Say what the user may do and, where a gate asks for approvals, whether they can count."""
    allowed = []
    for words, role, verbs in (*_of_everybody(models), *_of_people(models)):
        lacking = [
            f"{verb} {resource}" for verb, resource in verbs if not _can(session, verb, resource)
        ]
        if lacking:
            yield Finding(
                "rights",
                Verdict.WARNING,
                f"{words}: you may not {', '.join(lacking)}",
                f"If you need it, ask for {role}.",
            )
        else:
            allowed.append(words)
    if allowed:
        yield Finding("rights", Verdict.GOOD, ", ".join(allowed))
    if any(gates_of(stage) for model in models for stage in model.spec.stages.values()):
        yield _counted(session)


def _of_everybody(models: Sequence[RegisteredModel]) -> Iterator[_Right]:
    yield (
        "to look",
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
        role = f"{_role('promote', stage)}, or modelyard-release-manager, which has every stage"
        yield f"to promote to {stage}", role, [("promote", f"registeredmodels/{stage}")]
    yield (
        "to purge",
        "modelyard-release-manager",
        [("purge", kind.PLURAL) for kind in (Experiment, TrainingRun, RegisteredModel)],
    )


def _of_people(models: Sequence[RegisteredModel]) -> Iterator[_Right]:
    """Return the rights of people who decide, for the stages and gates that there are."""
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


def _counted(session: Session) -> Finding:
    """Try to approve in another's name, by a dry run: where that is not refused, no approval
    counts.
    """
    try:
        session.kube.create(forged(), dry_run=True)
    except ClientError as error:
        if FORGED_IS_REFUSED in str(error):
            return Finding(
                "approvals",
                Verdict.GOOD,
                "nobody can approve in another's name, so approvals count here",
            )
        return Finding(
            "approvals", Verdict.UNKNOWN, f"Whether they count here was not seen: {error}"
        )
    words = (
        "Anybody can approve in another's name here: the policies are not in force, so no gate"
        " approvals or external passes."
    )
    return Finding(
        "approvals",
        Verdict.BAD,
        words,
        "helm upgrade, with policies.approvals on: docs/gates/approvals.md in modelyard's"
        " repository.",
    )
