"""Experiments, runs and models through the client, on a real API server; the other side writes
what the operator would.
"""

from __future__ import annotations

import pytest

from modelyard.client.client import Client
from modelyard.client.errors import Failed, NotAllowed, NotFound, Refused, TimedOut
from tests.client.side import Side
from tests.harness import until

WRITE = [
    {
        "apiGroups": ["modelyard.io"],
        "resources": ["*"],
        "verbs": ["get", "list", "watch", "create", "patch", "delete"],
    }
]
WAITS = {"reason": "WaitingForVersion", "message": "The run has not ended yet."}
SEEN = {"mlflowVersion": "1", "digest": "sha256:" + "0" * 64, "uri": "s3://bucket/risk/m"}


@pytest.fixture
def client(side: Side):
    with Client(side.namespace, kubeconfig=str(side.server.kubeconfig)) as there:
        yield there


# --- experiments ----------------------------------------------------------------------------------
def test_an_experiment_is_made_and_waited_for(client: Client, side: Side):
    mlflow = {"id": "1", "name": f"{side.namespace}/fraud", "url": "http://mlflow"}
    with side.meanwhile(
        "Experiment",
        "fraud",
        lambda there: there.status("Experiment", "fraud", "Synced", ready=True, mlflow=mlflow),
    ):
        made = client.experiments.create(
            "fraud", objective="accuracy", keep_runs="90d", keep_best=3
        )
    assert made.ready
    assert made.status.mlflow.id == "1"
    spec = side.get("Experiment", "fraud")["spec"]
    assert spec["objective"] == {"metric": "accuracy", "goal": "Maximize"}
    assert spec["retention"] == {"runs": "90d", "keepBest": 3}


def test_what_stalls_is_raised_with_its_reason_and_what_to_do(client: Client, side: Side):
    def stall(there: Side) -> None:
        there.status("Experiment", "fraud", "ConnectionMissing", "Create the Secret.", ready=False)

    with side.meanwhile("Experiment", "fraud", stall), pytest.raises(Failed) as caught:
        client.experiments.create("fraud")
    assert (caught.value.reason, caught.value.message) == (
        "ConnectionMissing",
        "Create the Secret.",
    )


def test_a_status_of_an_older_spec_says_nothing(client: Client, side: Side):
    """Ready, then changed: what is Ready is the spec before."""
    side.ours("Experiment", "fraud", {})
    side.status("Experiment", "fraud", "Synced", ready=True)
    side.patch("Experiment", "fraud", {"spec": {"description": "new"}})
    found = client.experiments.get("fraud")
    assert not found.ready
    assert not found.fresh
    with pytest.raises(TimedOut, match="Synced"):
        found.wait(0.5)


def test_an_operator_that_is_not_there_is_suspected(client: Client, side: Side):
    side.ours("Experiment", "fraud", {})
    with pytest.raises(TimedOut, match=r"has not observed it yet\. Is the operator running"):
        client.experiments.get("fraud").wait(0.5)


def test_an_object_that_is_replaced_while_it_is_waited_for_is_not_taken_for_it(
    client: Client, side: Side
):
    side.ours("Experiment", "fraud", {})
    before = client.experiments.get("fraud")
    side.delete("Experiment", "fraud")
    side.ours("Experiment", "fraud", {})
    side.status("Experiment", "fraud", "Synced", ready=True)
    with pytest.raises(Failed, match="Deleted"):
        before.wait(120)


def test_experiments_are_listed_in_order_and_deleted(client: Client, side: Side):
    for name in ("b", "a"):
        side.ours("Experiment", name, {})
    assert [each.name for each in client.experiments.list()] == ["a", "b"]
    client.experiments.delete("a", wait=120)
    assert [each.name for each in client.experiments.list()] == ["b"]
    assert [(type_, each.name) for type_, each in client.experiments.watch(seconds=0.5)] == [
        ("Added", "b")
    ]


