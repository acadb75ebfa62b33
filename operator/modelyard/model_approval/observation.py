"""What a ModelApproval depends on, as a frozen value."""

from dataclasses import dataclass

from modelyard.api.model_approval import ModelApproval
from modelyard.api.registered_model import RegisteredModel

__all__ = ["Observation"]


@dataclass(frozen=True)
class Observation:
    """The model that an approval is for, and all approvals for it.

    Attributes:
        model: The RegisteredModel; None if it does not exist.
        approvals: All approvals for the model, this one included.

    """

    model: RegisteredModel | None = None
    approvals: tuple[ModelApproval, ...] = ()
