"""Init containers have the resources of the trainer or model server that they run before, so the
pod's request stays the same.
"""

from typing import Any

import pytest

from modelyard.registered_model.build import PodSettings, served, template, with_serving
from modelyard.training_run import build
from tests.unit.builders import RUNTIME, registered_model, training_run

RESOURCES: list[Any] = [
    {},
    {"limits": {"memory": "8Gi"}},
    {
        "requests": {"cpu": "2", "memory": "1Gi"},
        "limits": {"cpu": "4", "memory": "16Gi", "nvidia.com/gpu": 1},
    },
]
AROUND = PodSettings(allow_code=False, pods_secret="modelyard-connection")


@pytest.mark.parametrize("resources", RESOURCES)
def test_the_data_step_has_the_trainer_s_resources(resources: Any):
    run = training_run(dataset={"name": "cards"}, resources=resources)
    pod = build.job(run, 1, "r1", RUNTIME)["spec"]["template"]["spec"]
    assert pod["initContainers"][0]["resources"] == pod["containers"][0]["resources"]
    assert (
        resources.get("limits", {}).items()
        <= pod["initContainers"][0]["resources"]["limits"].items()
    )


@pytest.mark.parametrize("resources", RESOURCES)
def test_the_fetch_step_has_the_model_server_s_resources(resources: Any):
    model = registered_model(
        stages={"production": {"version": "v1", "serving": {"resources": resources}}}
    )
    rolled_out = template(
        model, "production", served("v1", "sha256:a", RUNTIME), "s3://b/k", "Always"
    )
    pod = with_serving(rolled_out, model.spec.stages["production"].serving, AROUND)["spec"]
    assert pod["initContainers"][0]["resources"] == pod["containers"][0]["resources"]


def test_a_template_kept_by_an_earlier_release_is_unchanged():
    model = registered_model(
        stages={"production": {"version": "v1", "serving": {"resources": RESOURCES[2]}}}
    )
    kept = template(model, "production", served("v1", "sha256:a", RUNTIME), "s3://b/k", "Always")
    kept["spec"]["initContainers"][0]["resources"] = before = {"limits": {"memory": "1Gi"}}
    assert (
        with_serving(kept, model.spec.stages["production"].serving, AROUND)["spec"][
            "initContainers"
        ][0]["resources"]
        == before
    )
