"""The accounts of the matrix: users, controllers and the operator, with their roles."""

from __future__ import annotations

from tests.chart.api import Manifest
from tests.chart.helm import NAMESPACE, RELEASE

__all__ = ["GROUPS", "PEOPLE", "ROLES"]

KUBE_SYSTEM = "system:serviceaccount:kube-system"
# RBAC lets each change all objects of Kubernetes and modelyard in the namespace, so only the
# policies refuse. The second also has the verb promote, and the third may purge.
PEOPLE: dict[str, tuple[str, tuple[str, ...]]] = {
    "dora": ("dora", ()),
    "stan": ("stan", ("promote-staging",)),
    "fred": ("fred", ("promote-fraud",)),
    "rita": ("rita", (f"{RELEASE}-release-manager",)),
    "olga": ("olga", ("override-production",)),
    "gitops": (
        "system:serviceaccount:argocd:argocd-application-controller",
        (f"{RELEASE}-release-manager",),
    ),
    "named": ("system:serviceaccount:keda:keda-operator", ()),
    "unnamed": ("system:serviceaccount:risk:default", ("approve-production",)),
    "bob": ("bob", ("approve-production",)),
    "carla": ("carla", ("approve-production",)),
    "anna": ("anna", (f"{RELEASE}-approver",)),
    "ci": ("system:serviceaccount:ci:pipeline", ("attest-pipeline",)),
    "op": (f"system:serviceaccount:{NAMESPACE}:{RELEASE}", ("approve-production",)),
    "admin": ("root", ("cluster-admin",)),
    "gc": (f"{KUBE_SYSTEM}:generic-garbage-collector", ()),
    "namespaces": (f"{KUBE_SYSTEM}:namespace-controller", ()),
    "manager": ("system:kube-controller-manager", ()),
    "hpa": (f"{KUBE_SYSTEM}:horizontal-pod-autoscaler", ()),
    "replicasets": (f"{KUBE_SYSTEM}:replicaset-controller", ()),
    "scheduler": ("system:kube-scheduler", ()),
    "node": ("system:node:n1", ()),
}
GROUPS = {"node": ("system:nodes",)}
ROLES: dict[str, Manifest] = {
    # Not promote, not purge.
    "wide": {
        "apiGroups": [
            "",
            "apps",
            "batch",
            "autoscaling",
            "policy",
            "discovery.k8s.io",
            "modelyard.io",
        ],
        "resources": ["*"],
        "verbs": ["get", "list", "create", "update", "patch", "delete", "deletecollection"],
    },
    "promote-staging": {
        "apiGroups": ["modelyard.io"],
        "resources": ["registeredmodels/staging"],
        "verbs": ["promote"],
    },
    "override-production": {
        "apiGroups": ["modelyard.io"],
        "resources": ["registeredmodels/production"],
        "verbs": ["override"],
    },
    "promote-fraud": {
        "apiGroups": ["modelyard.io"],
        "resources": ["registeredmodels/production", "registeredmodels/staging"],
        "resourceNames": ["fraud"],
        "verbs": ["promote"],
    },
    "approve-production": {
        "apiGroups": ["modelyard.io"],
        "resources": ["registeredmodels/production"],
        "verbs": ["approve"],
    },
    "attest-pipeline": {
        "apiGroups": ["modelyard.io"],
        "resources": ["registeredmodels/production/pipeline"],
        "verbs": ["attest"],
    },
}
