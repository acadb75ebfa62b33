"""The operator's rights: one table of what the code asks of Kubernetes, and why.

Roles are generated from it, and nowhere else. The rights to owned objects come from `kube.owned`.

Rights of people (promote, purge, view) do not belong here; they are the chart's. Nothing here is
`*`, nothing lists or watches Secrets, nothing reaches into a pod, nothing grants a right.
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
    """Where a right holds."""

    SERVED = "served"
    """In every namespace that the operator serves: all of them, or those that the chart's values
    name.
    """
    CLUSTER = "cluster"
    """On objects that have no namespace."""
    OWN = "own"
    """In the namespace that the operator runs in."""


@dataclass(frozen=True)
class Right:
    """What the code does to some resources of one group, and why it has to.

    Attributes:
        scope: Where.
        group: API group; empty for the core group.
        resources: Plural names, with the subresource where there is one.
        verbs: Verbs of the API.
        why: What it is for, in a sentence.
        names: The only objects that it speaks of; empty: all.

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
        "Our own kinds are watched, and read after a conflict; a patch sets and removes our"
        " finalizer, the spec is never written.",
    ),
    Right(
        Scope.SERVED,
        GROUP,
        tuple(f"{kind}/status" for kind in _KINDS),
        ("patch",),
        "What was observed is reported there.",
    ),
    Right(
        Scope.SERVED,
        GROUP,
        (ModelApproval.PLURAL,),
        ("create", "delete"),
        "A dry run tries whether an approval in another's name is refused; those that no stage can"
        " use any more are deleted.",
    ),
    Right(
        Scope.SERVED,
        GROUP,
        tuple(f"{kind}/finalizers" for kind in _KINDS),
        ("update",),
        "Owned objects block their owner's deletion; some clusters (OpenShift) ask this right for"
        " that.",
    ),
    *(Right(Scope.SERVED, each.group, (each.plural,), each.verbs, each.why) for each in OWNED),
    Right(
        Scope.SERVED,
        "",
        ("secrets",),
        ("get",),
        "The namespace's connection to MLflow and S3, and whether its pods have one of their own;"
        " read by name: no list, no watch.",
        names=(CONNECTION_SECRET, PODS_SECRET),
    ),
    Right(
        Scope.SERVED,
        "events.k8s.io",
        ("events",),
        ("create", "list"),
        "Transitions are told to users as events; those of a Job without a pod are asked why it has"
        " none.",
    ),
    Right(
        Scope.CLUSTER,
        "",
        ("namespaces",),
        ("get",),
        "Its label says whether models that run code of their own are allowed.",
    ),
    Right(
        Scope.CLUSTER,
        policies.GROUP,
        (policies.POLICIES, policies.BINDINGS),
        ("get",),
        "A metric says whether the policies that were installed are in force; the chart puts in"
        " their names.",
        names=tuple(f"modelyard-{name}" for name in policies.NAMES),
    ),
    Right(
        Scope.OWN,
        "coordination.k8s.io",
        ("leases",),
        ("get", "create", "update"),
        "One replica works, the others wait for its lease.",
    ),
    Right(
        Scope.OWN,
        "",
        ("configmaps",),
        ("list", "watch"),
        "The cluster's freezes, from the chart's values; by name.",
        names=(FREEZE_CONFIG_MAP,),
    ),
)


def rules(scope: Scope) -> list[dict[str, Any]]:
    """Return the rules of a scope, as a Role or ClusterRole has them."""
    return [_rule(right) for right in RIGHTS if right.scope is scope]


def allowed(scope: Scope, verb: str, group: str, resource: str, name: str = "") -> bool:
    """Tell whether the table has a right; for tests that compare it with the requests that were
    seen.
    """
    return any(
        right.scope is scope
        and right.group == group
        and resource in right.resources
        and verb in right.verbs
        and name in (right.names or (name,))
        for right in RIGHTS
    )


def files() -> generated.Files:
    """Return the committed file, which the chart turns into roles: one list of rules for each
    scope.
    """
    head = (
        "# Generated from operator/modelyard/rbac.py by `make crds`. Never edit it.\n"
        "# `served` holds in every namespace that the operator serves, `cluster` on what has no"
        " namespace, `own` where it runs itself.\n"
    )
    return {"charts/modelyard/files/rbac.yaml": head + "".join(_section(scope) for scope in Scope)}


def main(argv: Sequence[str]) -> int:
    """Run `modelyard rbac`."""
    return generated.main(
        "rbac", "the rules of the operator's roles, by where they hold", files, argv
    )


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
            # Comments would not survive a YAML writer.
            lines.append(f"  # {right.why}")
            for index, (key, values) in enumerate(_rule(right).items()):
                lines.append(
                    f"  {'-' if index == 0 else ' '} {key}:"
                    f" [{', '.join(values) if any(values) else chr(34) * 2}]"
                )
    return "\n".join(lines) + "\n"