# --- runs -----------------------------------------------------------------------------------------
def run(
    side: Side, name: str, metrics: dict[str, str] | None = None, reason: str = "Succeeded", **spec
):
    side.ours(
        "TrainingRun",
        name,
        {"experiment": "fraud", "trainer": {"xgboost": {"task": "classification"}}, **spec},
    )
    listed = [{"name": key, "value": value} for key, value in (metrics or {}).items()]
    ended = {"completionTime": "2026-01-01T00:00:00Z"} if reason in {"Succeeded", "Failed"} else {}
    ready = {"Succeeded": True, "Failed": False}.get(reason)
    also = {"Succeeded": ready} if ready is not None else {}
    side.status(
        "TrainingRun", name, reason, "words", ready=ready, also=also, metrics=listed, **ended
    )


def test_a_run_is_submitted_with_what_it_was_given(client: Client, side: Side):
    made = client.runs.submit(
        "fraud",
        "fraud-1",
        task="regression",
        parameters={"max_depth": 6, "fast": True, "rate": 0.1},
        dataset={"name": "cards"},
        register=("fraud", "v1"),
        requests={"cpu": "1"},
        spec={"backoffLimit": 2},
        labels={"team": "risk"},
    )
    assert made.name == "fraud-1"
    there = side.get("TrainingRun", "fraud-1")
    assert there["spec"]["parameters"] == {"max_depth": "6", "fast": "true", "rate": "0.1"}
    assert there["spec"]["trainer"] == {"xgboost": {"task": "regression"}}
    assert there["spec"]["register"] == {"model": "fraud", "version": "v1"}
    assert there["spec"]["resources"] == {"requests": {"cpu": "1"}}
    assert there["spec"]["backoffLimit"] == 2
    assert there["metadata"]["labels"] == {"team": "risk"}


def test_a_run_without_a_name_gets_one(client: Client):
    names = {client.runs.submit("fraud").name for _ in range(2)}
    assert len(names) == 2
    assert all(name.startswith("fraud-") for name in names)


def test_a_run_of_an_experiment_with_the_longest_name_gets_one(client: Client, tmp_path):
    (tmp_path / "train.py").write_text("print('hello')\n")
    for script in (None, tmp_path / "train.py"):
        assert len(client.runs.submit("e" * 63, script=script).name) == 50


def test_a_script_of_this_machine_goes_into_a_config_map_that_goes_with_the_run(
    client: Client, side: Side, tmp_path
):
    (tmp_path / "train.py").write_text("print('hello')\n")
    made = client.runs.submit("fraud", "fraud-1", script=tmp_path / "train.py")
    config = side.get("ConfigMap", "fraud-1-script")
    assert config["data"] == {"train.py": "print('hello')\n"}
    assert [(owner["kind"], owner["uid"]) for owner in config["metadata"]["ownerReferences"]] == [
        ("TrainingRun", made.metadata.uid)
    ]
    assert made.spec.trainer.script.config_map == "fraud-1-script"


def test_a_script_whose_run_is_refused_leaves_nothing(client: Client, side: Side, tmp_path):
    (tmp_path / "train.py").write_text("")
    with pytest.raises(Refused):
        client.runs.submit("Fraud!", "fraud-1", script=tmp_path / "train.py")
    assert side.gone("ConfigMap", "fraud-1-script")


def test_two_trainers_are_a_mistake(client: Client):
    with pytest.raises(ValueError, match="name one trainer"):
        client.runs.submit("fraud", task="regression", image="i")


def test_runs_are_filtered(client: Client, side: Side):
    run(side, "good", {"accuracy": "0.95"}, parameters={"max_depth": "6"})
    run(side, "poor", {"accuracy": "0.5"}, parameters={"max_depth": "2"})
    run(side, "bad", reason="Failed")
    run(side, "going", reason="Training")

    def names(text: str, **more) -> set[str]:
        return {each.name for each in client.runs.list(filter=text, **more)}

    assert names("") == {"good", "poor", "bad", "going"}
    assert names("metrics.accuracy > 0.9") == {"good"}
    assert names("metrics.accuracy >= 0.5 and parameters.max_depth = 2") == {"poor"}
    assert names("failed = true") == {"bad"}
    assert names("running = true, experiment = fraud") == {"going"}
    assert names("reason != Succeeded") == {"bad", "going"}
    assert names("name ~ OO") == {"good", "poor"}
    assert names("", experiment="other") == set()
    assert len(client.runs.list(max_results=2)) == 2
    with pytest.raises(ValueError, match="a filter has no name colour"):
        names("colour = red")


