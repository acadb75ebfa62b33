"""`client.models` on a real API server; the other side writes the operator's status."""

from __future__ import annotations

import pytest

from modelyard.client.client import Client
from modelyard.client.errors import Failed, NotAllowed, NotFound, Refused
from tests.client.side import Side
from tests.harness import until

WAITS = {"reason": "WaitingForVersion", "message": "The run has not ended yet."}
SEEN = {"mlflowVersion": "1", "digest": "sha256:" + "0" * 64, "uri": "s3://bucket/risk/m"}


def version(name: str, **more):
    return {"name": name, **SEEN, **more}


def test_register_creates_the_model_if_it_does_not_exist(client: Client, side: Side):
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


def test_a_version_cannot_be_redeclared_with_another_source(client: Client, side: Side):
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


def test_a_version_registered_from_another_source_is_version_taken(client: Client, side: Side):
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


def test_a_rejected_promotion_is_raised_with_its_reason(client: Client, side: Side):
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


def test_a_blocked_stage_does_not_fail_a_change_of_another_stage(client: Client, side: Side):
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


def test_a_missing_right_is_named_by_verb_and_resource(side: Side, as_user, tmp_path):
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


def test_predicting_with_a_stage_that_serves_nothing_is_not_found(client: Client, side: Side):
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


def test_a_version_that_is_not_registered_cannot_be_downloaded(
    client: Client, side: Side, tmp_path
):
    side.ours("RegisteredModel", "fraud", {"versions": {"v1": {"runId": "a"}}})
    side.status(
        "RegisteredModel", "fraud", "Registering", versions=[{"name": "v1", "blocked": WAITS}]
    )
    with pytest.raises(Failed, match="The run has not ended yet"):
        client.models.download("fraud", tmp_path, "v1")
