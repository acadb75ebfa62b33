"""Whether the API server lets anybody approve in another's name: the dry run of creating such a ModelApproval.

What a gate makes of the answer does not belong here (`registered_model.gates.approvals`).
"""

from modelyard.adapters.kubernetes_api import KINDS, Api
from modelyard.api.base import GROUP, VERSION
from modelyard.errors import Forbidden, Invalid
from modelyard.plan import Manifest

__all__ = ["REFUSAL", "UNGUARDED", "unguarded"]

REFUSAL = "spec.approver must be who creates the approval"
"""How the chart's policy `approval` begins its refusal (charts/modelyard/templates/policies/_people.tpl)."""
_KIND = KINDS[f"{GROUP}/{VERSION}", "ModelApproval"]
UNGUARDED = "anybody may approve in another's name here: the policies are not in force. Install the chart with policies.approvals"


async def unguarded(api: Api, namespace: str) -> str | None:
    """Return why approvals cannot be believed; None: one in another's name is refused by the policy.

    Raises:
        Unavailable: Kubernetes did not answer.

    """
    try:
        await api.write("POST", _KIND.path(namespace), "try ModelApproval", namespace, _forged(), params={"dryRun": "All"})
    except (Forbidden, Invalid) as error:
        if REFUSAL in error.detail:
            return None
        return f"whether approvals are guarded cannot be asked: {error.detail[:80]}"
    return UNGUARDED


def _forged() -> Manifest:
    """Return an approval in the name of a user that no authenticator knows: names with system: are Kubernetes' own."""
    spec = {
        "model": "modelyard",
        "stage": "modelyard",
        "version": "modelyard",
        "digest": f"sha256:{'0' * 64}",
        "decision": "Reject",
        "approver": "system:modelyard:nobody",
    }
    meta = {"generateName": "modelyard-tries-"}
    return {"apiVersion": _KIND.api_version, "kind": _KIND.kind, "metadata": meta, "spec": spec}
