"""A real API server accepts every object of the chart, and every pod's security context."""

from __future__ import annotations

import json
import re

import pytest

from tests.chart.api import Api, path_of
from tests.chart.helm import NAMESPACE, Manifest, pod_templates, render
from tests.chart.values import SETS

pytestmark = pytest.mark.api

every_set = pytest.mark.parametrize("values", SETS.values(), ids=SETS.keys())
# A kind of the Prometheus operator, whose CRD the chart does not install.
FOREIGN = ("ServiceMonitor", "PrometheusRule")


@pytest.fixture(scope="module")
def prepared(server):
    """The server, with every namespace that a set of values names, and one that admits only
    restricted pods.
    """
    admin = Api(server)
    names = {NAMESPACE} | {
        name for values in SETS.values() for name in values.get("watchNamespaces", [])
    }
    names |= {
        tenant["namespace"] for values in SETS.values() for tenant in values.get("tenants", [])
    } | {"risk", "play"}
    for name in sorted(names):
        assert admin.create(path_of("v1/namespaces"), {"metadata": {"name": name}}).code in (
            201,
            409,
        )
    labels = {
        "pod-security.kubernetes.io/enforce": "restricted",
        "pod-security.kubernetes.io/enforce-version": "latest",
    }
    assert (
        admin.create(
            path_of("v1/namespaces"), {"metadata": {"name": "strict", "labels": labels}}
        ).code
        == 201
    )
    return server


@pytest.fixture(scope="module")
def taken() -> set[str]:
    """Objects that the server has accepted already: most are the same in all sets, and a CRD takes
    half a second.
    """
    return set()


@every_set
def test_the_api_server_accepts_every_object(prepared, taken, values):
    """Sent like kubectl does, which however reads the whole OpenAPI document each time."""
    admin = Api(prepared)
    objects = {
        json.dumps(each, sort_keys=True): each
        for each in render(values)
        if each["kind"] not in FOREIGN
    }
    for said, each in objects.items():
        if said not in taken:
            answer = admin.apply(f"{place(each)}?dryRun=All&fieldValidation=Strict", each)
            assert answer.code in (200, 201), (
                f"{each['kind']} {each['metadata']['name']}: {answer.message}"
            )
    taken.update(objects)


def place(manifest: Manifest) -> str:
    """Return the path of an object of the chart."""
    plural = re.sub("y$", "ie", manifest["kind"].lower()) + "s"
    return path_of(
        f"{manifest['apiVersion']}/{plural}",
        manifest["metadata"].get("namespace"),
        manifest["metadata"]["name"],
    )


def test_strict_validation_would_find_a_wrong_field(prepared):
    """Shows that the test above can fail."""
    deployment = next(each for each in render() if each["kind"] == "Deployment")
    deployment["spec"]["template"]["spec"]["containerz"] = []
    answer = Api(prepared).apply(
        f"{place(deployment)}?dryRun=All&fieldValidation=Strict", deployment
    )
    assert answer.code >= 400
    assert "containerz" in answer.message


def pod(name: str, template: Manifest) -> Manifest:
    spec = {
        key: value
        for key, value in template["spec"].items()
        if key not in ("serviceAccountName", "priorityClassName")
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": re.sub("[^a-z-]", "", name.lower())},
        "spec": spec,
    }


@every_set
def test_pod_security_admits_every_pod_as_restricted(prepared, values):
    admin = Api(prepared)
    for name, template in pod_templates(render(values)).items():
        answer = admin.create(path_of("v1/pods", "strict") + "?dryRun=All", pod(name, template))
        assert answer.code == 201, f"{name}: {answer.message}"


def test_pod_security_would_refuse_an_unrestricted_pod(prepared):
    template = pod_templates(render())["Deployment/modelyard"]
    del template["spec"]["containers"][0]["securityContext"]["capabilities"]
    answer = Api(prepared).create(
        path_of("v1/pods", "strict") + "?dryRun=All", pod("loose", template)
    )
    assert answer.code == 403
    assert 'violates PodSecurity "restricted' in answer.message
