"""What the chart makes, judged by a real API server: every object's schema, every pod's security."""

from __future__ import annotations

import json
import re

import pytest

from tests.chart.api import Api, path_of
from tests.chart.helm import NAMESPACE, Manifest, Refused, kubectl, pod_templates, render
from tests.chart.values import SETS

pytestmark = pytest.mark.api

every_set = pytest.mark.parametrize("values", SETS.values(), ids=SETS.keys())
# The Prometheus operator's; its CRD is not ours to bring.
FOREIGN = ("ServiceMonitor", "PrometheusRule")


@pytest.fixture(scope="module")
def prepared(server):
    """The server, with every namespace that some set of values speaks of, and one that lets in only restricted pods."""
    admin = Api(server)
    names = {NAMESPACE} | {name for values in SETS.values() for name in values.get("watchNamespaces", [])}
    names |= {tenant["namespace"] for values in SETS.values() for tenant in values.get("tenants", [])} | {"risk", "play"}
    for name in sorted(names):
        assert admin.create(path_of("v1/namespaces"), {"metadata": {"name": name}}).code in (201, 409)
    labels = {"pod-security.kubernetes.io/enforce": "restricted", "pod-security.kubernetes.io/enforce-version": "latest"}
    assert admin.create(path_of("v1/namespaces"), {"metadata": {"name": "strict", "labels": labels}}).code == 201
    return server


@every_set
def test_the_api_server_takes_every_object(prepared, values):
    objects = [each for each in render(values) if each["kind"] not in FOREIGN]
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
    out = kubectl(
        "apply", "--server-side", "--dry-run=server", "--validate=strict", "--filename", "-", kubeconfig=prepared.kubeconfig, stdin=text
    )
    assert len(out.splitlines()) == len(objects)


def test_strict_validation_would_find_a_wrong_field(prepared):
    """The test above can fail."""
    objects = render()
    next(each for each in objects if each["kind"] == "Deployment")["spec"]["template"]["spec"]["containerz"] = []
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
    with pytest.raises(Refused, match="containerz"):
        kubectl(
            "apply", "--server-side", "--dry-run=server", "--validate=strict", "--filename", "-", kubeconfig=prepared.kubeconfig, stdin=text
        )


def pod(name: str, template: Manifest) -> Manifest:
    spec = {key: value for key, value in template["spec"].items() if key not in ("serviceAccountName", "priorityClassName")}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": re.sub("[^a-z-]", "", name.lower())}, "spec": spec}


@every_set
def test_pod_security_admits_every_pod_as_restricted(prepared, values):
    admin = Api(prepared)
    for name, template in pod_templates(render(values)).items():
        answer = admin.create(path_of("v1/pods", "strict") + "?dryRun=All", pod(name, template))
        assert answer.code == 201, f"{name}: {answer.message}"


def test_pod_security_would_refuse_a_pod_that_is_not(prepared):
    template = pod_templates(render())["Deployment/modelyard"]
    del template["spec"]["containers"][0]["securityContext"]["capabilities"]
    answer = Api(prepared).create(path_of("v1/pods", "strict") + "?dryRun=All", pod("loose", template))
    assert answer.code == 403
    assert 'violates PodSecurity "restricted' in answer.message