def test_a_run_that_failed_says_why_when_it_is_waited_for(client: Client, side: Side):
    run(side, "bad", reason="Failed")
    with pytest.raises(Failed, match="Failed: words"):
        client.runs.get("bad").wait(120)


def test_a_run_without_pods_has_no_log_and_says_so(client: Client, side: Side):
    run(side, "done")
    with pytest.raises(NotFound, match="has no pod any more"):
        list(client.runs.get("done").logs())


def test_suspending_is_one_field(client: Client, side: Side):
    run(side, "r", reason="Training")
    assert client.runs.suspend("r").spec.suspend
    assert not client.runs.resume("r").spec.suspend


# --- models ---------------------------------------------------------------------------------------
def version(name: str, **more):
    return {"name": name, **SEEN, **more}


def test_a_version_is_declared_in_a_model_that_is_made_for_it(client: Client, side: Side):
    def register(there: Side) -> None:
        there.status(
            "RegisteredModel",
            "fraud",
            "Registered",
            ready=True,
            versions=[version("v1", trainingRun="fraud-1")],
        )

    with side.meanwhile("RegisteredModel", "fraud", register):
        made = client.models.register("fraud", "trainingruns/fraud-1", "v1", {"team": "risk"})
    assert made.name == "v1"
    assert made.registered
    assert side.get("RegisteredModel", "fraud")["spec"]["versions"] == {
        "v1": {"trainingRun": "fraud-1", "tags": {"team": "risk"}}
    }


def test_a_second_version_leaves_the_first_alone(client: Client, side: Side):
    side.ours(
        "RegisteredModel",
        "fraud",
        {"versions": {"v1": {"runId": "abc"}}, "stages": {"production": {}}},
    )
    client.models.register("fraud", "runs:/def/best", "v2", seconds=0)
    spec = side.get("RegisteredModel", "fraud")["spec"]
    assert spec["versions"] == {"v1": {"runId": "abc"}, "v2": {"runId": "def", "path": "best"}}
    assert "production" in spec["stages"]


def test_a_version_cannot_be_declared_again_as_another(client: Client, side: Side):
    side.ours("RegisteredModel", "fraud", {"versions": {"v1": {"runId": "abc"}}})
    with pytest.raises(Refused, match=r"a version is immutable|name exactly one source"):
        client.models.register("fraud", "s3://bucket/other", "v1")
    with pytest.raises(ValueError, match="is not a source"):
        client.models.register("fraud", "http://x", "v1")


def test_a_version_that_cannot_be_registered_is_raised_though_the_model_is_ready(
    client: Client, side: Side
):
    def refuse(there: Side) -> None:
        why = {
            "reason": "ArtifactMissing",
            "message": "There is no MLmodel file below s3://bucket/none.",
            "needsAction": True,
        }
        bad = {"name": "v1", "uri": "s3://bucket/none", "blocked": why}
        there.status("RegisteredModel", "fraud", "Registered", ready=True, versions=[bad])

    with side.meanwhile("RegisteredModel", "fraud", refuse), pytest.raises(Failed) as caught:
        client.models.register("fraud", "s3://bucket/none", "v1")
    assert caught.value.reason == "ArtifactMissing"


def test_a_version_that_somebody_else_has_is_not_taken_for_it(client: Client, side: Side):
    def taken(there: Side) -> None:
        there.status(
            "RegisteredModel",
            "fraud",
            "Registered",
            ready=True,
            versions=[version("v1", trainingRun="other")],
        )

    with (
        side.meanwhile("RegisteredModel", "fraud", taken),
        pytest.raises(Failed, match="VersionTaken"),
    ):
        client.models.register("fraud", "trainingruns/fraud-1", "v1")


def model(side: Side, stages=None, **status) -> None:
    side.ours(
        "RegisteredModel",
        "fraud",
        {"stages": stages or {"production": {"version": "v1"}}, "versions": {"v1": {"runId": "a"}}},
    )
    side.status(
        "RegisteredModel",
        "fraud",
        "Serving",
        ready=True,
        versions=[version("v1"), version("v2")],
        **status,
    )


