"""Decisions of the commands, on plain values: when a change is finished, the previous version,
requests, purges.
"""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from modelyard.api.training_run import TrainingRun
from modelyard.cli.commands import changing, doctor, purge, train
from modelyard.cli.commands.compare import facts
from modelyard.cli.commands.manifest import TrainOptions, training
from modelyard.cli.options import Target, parts
from modelyard.cli.views import pictures
from modelyard.cli.views.doctor import Verdict
from modelyard.cli.views.history import before as held_before
from modelyard.client.errors import Failed
from modelyard.client.progress import Progress, State
from modelyard.kube.policies import NAMES
from tests.cli.objects import (
    NOW,
    before,
    condition,
    ended_status,
    failed_status,
    held,
    holds,
    model,
    progressing,
    run,
    served,
    version,
)
from tests.cli.stage_screens import THREE
from tests.cli.test_screens import COMPARED


# --- rollback -------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("now", "previous", "held_by", "expected"),
    [
        ("v2", "v1", {}, "v1"),
        ("v1", "v2", {"v2": 1, "v3": 2}, "v2"),
        (None, "v1", {}, "v1"),
        ("v1", "v1", {}, None),
        ("v1", "v1", {"v2": 3, "v3": 2}, "v3"),
        ("v1", None, {"v1": 1, "v2": 3}, "v2"),
        ("v1", None, {}, None),
        (None, None, {}, None),
    ],
)
def test_the_previous_version(
    now: str | None, previous: str | None, held_by: dict[str, int], expected: str | None
):
    """It is `previous`; otherwise the version that left the stage last."""
    stage = (held(now, before(minutes=1)) if now else {}) | (
        {"previous": served(previous)} if previous else {}
    )
    known = {
        name: [
            holds("staging", before(hours=9)),
            holds("production", before(hours=9), before(hours=ago)),
        ]
        for name, ago in held_by.items()
    }
    versions = [version(name, held=known.get(name, [])) for name in ("v1", "v2", "v3")]
    assert (
        held_before(model({"production": stage}, versions=versions, wanted=now), "production")
        == expected
    )


def test_an_automatically_rolled_back_version_is_no_rollback_target():
    rejected = {
        "version": "v2",
        "digest": "sha256:b",
        "specHash": "0" * 16,
        "reason": "RolledBack",
        "message": "x",
        "time": before(hours=1),
    }
    versions = [
        version(name, held=[holds("production", before(hours=9), before(hours=ago))])
        for name, ago in (("v2", 1), ("v3", 5))
    ]
    stage = held("v1", before(minutes=1)) | {"rejected": [rejected]}
    assert (
        held_before(model({"production": stage}, versions=versions, wanted="v1"), "production")
        == "v3"
    )


# --- refresh --------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        ({"production": "v3 is starting."}, "production: v3 is starting."),
        ({"production": "1 of 2 pods are ready"}, "production: 1 of 2 pods are ready."),
        ({"production": ""}, "production: it is under way."),
        ({"production": "a.", "staging": "b"}, "production: a.\nstaging: b."),
    ],
)
def test_the_progress_of_changes_is_a_sentence_for_each_stage(
    messages: dict[str, str], expected: str
):
    drawing, plain = changing.draw_progress(
        {stage: Progress(State.UNDER_WAY, message) for stage, message in messages.items()}
    )
    assert plain == expected
    assert [line.split()[0] for line in drawing.plain.splitlines()] == list(messages)


# --- train ----------------------------------------------------------------------------------------
def test_a_run_is_finished_when_its_model_is_registered():
    assert train.result(run()) is None
    assert train.result(run(status=ended_status())) is True
    registering = [
        *progressing("Registering", "Waits for the model."),
        condition("Succeeded", True, "Succeeded"),
    ]
    assert train.result(run(status=ended_status(conditions=registering))) is None


def test_a_failed_run_ends_with_its_reason_and_the_end_of_its_log():
    found = train.result(run(status=failed_status()))
    assert isinstance(found, Failed)
    assert found.reason == "Failed"
    assert "KeyError: 'is_fraud'" in str(found)


def manifest(**words: Any) -> dict[str, Any]:
    return training(TrainOptions(**words)).manifest


def test_a_run_from_options():
    body = manifest(
        experiment="fraud",
        parameters=("max_depth=6", "note=a=b"),
        dataset="cards=s3://datasets/cards.csv",
        digest="sha256:" + "a" * 64,
        target="is_fraud",
        cpu="2",
        memory="4Gi",
        register="fraud@v3",
        retries=2,
        deadline=60,
    )
    assert body["metadata"] == {"generateName": "fraud-"}
    assert body["spec"] == {
        "experiment": "fraud",
        "parameters": {"max_depth": "6", "note": "a=b"},
        "dataset": {
            "name": "cards",
            "uri": "s3://datasets/cards.csv",
            "digest": "sha256:" + "a" * 64,
            "target": "is_fraud",
        },
        "trainer": {"xgboost": {}},
        "resources": {"requests": {"cpu": "2", "memory": "4Gi"}, "limits": {"memory": "4Gi"}},
        "register": {"model": "fraud", "version": "v3"},
        "backoffLimit": 2,
        "activeDeadlineSeconds": 60,
    }


