"""Whether a policy is in force: its spec from the API server against the hash of the installed
one.
"""

from copy import deepcopy
from typing import Any

import pytest

from modelyard.kube.policies import expected, fingerprint, problem

RULE = {
    "apiGroups": ["modelyard.io"],
    "apiVersions": ["v1alpha1"],
    "operations": ["CREATE"],
    "resources": ["experiments"],
}
SPEC: dict[str, Any] = {
    "failurePolicy": "Fail",
    "matchConstraints": {"resourceRules": [RULE]},
    "validations": [{"expression": "a && b < c", "message": "<>&é"}],
}
BOUND: dict[str, Any] = {"policyName": "modelyard-keep", "validationActions": ["Deny"]}
WANTED = (fingerprint(SPEC), fingerprint(BOUND))


def there(spec: dict[str, Any], **metadata: str) -> dict[str, Any]:
    return {"metadata": {"name": "modelyard-keep", **metadata}, "spec": spec}


def test_the_hash_equals_helm_s():
    """`toJson | sha256sum | trunc 16`: keys in order, and three characters escaped."""
    assert fingerprint({"b": ["<&>é"], "a": 1}) == "ce044fc6c610f0b3"


def test_defaults_that_the_api_server_adds_make_no_difference():
    spec = deepcopy(SPEC)
    spec["matchConstraints"] |= {
        "matchPolicy": "Equivalent",
        "namespaceSelector": {},
        "objectSelector": {},
    }
    spec["matchConstraints"]["resourceRules"][0]["scope"] = "*"
    assert problem(there(spec), there(BOUND), WANTED) is None


@pytest.mark.parametrize(
    ("policy", "binding", "words"),
    [
        (None, there(BOUND), "the policy is missing"),
        (there(SPEC), None, "the binding is missing"),
        (there(SPEC, deletionTimestamp="now"), there(BOUND), "the policy is being deleted"),
        (there(SPEC), there(BOUND, deletionTimestamp="now"), "the binding is being deleted"),
        (
            there(SPEC | {"failurePolicy": "Ignore"}),
            there(BOUND),
            "the policy is not the one that was installed",
        ),
        (
            there(SPEC | {"matchConstraints": {"objectSelector": {"a": "b"}}}),
            there(BOUND),
            "the policy is not",
        ),
        (there(SPEC), there(BOUND | {"validationActions": ["Warn"]}), "the binding is not"),
        (
            there(SPEC),
            there(BOUND | {"matchResources": {"namespaceSelector": {"a": "b"}}}),
            "the binding is not",
        ),
    ],
)
def test_the_problem_of_a_policy_is_returned(
    policy: dict[str, Any] | None, binding: dict[str, Any] | None, words: str
):
    said = problem(policy, binding, WANTED)
    assert said is not None
    assert words in said


def test_the_setting_is_parsed_or_refused():
    assert expected("") == {}
    assert expected("a=1/2,b=3/4") == {"a": ("1", "2"), "b": ("3", "4")}
    for wrong in ("a", "a=1", "a=1/", "=1/2", "a=/2"):
        with pytest.raises(ValueError, match="is not <name>="):
            expected(wrong)
