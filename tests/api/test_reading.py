"""How users read the kinds: explanations, columns, defaults, status. On a real API server, with
kubectl for its own output.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from modelyard.api.kinds import KINDS
from tests.api.objects import DIGEST, Manifest, approval, experiment, model, training_run
from tests.harness import Cluster, manifests

ROOT = Path(__file__).parents[2]
MODELS = {kind.resource.KIND: kind.resource for kind in KINDS}
NOW = "2026-01-01T00:00:00Z"


def ready(status: str, reason: str) -> Manifest:
    condition = {
        "type": "Ready",
        "status": status,
        "reason": reason,
        "message": "Because.",
        "observedGeneration": 1,
        "lastTransitionTime": NOW,
    }
    return {"observedGeneration": 1, "conditions": [condition]}


STORED = [
    (
        experiment("seen", objective={"metric": "accuracy"}),
        ready("True", "Synced")
        | {
            "runs": {"running": 1, "finished": 7, "failed": 0, "deleted": 0},
            "bestRun": {
                "trainingRun": "fraud-003",
                "runId": "abc",
                "metric": "accuracy",
                "value": "0.941",
            },
        },
    ),
    (
        training_run("seen"),
        ready("False", "Training")
        | {
            "attempt": 2,
            "progress": {"percent": 40, "message": "40% done."},
            "registered": {"model": "fraud", "version": "v3"},
            "metrics": [{"name": "accuracy", "value": "0.9"}],
            "model": {
                "uri": "s3://b/m",
                "digest": DIGEST,
                "bytes": 5_000_000_000,
                "flavor": "xgboost",
            },
        },
    ),
    (
        model("seen", stages={"production": {"version": "v3"}}),
        ready("True", "Serving")
        | {
            "summary": "production=v3 staging=v4",
            "stages": {
                "production": {
                    "version": "v3",
                    "url": "http://seen-production.default",
                    "readyReplicas": 2,
                }
            },
        },
    ),
    (approval("seen"), ready("True", "Counts")),
]


@pytest.fixture(scope="module")
def seen(cluster: Cluster) -> Iterator[Cluster]:
    """One object of each kind, with a status as the operator writes it."""
    for manifest, status in STORED:
        assert cluster.create(manifest).ok
        answer = cluster.write_status(manifest["kind"], "seen", status)
        assert answer.ok, answer.message
    yield cluster
    for manifest, _ in STORED:
        cluster.delete(manifest["kind"], "seen")


COLUMNS = {
    "mlexp": (
        ["NAME", "READY", "REASON", "RUNS", "BEST", "AGE"],
        ["seen", "True", "Synced", "7", "0.941"],
    ),
    "mlrun": (
        ["NAME", "EXPERIMENT", "ATTEMPT", "READY", "REASON", "PROGRESS", "MODEL", "AGE"],
        ["seen", "fraud", "2", "False", "Training", "40", "fraud"],
    ),
    "mlmodel": (
        ["NAME", "STAGES", "PRODUCTION", "PODS", "READY", "REASON", "AGE"],
        ["seen", "production=v3", "staging=v4", "v3", "2", "True", "Serving"],
    ),
    "mlapproval": (
        ["NAME", "MODEL", "STAGE", "VERSION", "DECISION", "APPROVER", "READY", "REASON", "AGE"],
        ["seen", "fraud", "production", "v3", "Approve", "bob@example.com", "True", "Counts"],
    ),
}


@pytest.mark.parametrize("short", COLUMNS)
def test_columns_show_whether_a_model_is_serving(short: str, seen: Cluster):
    head, row = seen.kubectl("get", short).stdout.splitlines()
    assert head.split() == COLUMNS[short][0]
    assert row.split()[:-1] == COLUMNS[short][1]


GATED = ready("False", "GatesPending") | {
    "summary": "production=v2->v3",
    "stages": {
        "production": {
            "version": "v2",
            "desired": "v3",
            "readyReplicas": 2,
            "judged": {"version": "v3", "digest": DIGEST},
            "gates": [
                {
                    "name": "quality",
                    "verdict": "Pending",
                    "message": "waits for the metric f1",
                    "time": NOW,
                    "gateHash": "0",
                }
            ],
        }
    },
}


def test_a_promotion_that_waits_for_a_gate_still_shows_the_serving_version(cluster: Cluster):
    stage = {
        "version": "v3",
        "gates": [{"name": "quality", "metric": {"name": "f1", "atLeast": "0.9"}}],
    }
    assert cluster.create(model("gated", stages={"production": stage})).ok
    try:
        answer = cluster.write_status("RegisteredModel", "gated", GATED)
        assert answer.ok, answer.message
        _, row = cluster.kubectl("get", "mlmodel", "gated").stdout.splitlines()
        assert row.split()[:-1] == [
            "gated",
            "production=v2->v3",
            "v2",
            "2",
            "False",
            "GatesPending",
        ]
        described = " ".join(cluster.kubectl("describe", "mlmodel", "gated").stdout.split())
        assert "Message: waits for the metric f1 Name: quality" in described
        assert "Verdict: Pending" in described
    finally:
        cluster.delete("RegisteredModel", "gated")


@pytest.mark.parametrize("short", COLUMNS)
def test_wide_columns_show_the_message(short: str, seen: Cluster):
    said = seen.kubectl("get", short, "-o", "wide").stdout
    assert "MESSAGE" in said
    assert "Because." in said


def test_the_category_lists_all_kinds(seen: Cluster):
    names = set(seen.kubectl("get", "modelyard", "-o", "name").stdout.split())
    assert names == {f"{kind.resource.KIND.lower()}.modelyard.io/seen" for kind in KINDS}


def test_waiting_for_ready_ends(seen: Cluster):
    assert (
        "condition met"
        in seen.kubectl("wait", "mlmodel/seen", "--for=condition=Ready", "--timeout=60s").stdout
    )


def test_runs_are_found_by_their_experiment(seen: Cluster):
    assert seen.kubectl(
        "get", "mlrun", "--field-selector", "spec.experiment=fraud", "-o", "name"
    ).stdout.strip()
    assert not seen.kubectl(
        "get", "mlrun", "--field-selector", "spec.experiment=other", "-o", "name"
    ).stdout.strip()


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("mlexp", "An experiment in MLflow, its prefix in S3, and the retention of its runs."),
        (
            "mlexp.spec.retention.keepBest",
            "How many runs are kept whatever their age:",
        ),
        (
            "mlrun.spec.trainer",
            "The trainer: exactly one of xgboost, script, container and external.",
        ),
        ("mlrun.spec.dataset.digest", "sha256:<hex> of the file's bytes"),
        ("mlrun.status.failure.log", "The last lines of the failing container."),
        ("mlmodel.spec.stages.version", "The version that the stage should serve."),
        ("mlmodel.spec.drift", "Revert: undo the change and report it. Warn: only report it."),
        ("mlmodel.status.conditions", "Ready, Reconciling, Stalled and those of the kind."),
    ],
)
def test_explain_describes_a_field(path: str, words: str, cluster: Cluster):
    said = " ".join(cluster.kubectl("explain", path).stdout.split())
    assert words in said


def test_defaults_show_in_the_object(cluster: Cluster):
    run = cluster.check(training_run()).body["spec"]
    assert run["trainer"] == {"xgboost": {"task": "classification"}}
    assert (
        run["workers"],
        run["backoffLimit"],
        run["suspend"],
        run["ttlSecondsAfterFinished"],
    ) == (1, 0, False, 86400)
    shown = cluster.check(model(stages={"production": {"version": "v1", "serving": {}}})).body[
        "spec"
    ]
    stage = {"version": "v1", "attempt": 0, "serving": {"replicas": 1}}
    assert shown == {
        "drift": "Revert",
        "dryRun": False,
        "deletionPolicy": "Retain",
        "stages": {"production": stage},
    }


def test_a_stored_status_has_no_defaults(cluster: Cluster):
    stored = cluster.create(training_run("fresh"))
    try:
        assert stored.ok, stored.message
        assert "status" not in stored.body
        written = cluster.write_status("TrainingRun", "fresh", {"observedGeneration": 1})
        assert written.body["status"] == {"observedGeneration": 1}
    finally:
        cluster.delete("TrainingRun", "fresh")


def test_spec_and_status_are_written_separately(seen: Cluster):
    answer = seen.request(
        "PATCH",
        seen.path("RegisteredModel", "seen"),
        {"status": {"summary": "mine"}},
        "application/merge-patch+json",
    )
    assert answer.ok
    assert answer.body["status"]["summary"] == "production=v3 staging=v4"
    answer = seen.request(
        "PATCH",
        f"{seen.path('RegisteredModel', 'seen')}/status",
        {"spec": {"description": "theirs"}},
        "application/merge-patch+json",
    )
    assert answer.ok
    assert "description" not in answer.body["spec"]


def within(part: object, whole: object) -> bool:
    """Return whether everything in one value is also in the other, which may have more fields."""
    if isinstance(part, dict) and isinstance(whole, dict):
        return all(key in whole and within(value, whole[key]) for key, value in part.items())
    return part == whole


@pytest.mark.parametrize("kind", MODELS)
def test_the_operator_reads_stored_objects(kind: str, seen: Cluster):
    stored = seen.get(kind, "seen").body
    read = MODELS[kind].parse(stored)
    assert read.status.is_true("Ready") == (stored["status"]["conditions"][0]["status"] == "True")
    again = json.loads(read.model_dump_json(by_alias=True, exclude_none=True))
    assert within(stored["spec"], again["spec"])


SAMPLES = [
    pytest.param(
        document, id=f"{path.relative_to(ROOT / 'manifests')}: {document['metadata'].get('name')}"
    )
    for path in sorted((ROOT / "manifests").rglob("*.yaml"))
    for document in manifests(path)
    if document.get("apiVersion") == "modelyard.io/v1alpha1"
]


def test_every_kind_has_a_sample():
    assert {sample.values[0]["kind"] for sample in SAMPLES} == set(MODELS)


@pytest.mark.parametrize("sample", SAMPLES)
def test_samples_are_valid(sample: Manifest, cluster: Cluster):
    placed = sample | {"metadata": sample["metadata"] | {"namespace": "default"}}
    answer = cluster.check(placed)
    assert answer.ok, answer.message
    MODELS[sample["kind"]].parse(answer.body)
