"""MLflow and the store, reached as pods reach them: a run's curves, and whether they answer. Drawing does not belong here."""

from collections.abc import Iterator
from dataclasses import dataclass

from modelyard.cli.commands.session import Session
from modelyard.cli.views.doctor import Finding, Verdict
from modelyard.client.errors import Missing

__all__ = ["Tracked", "findings", "tracked"]


@dataclass(frozen=True)
class Tracked:
    """What MLflow has of a run."""

    parameters: dict[str, str]
    metrics: dict[str, float]
    curves: dict[str, list[tuple[float, float]]]


def tracked(session: Session, run_id: str) -> Tracked:
    """Return a run's parameters, metrics and their histories."""
    raise Missing("mlflow", f"{session.where.context} {run_id}")


def findings(session: Session) -> Iterator[Finding]:
    """Say whether MLflow and the store answer."""
    yield Finding("storage", Verdict.UNKNOWN, str(session.where))