def test_a_promotion_is_one_patch_and_is_followed_to_its_end(client: Client, side: Side):
    model(side)
    seen = []

    def promote(there: Side) -> None:
        def asked():
            return (
                there.get("RegisteredModel", "fraud")["spec"]["stages"]["production"].get("version")
                == "v2"
            )

        until(asked, "it is asked for")
        going = {
            "production": {
                "version": "v1",
                "desired": "v2",
                "desiredReplicas": 2,
                "readyReplicas": 1,
            }
        }
        there.status(
            "RegisteredModel", "fraud", "Promoting", "production: v2 comes up.", stages=going
        )
        until(lambda: seen and seen[-1].reason == "Promoting", "it is seen")
        done = {"production": {"version": "v2", "desired": "v2"}}
        there.status(
            "RegisteredModel", "fraud", "Serving", ready=True, also={"Synced": True}, stages=done
        )

    with side.meanwhile("RegisteredModel", "fraud", promote):
        after = client.models.set_stage("fraud", "v2", "production", seconds=180, seen=seen.append)
    assert after.stages() == {"production": "v2"}
    assert {"Promoting", "Serving"} <= {each.reason for each in seen}


def test_a_promotion_that_is_rejected_is_raised_with_why(client: Client, side: Side):
    model(side)

    def refuse(there: Side) -> None:

        until(
            lambda: there.get("RegisteredModel", "fraud")["metadata"]["generation"] > 1,
            "it is asked for",
        )
        blocked = {
            "reason": "ServingFailed",
            "message": "v2 was rejected. It cannot be loaded.",
            "needsAction": True,
        }
        stage = {"version": "v1", "desired": "v2", "blocked": blocked}
        there.status(
            "RegisteredModel",
            "fraud",
            "ServingFailed",
            "in other words",
            ready=False,
            stages={"production": stage},
        )

    with side.meanwhile("RegisteredModel", "fraud", refuse), pytest.raises(Failed) as caught:
        client.models.set_stage("fraud", "v2", "production", seconds=180)
    assert (caught.value.reason, caught.value.message) == (
        "ServingFailed",
        "v2 was rejected. It cannot be loaded.",
    )


def test_a_promotion_that_another_user_supersedes_ends_at_once(client: Client, side: Side):
    model(side)

    def other(there: Side) -> None:
        until(
            lambda: there.get("RegisteredModel", "fraud")["metadata"]["generation"] > 1,
            "it is asked for",
        )
        there.patch(
            "RegisteredModel", "fraud", {"spec": {"stages": {"production": {"version": "v1"}}}}
        )

    with (
        side.meanwhile("RegisteredModel", "fraud", other),
        pytest.raises(Failed, match=r"asked for v1\.") as caught,
    ):
        client.models.set_stage("fraud", "v2", "production", seconds=180)
    assert caught.value.reason == "Superseded"


def serving(image: str, **more) -> dict:
    runtime = {"image": image, "revision": 1, "identity": "0a1b2c3d"}
    return {
        "production": {
            "version": "v1",
            "desired": "v1",
            "digest": SEEN["digest"],
            "runtime": runtime,
        }
        | more
    }


def test_a_refresh_raises_attempt_and_waits_for_the_operators_runtime(client: Client, side: Side):
    model(side, stages={"production": {"version": "v1"}})
    operator = {"operatorRuntime": {"image": "runtime:2", "revision": 1}, "also": {"Synced": True}}
    side.status(
        "RegisteredModel", "fraud", "Serving", ready=True, stages=serving("runtime:1"), **operator
    )

    def asked(there: Side) -> int:
        return int(
            there.get("RegisteredModel", "fraud")["spec"]["stages"]["production"].get("attempt", 0)
        )

    def refresh(there: Side) -> None:
        until(lambda: asked(there) == 1, "a refresh is asked for")
        there.status(
            "RegisteredModel",
            "fraud",
            "Serving",
            ready=True,
            stages=serving("runtime:2", attempt=1),
            **operator,
        )

    with side.meanwhile("RegisteredModel", "fraud", refresh):
        after = client.models.refresh("fraud", "production", seconds=180)
    assert after.status.stages["production"].runtime.image == "runtime:2"
    assert (
        client.models.refresh("fraud").metadata.generation == after.metadata.generation
    )  # it is current: nothing is written
    with pytest.raises(NotFound, match="has no stage canary"):
        client.models.refresh("fraud", "canary")