GIVEN: dict[str, Any] = {
    "apiVersion": "modelyard.io/v1alpha1",
    "kind": "TrainingRun",
    "metadata": {"name": "fraud-1", "labels": {"team": "risk"}},
    "spec": {
        "experiment": "fraud",
        "parameters": {"a": "1", "b": "2"},
        "trainer": {"script": {"configMap": "code"}},
        "dataset": {"name": "cards", "uri": "s3://datasets/cards.csv"},
        "resources": {"requests": {"memory": "1Gi"}, "limits": {"memory": "2Gi"}},
    },
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "run.yaml"
    path.write_text(yaml.safe_dump(GIVEN))
    return path


def test_a_file_is_used_unchanged(file: Path):
    assert manifest(file=file) == GIVEN


def test_options_override_a_file(file: Path):
    changed = manifest(file=file, name="fraud-2", parameters=("b=3",), cpu="4", target="is_fraud")
    assert changed["metadata"] == {"name": "fraud-2", "labels": {"team": "risk"}}
    assert changed["spec"] == GIVEN["spec"] | {
        "parameters": {"a": "1", "b": "3"},
        "dataset": {"name": "cards", "uri": "s3://datasets/cards.csv", "target": "is_fraud"},
        "resources": {"requests": {"memory": "1Gi", "cpu": "4"}, "limits": {"memory": "2Gi"}},
    }


def test_a_local_script_overrides_a_file(file: Path):
    script = file.with_name("train.py")
    script.write_text("print(1)")
    changed = training(TrainOptions(file=file, script=str(script)))
    assert changed.manifest["spec"]["trainer"] == {
        "script": {"configMap": "fraud-1-script", "key": "train.py"}
    }
    assert changed.files == {"train.py": "print(1)"}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("kind: Experiment", "has 0 TrainingRuns"),
        ("kind: TrainingRun\n---\nkind: Experiment", "other objects besides the TrainingRun"),
        ("a: [", "cannot be read"),
    ],
)
def test_a_file_that_is_not_one_run_is_refused(tmp_path: Path, text: str, why: str):
    path = tmp_path / "run.yaml"
    path.write_text(text)
    with pytest.raises(typer.BadParameter, match=why):
        training(TrainOptions(file=path))


def test_targets():
    assert parts("fraud") == Target("fraud")
    assert parts("fraud@production") == Target("fraud", "production")


# --- purge ----------------------------------------------------------------------------------------
CRON_JOB: dict[str, Any] = {
    "metadata": {"name": "modelyard-purge", "namespace": "modelyard-system", "uid": "u1"},
    "spec": {
        "schedule": "@daily",
        "jobTemplate": {
            "metadata": {"labels": {"app.kubernetes.io/component": "purge"}},
            "spec": {
                "backoffLimit": 0,
                "template": {
                    "spec": {
                        "containers": [
                            {"name": "purge", "image": "i", "args": ["--older-than", "30d"]},
                            {"name": "beside"},
                        ]
                    }
                },
            },
        },
    },
}


def test_a_job_from_the_cron_job_purges_these_runs_only():
    made = purge.job(CRON_JOB, ["1" * 32, "2" * 32], "abc123", dry_run=False)
    assert made["metadata"]["name"] == "modelyard-purge-abc123"
    assert made["metadata"]["ownerReferences"][0]["uid"] == "u1"
    assert made["metadata"]["annotations"] == {"cronjob.kubernetes.io/instantiate": "manual"}
    containers = made["spec"]["template"]["spec"]["containers"]
    assert containers == [
        {"name": "purge", "image": "i", "args": ["--run-ids", f"{'1' * 32},{'2' * 32}"]},
        {"name": "beside"},
    ]
    assert made["spec"]["backoffLimit"] == 0
    assert CRON_JOB["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]["args"] == [
        "--older-than",
        "30d",
    ]


def test_a_dry_run_is_a_job_that_only_prints():
    made = purge.job(CRON_JOB, ["1" * 32], "abc123", dry_run=True)
    assert made["spec"]["template"]["spec"]["containers"][0]["args"][-1] == "--dry-run"


# --- compare --------------------------------------------------------------------------------------
def test_the_page_loads_nothing_from_elsewhere():
    text = pictures.page(COMPARED)
    assert "http" not in text
    assert "src=" not in text
    assert "<polyline" in text
    assert '<tr class="differs"><td>max_depth</td><td>4</td><td>6</td></tr>' in text


