"""Test by a dry run whether the API server refuses a ModelApproval in another user's name."""

from modelyard.adapters.kubernetes_api import KINDS, Api
from modelyard.api.approvals import FORGED_IS_REFUSED, forged
from modelyard.api.base import GROUP, VERSION
from modelyard.errors import Forbidden, Invalid

__all__ = ["UNGUARDED", "unguarded"]

_KIND = KINDS[f"{GROUP}/{VERSION}", "ModelApproval"]
UNGUARDED = (
    "any user may approve in another's name here: the policies are not in force. Install the chart"
    " with policies.approvals"
)


async def unguarded(api: Api, namespace: str) -> str | None:
    """Return why approvals cannot be trusted; None if the policy refuses a forged one.

    Raises:
        Unavailable: Kubernetes did not answer.

    """
    try:
        await api.write(
            "POST",
            _KIND.path(namespace),
            "try ModelApproval",
            namespace,
            forged(),
            params={"dryRun": "All"},
        )
    except (Forbidden, Invalid) as error:
        if FORGED_IS_REFUSED in error.detail:
            return None
        return f"whether approvals are guarded cannot be asked: {error.detail[:80]}"
    return UNGUARDED
