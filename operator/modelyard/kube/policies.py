"""Whether the admission policies are in force: the specs in the cluster against the installed ones.

The chart passes hashes of the installed specs in the operator's setting `policies`. Pure.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

__all__ = ["BINDINGS", "GROUP", "NAMES", "POLICIES", "expected", "fingerprint", "problem"]

GROUP = "admissionregistration.k8s.io"
POLICIES = "validatingadmissionpolicies"
BINDINGS = "validatingadmissionpolicybindings"
NAMES = (
    "promote",
    "override",
    "purge",
    "keep",
    "keep-versions",
    "keep-runs",
    "runs",
    "requester",
    "approval",
    "status",
    "serving",
    "serving-workloads",
    "serving-scale",
    "serving-evidence",
    "names",
    "operator-fence",
)
"""The chart's policies; their objects are prefixed with the release, as `modelyard-promote`."""
_DEFAULTS: Mapping[str, Any] = {
    "matchPolicy": "Equivalent",
    "namespaceSelector": {},
    "objectSelector": {},
    "scope": "*",
}
"""The API server's defaults for missing fields of a spec."""
_ESCAPED = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"}


def expected(setting: str) -> dict[str, tuple[str, str]]:
    """Parse the setting: the hashes of policy and binding by their name.

    Args:
        setting: `name=<policy>/<binding>`, separated by commas; empty if none is installed.

    Raises:
        ValueError: It is malformed.

    """
    out = {}
    for part in filter(None, setting.split(",")):
        name, sign, hashes = part.partition("=")
        policy, slash, binding = hashes.partition("/")
        if not (name and sign and slash and policy and binding):
            raise ValueError(f"{part!r} is not <name>=<hash of the policy>/<hash of the binding>")
        out[name] = (policy, binding)
    return out


def fingerprint(spec: Any) -> str:
    """Return the first 16 hex digits of the SHA-256 of a spec, as Helm's `toJson` writes it."""
    text = json.dumps(_bare(spec), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    for character, escaped in _ESCAPED.items():
        text = text.replace(character, escaped)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def problem(
    policy: Mapping[str, Any] | None, binding: Mapping[str, Any] | None, wanted: tuple[str, str]
) -> str | None:
    """Return why a policy is not in force as it was installed; None if it is.

    Args:
        policy: The ValidatingAdmissionPolicy; None if there is none.
        binding: Its binding; None if there is none.
        wanted: The hashes of their specs.

    """
    for what, body, digest in (("policy", policy, wanted[0]), ("binding", binding, wanted[1])):
        if body is None:
            return f"the {what} is missing"
        if body["metadata"].get("deletionTimestamp"):
            return f"the {what} is being deleted"
        if fingerprint(body.get("spec") or {}) != digest:
            return f"the {what} is not the one that was installed"
    return None


def _bare(value: Any) -> Any:
    """Return a value without the defaults that the API server adds."""
    if isinstance(value, Mapping):
        return {
            key: _bare(inner)
            for key, inner in value.items()
            if not (key in _DEFAULTS and inner == _DEFAULTS[key])
        }
    if isinstance(value, list | tuple):
        return [_bare(each) for each in value]
    return value
