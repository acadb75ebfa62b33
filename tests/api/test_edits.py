"""Which changes are allowed after creation, and the message for others. On a real API server."""

from collections.abc import Iterator

import pytest

from tests.api.objects import DIGEST, Manifest, approval, experiment, model, training_run
from tests.harness import Cluster

RECORD = (
    "a TrainingRun is immutable except for suspend, ttlSecondsAfterFinished and deletionPolicy:"
    " create another one to train again"
)
IMMUTABLE = "a version is immutable: declare another one"

FULL_RUN = training_run(
    parameters={"max_depth": "6"},
    dataset={"name": "cards", "uri": "s3://data/cards.parquet", "digest": DIGEST},
    resources={"requests": {"cpu": "1"}},
    nodeSelector={"pool": "train"},
    tolerations=[{"key": "gpu", "operator": "Exists"}],
    activeDeadlineSeconds=600,
    backoffLimit=1,
    register={"model": "fraud", "version": "v1"},
)
BARE_RUN = training_run("bare")
EXTERNAL_RUN = training_run(
    "notebook",
    trainer={"external": {}},
    dataset={"name": "cards", "uri": "s3://data/cards.parquet", "digest": DIGEST},
    activeDeadlineSeconds=3600,
    register={"model": "fraud", "version": "v1"},
)
MODEL = model(
    versions={
        "v1": {"trainingRun": "fraud-001"},
        "v2": {"runId": "abc", "path": "model", "tags": {"note": "x"}},
    },
    stages={"staging": {"version": "v2"}, "production": {"version": "v1"}},
)

ONCE = "an approval is immutable: delete it to withdraw it, and create another one"
APPROVAL_EDITS = {
    "comment": ({"comment": "better words"}, ONCE),
    "decision": ({"decision": "Reject"}, ONCE),
    "digest": ({"digest": f"sha256:{'f' * 64}"}, ONCE),
    "approver": ({"approver": "eve@example.com"}, ONCE),
    "the same": ({"decision": "Approve"}, None),
}
WHO = "needs requestedBy beside version: write your user name there"
ASKED = model(
    "asked",
    stages={
        "p": {
            "version": "v1",
            "requestedBy": "rita",
            "gates": [{"name": "people", "approvals": {}}],
        },
        "q": {"version": "v1"},
    },
)
ASKED_EDITS = {
    "who asks": ({"stages": {"p": {"requestedBy": None}}}, WHO),
    "version and who asks": ({"stages": {"p": {"version": None, "requestedBy": None}}}, None),
    "another version": ({"stages": {"p": {"version": "v2", "requestedBy": "fred"}}}, None),
    "a gate where nobody is named": (
        {"stages": {"q": {"gates": [{"name": "people", "approvals": {"atLeast": 2}}]}}},
        WHO,
    ),
    "a gate that asks no people": (
        {"stages": {"q": {"gates": [{"name": "pipeline", "external": {}}]}}},
        None,
    ),
}

RUN_EDITS = {
    "experiment": ({"experiment": "other"}, RECORD),
    "trainer": ({"trainer": {"xgboost": {"task": "regression"}}}, RECORD),
    "another trainer": ({"trainer": {"xgboost": None, "script": {"configMap": "train"}}}, RECORD),
    "parameter": ({"parameters": {"max_depth": "7"}}, RECORD),
    "another parameter": ({"parameters": {"eta": "0.1"}}, RECORD),
    "no parameters": ({"parameters": None}, RECORD),
    "dataset": ({"dataset": {"name": "others"}}, RECORD),
    "digest": ({"dataset": {"digest": None}}, RECORD),
    "resources": ({"resources": {"requests": {"cpu": "2"}}}, RECORD),
    "node selector": ({"nodeSelector": {"pool": "other"}}, RECORD),
    "tolerations": ({"tolerations": None}, RECORD),
    "secrets": ({"imagePullSecrets": ["registry"]}, RECORD),
    "retries": ({"backoffLimit": 2}, RECORD),
    "deadline": ({"activeDeadlineSeconds": 900}, RECORD),
    "registration": ({"register": {"version": "v2"}}, RECORD),
    "no registration": ({"register": None}, RECORD),
    "suspend": ({"suspend": True}, None),
    "deletion policy": ({"deletionPolicy": "Delete"}, None),
    "time to live": ({"ttlSecondsAfterFinished": 60}, None),
    "time to live, back to the default": ({"ttlSecondsAfterFinished": None}, None),
    "the default, written out": (
        {"trainer": {"xgboost": {"task": "classification"}}, "workers": 1},
        None,
    ),
}

BARE_EDITS = {
    "parameters added": ({"parameters": {"max_depth": "6"}}, RECORD),
    "dataset added": ({"dataset": {"name": "cards"}}, RECORD),
    "registration added": ({"register": {"model": "fraud", "version": "v1"}}, RECORD),
    "deadline added": ({"activeDeadlineSeconds": 900}, RECORD),
    "resources added": ({"resources": {"limits": {"cpu": "1"}}}, RECORD),
}

