"""Templates stored by earlier releases are applied unchanged, so that an upgrade does not restart
model servers.
"""

from pathlib import Path

import pytest
import yaml

from modelyard.api.registered_model import ModelRuntime, ServedVersion
from modelyard.kube.names import IDENTITY_LABEL, PODS_SECRET, VERSION_LABEL
from modelyard.plan import Manifest
from modelyard.registered_model import build
from modelyard.registered_model.build import REVISION, PodSettings
from modelyard.registered_model.kept import kept_in, served_by, template_in
from tests.golden.cases import PLAIN, SERVING, TOLERATION, WHAT
from tests.unit.builders import registered_model

KEPT = Path(__file__).parent / "kept"
PARTIAL = registered_model(
    stages={
        "production": {"version": "v3", "serving": {"resources": {"requests": {"memory": "3Gi"}}}}
    }
)
MODEL = registered_model(
    stages={
        "staging": {
            "version": "v3",
            "serving": {
                "replicas": 3,
                "resources": {"requests": {"cpu": "500m"}, "limits": {"cpu": "2", "memory": "1Gi"}},
                "runtime": {"workers": 4},
                "node_selector": {"pool": "serving"},
                "tolerations": [TOLERATION, {"key": "dedicated", "value": "models"}],
            },
        },
        "production": {"version": "v3"},
    }
)
# The model, its stage, how many pods it has, and what its namespace gives.
CASES = {
    "everything": (MODEL, "staging", 3, PodSettings(allow_code=True, pods_secret=PODS_SECRET)),
    "plain": (MODEL, "production", 1, PLAIN),
    "partial": (PARTIAL, "production", 1, PLAIN),
}


def read(number: int, case: str) -> tuple[Manifest, Manifest]:
    """A ControllerRevision and the Deployment of its template, as the release of that revision
    had them.
    """
    kept, deployment = yaml.safe_load_all((KEPT / f"revision-{number}-{case}.yaml").read_text())
    return kept, deployment


def what(kept: Manifest, number: int) -> ServedVersion:
    pod, labels = kept["data"]["template"]["spec"], kept["metadata"]["labels"]
    command = pod["initContainers"][0]["command"]
    runtime = ModelRuntime(
        image=pod["containers"][0]["image"], revision=number, identity=labels[IDENTITY_LABEL]
    )
    return ServedVersion(
        version=labels[VERSION_LABEL],
        digest=command[command.index("--digest") + 1],
        runtime=runtime,
    )


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("number", range(1, REVISION))
def test_a_template_of_an_earlier_revision_is_applied_as_it_was(number: int, case: str):
    kept, deployment = read(number, case)
    model, stage, replicas, pod_settings = CASES[case]
    served = what(kept, number)
    template = template_in(kept, served)
    assert template is not None
    assert (
        build.deployment(
            model, stage, served, template, replicas=replicas, pod_settings=pod_settings
        )
        == deployment
    )
    assert build.revision(model, stage, served, template) == kept


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("number", range(1, REVISION))
def test_pods_of_an_earlier_revision_are_not_taken_for_some_that_split(number: int, case: str):
    """Neither by what was kept nor, where that is lost, by the Deployment, which does not tell 1
    from 2.
    """
    kept, deployment = read(number, case)
    by_record, by_template = kept_in(kept), served_by(deployment)
    assert by_record is not None
    assert by_template is not None
    assert (by_record.runtime.revision, by_template.runtime.revision) == (number, max(number, 2))
    assert build.splits(by_record) == build.splits(by_template) == (number >= 4)


def test_pods_of_this_revision_split():
    deployment, kept = SERVING["plain"][:2]
    assert kept_in(kept) == served_by(deployment) == WHAT
    assert build.splits(WHAT)


def test_a_new_field_of_the_spec_reaches_a_template_of_before():
    """It restarts the pods of this stage, as every change of how it is served does; the rest of
    the template stays.
    """
    kept, deployment = read(2, "everything")
    runtime = {"workers": 4, "max_body_bytes": "1500k", "timeout": "2m"}
    stage = MODEL.spec.stages["staging"].model_dump()
    model = registered_model(
        stages={"staging": stage | {"serving": stage["serving"] | {"runtime": runtime}}}
    )
    pod_settings = PodSettings(allow_code=False, pods_secret=PODS_SECRET)
    built = build.deployment(
        model,
        "staging",
        what(kept, 2),
        kept["data"]["template"],
        replicas=3,
        pod_settings=pod_settings,
    )
    (server,) = built["spec"]["template"]["spec"]["containers"]
    told = {each["name"]: each["value"] for each in server["env"]}
    assert (told["MODELYARD_MAX_REQUEST_BYTES"], told["MODELYARD_TIMEOUT_SECONDS"]) == (
        "1500000",
        "120",
    )
    (before,) = deployment["spec"]["template"]["spec"]["containers"]
    assert {**server, "env": None} == {**before, "env": None}
