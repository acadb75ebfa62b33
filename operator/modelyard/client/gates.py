"""Gates of a stage as people read them: which are asked, what they said, and who has to do
something. Pure.

What a gate judges by does not belong here (`registered_model.gates`), nor how it is drawn
(`cli.views.gates`, `display`).
"""

from dataclasses import dataclass

from modelyard.api.gates import Verdict
from modelyard.api.registered_model import GateStatus, RegisteredModel

__all__ = ["Gates", "asked", "gates_of"]

_BY_THE_OPERATOR = frozenset({"job", "signed", "smoke"})
"""Kinds whose Pending ends by what the operator itself runs. What any other kind waits for is a
person, another program, or time."""
_POLLED = frozenset({"metric", "incumbent", "signature"})
"""Kinds that wait for what nobody reports: MLflow is asked."""
_PEOPLE = frozenset({"approvals", "external"})
"""Kinds that are decided by ModelApprovals."""


@dataclass(frozen=True)
class Gates:
    """What the gates of a stage say of one version.

    Attributes:
        version: The version.
        said: Each gate's answer, in the order of the spec.
        kinds: The kind of each gate that the spec still has, by name.

    """

    version: str
    said: tuple[GateStatus, ...]
    kinds: dict[str, str]

    @property
    def open(self) -> tuple[GateStatus, ...]:
        """Those that have not passed it."""
        return tuple(each for each in self.said if each.verdict is not Verdict.PASS)

    def words(self, gate: GateStatus) -> str:
        """Return what a gate says and, of one that is open, when it is asked again where its
        message does not say so.
        """
        if any(each.verdict is Verdict.FAIL for each in self.said):
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
        """Those that people or other systems decide; their messages say who did."""
        return tuple(each for each in self.said if self.kinds.get(each.name) in _PEOPLE)

    @property
    def summary(self) -> str:
        """How many pass it: `2 of 3 pass v3`."""
        return f"{len(self.said) - len(self.open)} of {len(self.said)} pass {self.version}"

    @property
    def wait_for_others(self) -> bool:
        """Whether all that is left is Pending on what the operator does not do: a person, a
        program, time.
        """
        return bool(self.open) and all(
            each.verdict is Verdict.PENDING
            and self.kinds.get(each.name, "job") not in _BY_THE_OPERATOR
            for each in self.open
        )


def gates_of(model: RegisteredModel, stage: str) -> Gates | None:
    """Return what the gates of a stage say; None when none has been asked."""
    status = model.status.stages.get(stage)
    if status is None or status.judged is None or not status.gates:
        return None
    spec = model.spec.stages.get(stage)
    kinds = {gate.name: gate.kind for gate in spec.gates} if spec else {}
    return Gates(status.judged.version, status.gates, kinds)


def asked(model: RegisteredModel, stage: str) -> tuple[str, ...]:
    """Return what a stage asks of a version: the stage that it comes from, and gates by name and
    kind.
    """
    spec = model.spec.stages[stage]
    from_ = [f"from {spec.from_}"] if spec.from_ else []
    return (*from_, *(f"{gate.name} ({gate.kind})" for gate in spec.gates))
