"""The operator's RBAC rights: one table of the requests that the code sends to Kubernetes, and why.

The chart's roles are generated from it. The rights to owned objects come from `kube.owned`.

The rights of users (promote, purge, view) are in the chart. No right here is `*`, lists or watches
Secrets, executes in a pod, or grants a right.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from modelyard import generated
from modelyard.api.base import GROUP
from modelyard.api.kinds import KINDS
from modelyard.api.model_approval import ModelApproval
from modelyard.kube import policies
from modelyard.kube.names import CONNECTION_SECRET, FREEZE_CONFIG_MAP, PODS_SECRET
from modelyard.kube.owned import OWNED

__all__ = ["RIGHTS", "Right", "Scope", "allowed", "files", "main", "rules"]


class Scope(StrEnum):
    """Where a right applies."""

    SERVED = "served"
    """In every namespace that the operator serves: all, or those in the chart's values."""
    CLUSTER = "cluster"
    """On cluster-scoped objects."""
    OWN = "own"
    """In the operator's own namespace."""


@dataclass(frozen=True)
class Right:
    """A right to some resources of one API group, and why the operator needs it.

    Attributes:
        scope: Where it applies.
        group: API group; empty for the core group.
        resources: Plural names, with the subresource where there is one.
        verbs: Verbs of the API.
        why: What it is needed for, as a sentence.
        names: Names of the only objects that it covers; empty: all.

    """

    scope: Scope
    group: str
    resources: tuple[str, ...]
    verbs: tuple[str, ...]
    why: str
    names: tuple[str, ...] = ()


_KINDS = tuple(kind.resource.PLURAL for kind in KINDS)
RIGHTS = (
    Right(
        Scope.SERVED,
        GROUP,
        _KINDS,
        ("get", "list", "watch", "patch"),
        "Objects of modelyard's kinds are watched, and read after a conflict. A patch sets and"
        " removes the finalizer; the spec is never written.",
    ),
    Right(
        Scope.SERVED,
        GROUP,
        tuple(f"{kind}/status" for kind in _KINDS),
        ("patch",),
        "The operator writes the status.",
    ),
    Right(
        Scope.SERVED,
        GROUP,
        (ModelApproval.PLURAL,),
        ("create", "delete"),
        "A dry run checks that an approval in another user's name is refused. Approvals that no"
        " stage can use any longer are deleted.",
    ),
    Right(
        Scope.SERVED,
        GROUP,
        tuple(f"{kind}/finalizers" for kind in _KINDS),
        ("update",),
        "Owned objects block their owner's deletion, for which some clusters (OpenShift) require"
        " this right.",
    ),
    *(Right(Scope.SERVED, each.group, (each.plural,), each.verbs, each.why) for each in OWNED),
    Right(
        Scope.SERVED,
        "",
        ("secrets",),
        ("get",),
        "The namespace's connection to MLflow and S3, and the optional one for its pods. Read by"
        " name: no list, no watch.",
        names=(CONNECTION_SECRET, PODS_SECRET),
    ),
    Right(
        Scope.SERVED,
        "events.k8s.io",
        ("events",),
        ("create", "list"),
        "Transitions are reported as events. The events of a Job without a pod are read to find"
        " out why it has none.",
    ),
    Right(
        Scope.CLUSTER,
        "",
        ("namespaces",),
        ("get",),
        "A label says whether models that run their own code are allowed.",
    ),
    Right(
        Scope.CLUSTER,
        policies.GROUP,
        (policies.POLICIES, policies.BINDINGS),
        ("get",),
        "A metric reports whether the installed policies are in force.",
        names=tuple(f"modelyard-{name}" for name in policies.NAMES),
    ),
    Right(
        Scope.OWN,
        "coordination.k8s.io",
        ("leases",),
        ("get", "create", "update"),
        "Leader election: one replica works, the others wait for the Lease.",
    ),
    Right(
        Scope.OWN,
        "",
        ("configmaps",),
        ("list", "watch"),
        "The cluster's freeze windows, from the chart's values. By name.",
        names=(FREEZE_CONFIG_MAP,),
    ),
)


def rules(scope: Scope) -> list[dict[str, Any]]:
    """Return the rules of a scope, in the format of a Role or ClusterRole."""
    return [_rule(right) for right in RIGHTS if right.scope is scope]


def allowed(scope: Scope, verb: str, group: str, resource: str, name: str = "") -> bool:
    """Tell whether the table grants a right; for tests that compare it with recorded requests."""
    return any(
        right.scope is scope
        and right.group == group
        and resource in right.resources
        and verb in right.verbs
        and name in (right.names or (name,))
        for right in RIGHTS
    )


def files() -> generated.Files:
    """Return the committed file, from which the chart builds roles: one list of rules per scope."""
    head = (
        "# Generated from operator/modelyard/rbac.py by `make crds`. Never edit it.\n# `served`"
        " applies in every namespace that the operator serves, `cluster` to cluster-scoped"
        " objects, `own` in the operator's namespace.\n"
    )
    return {"charts/modelyard/files/rbac.yaml": head + "".join(_section(scope) for scope in Scope)}


def main(argv: Sequence[str]) -> int:
    """Run `modelyard rbac`."""
    return generated.main("rbac", "the rules of the operator's roles, by scope", files, argv)


def _rule(right: Right) -> dict[str, Any]:
    out: dict[str, Any] = {
        "apiGroups": [right.group],
        "resources": list(right.resources),
        "verbs": list(right.verbs),
    }
    return out | {"resourceNames": list(right.names)} if right.names else out


def _section(scope: Scope) -> str:
    lines = [f"{scope}:"]
    for right in RIGHTS:
        if right.scope is scope:
            # Written by hand, because a YAML writer would drop the comments.
            lines.append(f"  # {right.why}")
            for index, (key, values) in enumerate(_rule(right).items()):
                lines.append(
                    f"  {'-' if index == 0 else ' '} {key}:"
                    f" [{', '.join(values) if any(values) else chr(34) * 2}]"
                )
    return "\n".join(lines) + "\n"
