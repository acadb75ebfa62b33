"""The operator's rights are minimal: no wildcards, no general access to Secrets, no way to more
rights.
"""

import pytest
import yaml

from modelyard.rbac import RIGHTS, Right, Scope, allowed, files, rules

FORBIDDEN_GROUPS = {
    "rbac.authorization.k8s.io",
    "admissionregistration.k8s.io",
    "authentication.k8s.io",
    "certificates.k8s.io",
}
FORBIDDEN_RESOURCES = {
    "pods/exec",
    "pods/attach",
    "pods/portforward",
    "pods/ephemeralcontainers",
    "serviceaccounts",
    "serviceaccounts/token",
}
FORBIDDEN_VERBS = {
    "*",
    "escalate",
    "bind",
    "impersonate",
    "approve",
    "sign",
    "deletecollection",
    "promote",
    "purge",
}


@pytest.mark.parametrize(
    "right", RIGHTS, ids=lambda right: f"{right.group or 'core'}/{right.resources[0]}"
)
def test_no_right_is_dangerous(right: Right):
    assert "*" not in (right.group, *right.resources)
    # Admission policies are read by name, to find out whether they are in force.
    assert right.group not in FORBIDDEN_GROUPS or (
        right.group.startswith("admission") and right.verbs == ("get",) and right.names
    )
    assert not FORBIDDEN_RESOURCES & set(right.resources)
    assert not FORBIDDEN_VERBS & set(right.verbs)
    assert right.why.endswith(".")


def test_secrets_are_only_read_by_two_names():
    secrets = [right for right in RIGHTS if "secrets" in right.resources]
    assert [(right.verbs, right.names) for right in secrets] == [
        (("get",), ("modelyard-connection", "modelyard-connection-pods"))
    ]


def test_pods_are_only_patched():
    """The policy operator-fence restricts that to one annotation; a pod that the operator created
    would be outside of its Deployments.
    """
    pods = [
        right
        for right in RIGHTS
        if any(resource.split("/")[0] == "pods" for resource in right.resources)
    ]
    assert [(right.resources, right.verbs) for right in pods] == [
        (("pods",), ("list", "watch", "patch"))
    ]


def test_our_specs_are_never_written():
    """Approvals are decisions of users: the operator creates one as a dry run only, and deletes
    useless ones.
    """
    for right in RIGHTS:
        if right.group == "modelyard.io" and not all(
            "/" in resource for resource in right.resources
        ):
            allowed = {"create", "delete"} if right.resources == ("modelapprovals",) else set()
            assert not {"create", "update", "delete"} & set(right.verbs) - allowed


def test_a_right_outside_the_table_is_not_allowed():
    assert allowed(Scope.SERVED, "get", "", "secrets", "modelyard-connection")
    assert not allowed(Scope.SERVED, "get", "", "secrets", "other")
    assert not allowed(Scope.SERVED, "list", "", "secrets")
    assert not allowed(Scope.SERVED, "update", "coordination.k8s.io", "leases")
    assert allowed(Scope.OWN, "update", "coordination.k8s.io", "leases", "modelyard")


def test_the_generated_file_matches_the_table():
    ((_, text),) = files().items()
    assert yaml.safe_load(text) == {scope.value: rules(scope) for scope in Scope}
    assert all(f"# {right.why}" in text for right in RIGHTS)
