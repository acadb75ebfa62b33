"""What a ModelApproval is held against: frozen values, read by `observe`."""

from dataclasses import dataclass

from modelyard.api.model_approval import ModelApproval
from modelyard.api.registered_model import RegisteredModel

__all__ = ["Observation"]


@dataclass(frozen=True)
class Observation:
    """The model that an approval names, and everything that was said of that.

    Attributes:
        model: The RegisteredModel; None: there is none.
        approvals: The approvals that name it, this one too.

    """

    model: RegisteredModel | None = None
    approvals: tuple[ModelApproval, ...] = ()
