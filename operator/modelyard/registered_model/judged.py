"""What the analysis of a rollout says of the candidate, and what is kept of it. Pure."""

from dataclasses import dataclass

from modelyard.api.registered_model import RegisteredModel
from modelyard.kube.names import serving_name
from modelyard.plan import Apply
from modelyard.registered_model.view import StageView

__all__ = ["KEY", "Said", "config_map_name", "failed", "intervals", "said"]

KEY = "analysis.json"
"""In the data of the ConfigMap."""


@dataclass(frozen=True)
class Said:
    """What the analysis says at a step.

    Attributes:
        text: In words; empty without an analysis.
        abort: Why the version is rejected at the end of the hold; None: it is not.
        holds: The hold lasts on though its time is over.
        actions: What keeps what was counted.

    """

    text: str = ""
    abort: str | None = None
    holds: bool = False
    actions: tuple[Apply, ...] = ()


def failed(view: StageView) -> str | None:
    """Say why the candidate is worse than its limits; None: it is not shown to be."""
    return None


def said(view: StageView, *, is_over: bool, seconds: float) -> Said:
    """Return what is said of the candidate."""
    return Said()


def config_map_name(model: RegisteredModel, stage: str) -> str:
    """Return the name of the ConfigMap that keeps what was counted in a stage's rollout."""
    return f"{serving_name(model.metadata.name, stage)}-rollout"


def intervals(model: RegisteredModel, stage: str, text: str | None) -> int:
    """Return how many intervals are judged and kept."""
    return 0
