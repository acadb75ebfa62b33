"""Users' values reach the pod unchanged, although the kubelet expands `$(VAR)`."""

import json

from hypothesis import given
from hypothesis import strategies as st

from modelyard.kube.names import ATTEMPT_TAG
from modelyard.registered_model.build import served, template
from modelyard.training_run import build, jobs
from modelyard.training_run.observation import Observation
from tests.expansion import expand, expanded
from tests.unit.builders import PROPERTY, RUNTIME, job, registered_model, tracked_run, training_run

SECRET = {"AWS_SECRET_ACCESS_KEY": "hunter2", "HOME": "x"}
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | st.lists(
    st.sampled_from(
        ["$", "$$", "$(", ")", "(", "$(AWS_SECRET_ACCESS_KEY)", "$(HOME)", "$(NONE)", "a"]
    ),
    max_size=8,
).map("".join)


@PROPERTY
@given(st.dictionaries(TEXT, TEXT, max_size=4))
def test_parameters_arrive_as_they_were_written(parameters: dict[str, str]):
    run = training_run(parameters=parameters, dataset={"name": "cards"})
    pod = build.job(run, 1, "r1", RUNTIME)["spec"]["template"]["spec"]
    for container in (*pod["containers"], *pod["initContainers"]):
        assert json.loads(expanded(container["env"], SECRET)["MODELYARD_PARAMETERS"]) == parameters


@PROPERTY
@given(TEXT)
def test_a_model_is_fetched_from_its_exact_uri(path: str):
    uri = f"s3://bucket/{path}"
    rolled_out = template(
        registered_model(), "production", served("v1", "sha256:a", RUNTIME), uri, "Always"
    )
    command = [expand(word, SECRET) for word in rolled_out["spec"]["initContainers"][0]["command"]]
    assert command[command.index("--uri") + 1] == uri


def test_a_job_belongs_to_its_attempt_whatever_mlflow_calls_the_run():
    run = training_run()
    built = job(build.job(run, 1, "r$(HOME)", RUNTIME))
    tracked = tracked_run("r$(HOME)", "RUNNING", tags={ATTEMPT_TAG: "1"})
    world = Observation(experiment=None, registered_model=None, owned=(built,), runs={1: tracked})
    assert jobs.job_of_attempt(run, world) == built