def test_the_page_shows_names_unchanged():
    side = COMPARED.left.__class__("v1", parameters={"<script>": "&"})
    text = pictures.page(COMPARED.__class__("risk/fraud", side, side))
    assert "<script>" not in text
    assert "&lt;script&gt;" in text


def test_a_png_is_drawn(tmp_path: Path):
    pictures.png(COMPARED, tmp_path / "curves.png")
    bare = COMPARED.__class__(
        "risk/fraud",
        COMPARED.left.__class__("v1", metrics={"a": 1.0}),
        COMPARED.left.__class__("v2"),
    )
    pictures.png(bare, tmp_path / "bars.png")
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in tmp_path.iterdir())


def test_without_matplotlib_a_png_says_what_to_install(tmp_path: Path):
    hide = "import sys\nsys.modules['matplotlib'] = None\n"
    draw = "from pathlib import Path\nfrom modelyard.cli.views import compare, pictures\n"
    draw += (
        "pictures.png(compare.Comparison('m', compare.Side('v1'), compare.Side('v2')),"
        f" Path({str(tmp_path / 'x')!r}))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", hide + draw], capture_output=True, text=True, check=False
    )
    assert (
        "modelyard.client.errors.Missing: A PNG needs the Python package matplotlib" in done.stderr
    )


def test_facts_of_a_version():
    there = model(versions=THREE)
    assert facts(there.status.versions[1], run(status=ended_status()))["rows"] == "2000"
    assert "data" not in facts(there.status.versions[1], None)


# --- doctor ---------------------------------------------------------------------------------------
def definition(*fields: str) -> dict[str, Any]:
    schema = {"properties": {"spec": {"properties": {name: {} for name in fields}}}}
    return {
        "spec": {
            "versions": [
                {"name": "v1alpha1", "served": True, "schema": {"openAPIV3Schema": schema}}
            ]
        }
    }


def test_fields_that_the_cluster_lacks():
    assert doctor.missing_fields(definition("a", "b"), definition("a", "c")) == ["spec.b"]
    assert doctor.missing_fields(definition("a"), definition("a", "b")) == []


def deployment(ready_replicas: int, version_: str) -> dict[str, Any]:
    labels = {"app.kubernetes.io/version": version_}
    return {
        "metadata": {"name": "modelyard", "namespace": "modelyard-system", "labels": labels},
        "status": {"readyReplicas": ready_replicas},
    }


@pytest.mark.parametrize(
    ("found", "verdict"),
    [
        ([], Verdict.BAD),
        ([deployment(0, doctor.__version__)], Verdict.BAD),
        ([deployment(1, "99.0.0")], Verdict.WARNING),
        ([deployment(1, doctor.__version__)], Verdict.GOOD),
    ],
)
def test_the_operator_is_judged_by_its_deployment(found: list[dict[str, Any]], verdict: Verdict):
    judged = doctor.operator(found)
    assert judged.verdict is verdict
    assert bool(judged.fix) is (verdict is not Verdict.GOOD)


ALL = {f"yard-{name}": None for name in NAMES}


@pytest.mark.parametrize(
    ("problems", "verdict", "words"),
    [
        (ALL, Verdict.GOOD, "all 16 are in force"),
        (
            ALL | {"yard-keep": "the binding is missing"},
            Verdict.BAD,
            "yard-keep: the binding is missing",
        ),
        (
            {name: None for name in ALL if name != "yard-names"},
            Verdict.WARNING,
            "Not installed: names.",
        ),
        ({}, Verdict.WARNING, "Not installed: promote, override, purge"),
    ],
)
def test_policies_are_compared_with_the_installed_ones(
    problems: dict[str, str | None], verdict: Verdict, words: str
):
    judged = doctor.policies(problems)
    assert judged.verdict is verdict
    assert words in judged.words
    assert bool(judged.fix) is (verdict is not Verdict.GOOD)


def test_the_installed_policies_are_read_from_the_operator_s_settings():
    def operator(value: str | None) -> dict[str, Any]:
        env = [{"name": "MODELYARD_POLICIES", "value": value}, {"name": "A", "valueFrom": {}}]
        return {"spec": {"template": {"spec": {"containers": [{"env": env}, {}]}}}}

    assert doctor.installed(operator("a-keep=1/2,a-runs=3/4")) == {
        "a-keep": ("1", "2"),
        "a-runs": ("3", "4"),
    }
    assert doctor.installed(operator(None)) == doctor.installed(operator("nonsense")) == {}


def test_objects_that_are_not_observed():
    fresh: TrainingRun = run(status={})
    assert doctor.unobserved([fresh], NOW) == []
    old = model(conditions=[], observed=0)
    assert doctor.unobserved([fresh, old, model()], NOW) == ["RegisteredModel fraud"]