def test_trouble_of_another_stage_is_not_this_ones(client: Client, side: Side):
    model(side, {"production": {"version": "v1"}, "staging": {"version": "v9"}})

    def half(there: Side) -> None:

        until(
            lambda: there.get("RegisteredModel", "fraud")["metadata"]["generation"] > 1,
            "it is asked for",
        )
        there.status(
            "RegisteredModel",
            "fraud",
            "VersionUnknown",
            "staging: nothing declares the version v9.",
            ready=False,
            also={"Synced": True},
            stages={
                "production": {"version": "v2", "desired": "v2"},
                "staging": {
                    "desired": "v9",
                    "blocked": {
                        "reason": "VersionUnknown",
                        "message": "Nothing declares v9.",
                        "needsAction": True,
                    },
                },
            },
        )

    with side.meanwhile("RegisteredModel", "fraud", half):
        assert (
            client.models.set_stage("fraud", "v2", "production", seconds=180).stages()["production"]
            == "v2"
        )
    with pytest.raises(Failed, match="VersionUnknown: Nothing declares v9"):
        client.models.set_stage("fraud", "v9", "staging", seconds=120)


def test_who_may_not_patch_is_told_what_to_ask_for(side: Side, as_user, tmp_path):
    model(side)
    path = side.user(
        "bob",
        [{"apiGroups": ["modelyard.io"], "resources": ["*"], "verbs": ["get", "list", "watch"]}],
        tmp_path,
    )
    with Client(side.namespace, kubeconfig=str(path)) as bob, pytest.raises(NotAllowed) as caught:
        bob.models.set_stage("fraud", "v2", "production")
    assert (caught.value.verb, caught.value.resource) == ("patch", "registeredmodels")


def test_a_version_is_found_by_its_name_its_stage_or_as_the_latest(client: Client, side: Side):
    model(side, stages={"production": {"version": "v1"}})
    side.status(
        "RegisteredModel",
        "fraud",
        "Serving",
        ready=True,
        stages={"production": {"version": "v1", "desired": "v1"}},
        versions=[
            version("v1"),
            version("v2"),
            {"name": "v3", "blocked": {"reason": "WaitingForVersion", "message": "It waits."}},
        ],
    )
    assert client.models.get("fraud", "production").name == "v1"
    assert client.models.get("fraud", "v3").name == "v3"
    assert client.models.get("fraud", "latest").name == "v2"
    assert [each.name for each in client.models.versions("fraud")] == ["v1", "v2", "v3"]
    with pytest.raises(NotFound, match="Versions: v1, v2, v3; stages: production"):
        client.models.get("fraud", "v4")


def test_a_stage_that_serves_nothing_cannot_be_asked(client: Client, side: Side):
    model(side)
    with pytest.raises(NotFound, match="Nothing serves production"):
        client.models.predict("fraud", [[1.0]])
    side.patch(
        "RegisteredModel",
        "fraud",
        {"spec": {"stages": {"production": {"serving": {"replicas": 0}}}}},
    )
    side.patch(
        "RegisteredModel",
        "fraud",
        {"status": {"stages": {"production": {"version": "v1"}}}},
        "/status",
    )
    with pytest.raises(
        NotFound,
        match=r"v1 is effective in production of \S+/fraud, and has no pods: its serving\.replicas",
    ):
        client.models.predict("fraud", [[1.0]])


def test_what_is_not_registered_cannot_be_downloaded(client: Client, side: Side, tmp_path):
    side.ours("RegisteredModel", "fraud", {"versions": {"v1": {"runId": "a"}}})
    side.status(
        "RegisteredModel", "fraud", "Registering", versions=[{"name": "v1", "blocked": WAITS}]
    )
    with pytest.raises(Failed, match="The run has not ended yet"):
        client.models.download("fraud", tmp_path, "v1")
