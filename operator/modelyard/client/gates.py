"""The gates of a stage for displays: their verdicts, and whether users have to act. Pure."""

from dataclasses import dataclass

from modelyard.api.gates import Verdict
from modelyard.api.registered_model import GateStatus, RegisteredModel

__all__ = ["Gates", "gates_of", "requirements"]

_BY_THE_OPERATOR = frozenset({"job", "signed", "smoke"})
"""Kinds whose Pending ends with a Job or request of the operator. Any other kind waits for a user,
another program, or time.
"""
_POLLED = frozenset({"metric", "incumbent", "signature"})
"""Kinds that the operator asks again every minute, since MLflow does not report changes."""
_PEOPLE = frozenset({"approvals", "external"})
"""Kinds that are decided by ModelApprovals."""


@dataclass(frozen=True)
class Gates:
    """The verdicts of a stage's gates on one version.

    Attributes:
        version: The version.
        results: Each gate's verdict and message, in the order of the spec.
        kinds: The kind of each gate that the spec still has, by name.

    """

    version: str
    results: tuple[GateStatus, ...]
    kinds: dict[str, str]

    @property
    def open(self) -> tuple[GateStatus, ...]:
        """The gates that the version has not passed."""
        return tuple(each for each in self.results if each.verdict is not Verdict.PASS)

    def words(self, gate: GateStatus) -> str:
        """Return a gate's message, with when an open gate is asked again if that is missing."""
        if any(each.verdict is Verdict.FAIL for each in self.results):
            return gate.message  # the version is rejected
        kind = self.kinds.get(gate.name, "")
        is_polled = gate.verdict is Verdict.ERROR or (
            gate.verdict is Verdict.PENDING and kind in _POLLED
        )
        if is_polled:
            return f"{gate.message} (asked again every minute)"
        if gate.verdict is Verdict.PENDING and kind in _PEOPLE:
            return f"{gate.message} (asked again with each approval)"
        return gate.message

    @property
    def by_people(self) -> tuple[GateStatus, ...]:
        """The gates that users or other systems decide; their messages name them."""
        return tuple(each for each in self.results if self.kinds.get(each.name) in _PEOPLE)

    @property
    def summary(self) -> str:
        """How many gates pass the version: `2 of 3 pass v3`."""
        return f"{len(self.results) - len(self.open)} of {len(self.results)} pass {self.version}"

    @property
    def wait_for_others(self) -> bool:
        """Whether every open gate is Pending on a user, another program or time."""
        return bool(self.open) and all(
            each.verdict is Verdict.PENDING
            and self.kinds.get(each.name, "job") not in _BY_THE_OPERATOR
            for each in self.open
        )


def gates_of(model: RegisteredModel, stage: str) -> Gates | None:
    """Return the verdicts of a stage's gates; None if no gate has been asked."""
    status = model.status.stages.get(stage)
    if status is None or status.judged is None or not status.gates:
        return None
    spec = model.spec.stages.get(stage)
    kinds = {gate.name: gate.kind for gate in spec.gates} if spec else {}
    return Gates(status.judged.version, status.gates, kinds)


def requirements(model: RegisteredModel, stage: str) -> tuple[str, ...]:
    """Return a stage's requirements for a version: its `from` stage, and its gates with kind."""
    spec = model.spec.stages[stage]
    from_ = [f"from {spec.from_}"] if spec.from_ else []
    return (*from_, *(f"{gate.name} ({gate.kind})" for gate in spec.gates))