EXTERNAL_EDITS = {
    "suspend": ({"suspend": True}, "an external run cannot be suspended"),
    "a trainer": ({"trainer": {"external": None, "xgboost": {}}}, RECORD),
    "deadline": ({"activeDeadlineSeconds": 60}, RECORD),
    "deletion policy": ({"deletionPolicy": "Delete"}, None),
}

MODEL_EDITS = {
    "source of a version": ({"versions": {"v1": {"trainingRun": "fraud-002"}}}, IMMUTABLE),
    "source of another sort": (
        {"versions": {"v1": {"trainingRun": None, "runId": "abc"}}},
        IMMUTABLE,
    ),
    "path of a version": ({"versions": {"v2": {"path": "other"}}}, IMMUTABLE),
    "tags of a version": ({"versions": {"v2": {"tags": {"note": "y"}}}}, IMMUTABLE),
    "another version": ({"versions": {"v3": {"uri": "s3://models/fraud"}}}, None),
    "a version less": ({"versions": {"v1": None}}, None),
    "promotion": ({"stages": {"production": {"version": "v2"}}}, None),
    "clearing": ({"stages": {"production": {"version": None}}}, None),
    "removing a stage": ({"stages": {"staging": None}}, None),
    "replicas": ({"stages": {"production": {"serving": {"replicas": 2}}}}, None),
    "a stage that MLflow reserves": (
        {"stages": {"latest": {"version": "v1"}}},
        "MLflow reserves the aliases",
    ),
    "everything": ({"versions": None, "stages": None, "description": "old"}, None),
}

EXPERIMENT_EDITS = {
    "everything may change": (
        {
            "description": "x",
            "tags": {"a": "b"},
            "objective": {"metric": "f1"},
            "retention": {"runs": "1d"},
            "deletionPolicy": "Delete",
        },
        None,
    ),
    "deletion policy that there is not": ({"deletionPolicy": "Keep"}, "supported values"),
}


def rows(base: Manifest, table: dict[str, tuple[Manifest, str | None]]) -> list[object]:
    return [
        pytest.param(base, edit, words, id=f"{base['kind']}: {name}")
        for name, (edit, words) in table.items()
    ]


@pytest.fixture
def stored(base: Manifest, cluster: Cluster) -> Iterator[Manifest]:
    """The object, created for one test."""
    answer = cluster.create(base)
    assert answer.ok, answer.message
    yield answer.body
    cluster.delete(base["kind"], base["metadata"]["name"])


@pytest.mark.parametrize(
    ("base", "edit", "words"),
    [
        *rows(FULL_RUN, RUN_EDITS),
        *rows(BARE_RUN, BARE_EDITS),
        *rows(EXTERNAL_RUN, EXTERNAL_EDITS),
        *rows(MODEL, MODEL_EDITS),
        *rows(experiment(), EXPERIMENT_EDITS),
        *rows(approval(), APPROVAL_EDITS),
        *rows(ASKED, ASKED_EDITS),
    ],
)
def test_an_edit_is_allowed_or_refused_with_a_message(
    base: Manifest, edit: Manifest, words: str | None, stored: Manifest, cluster: Cluster
):
    answer = cluster.patch(base["kind"], stored["metadata"]["name"], {"spec": edit})
    if words is None:
        assert answer.ok, answer.message
    else:
        assert not answer.ok
        assert words in answer.message


@pytest.mark.parametrize("base", [FULL_RUN, MODEL, experiment()], ids=lambda base: base["kind"])
def test_the_same_object_applied_again_changes_nothing(
    base: Manifest, stored: Manifest, cluster: Cluster
):
    first = cluster.apply(base)
    again = cluster.apply(base)
    assert again.ok, again.message
    assert (
        again.body["metadata"]["generation"]
        == first.body["metadata"]["generation"]
        == stored["metadata"]["generation"]
    )
    assert again.body["metadata"]["resourceVersion"] == first.body["metadata"]["resourceVersion"]


@pytest.mark.parametrize("base", [MODEL], ids=["RegisteredModel"])
def test_null_clears_a_stage_however_it_is_written(
    base: Manifest, stored: Manifest, cluster: Cluster
):
    name = stored["metadata"]["name"]
    cleared = model(
        versions=base["spec"]["versions"],
        stages={"staging": {"version": None}, "production": {"version": "v1"}},
    )
    ways = (
        lambda: cluster.apply(cleared),
        lambda: cluster.patch(
            "RegisteredModel", name, {"spec": {"stages": {"staging": {"version": None}}}}
        ),
        lambda: cluster.replace(
            cluster.get("RegisteredModel", name).body | {"spec": cleared["spec"]}
        ),
    )
    for clear in ways:
        assert cluster.patch(
            "RegisteredModel", name, {"spec": {"stages": {"staging": {"version": "v2"}}}}
        ).ok
        answer = clear()
        assert answer.ok, answer.message
        assert answer.body["spec"]["stages"]["staging"].get("version") is None


def test_a_refused_edit_leaves_the_object_unchanged(cluster: Cluster):
    before = cluster.create(BARE_RUN).body
    try:
        assert not cluster.patch(
            "TrainingRun", "bare", {"spec": {"suspend": True, "experiment": "other"}}
        ).ok
        assert cluster.get("TrainingRun", "bare").body == before
    finally:
        cluster.delete("TrainingRun", "bare")
