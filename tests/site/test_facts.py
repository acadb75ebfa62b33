"""Metrics, labels, annotations and environments in the pages are those of the code."""

import re

import pytest

from modelyard.api import wire
from modelyard.kube import names
from modelyard.training_run import build
from modelyard_runtime.serve.metrics import Metrics as Models
from tests.pages import DOCS, ROOT, script
from tests.unit.builders import RUNTIME, training_run

OBSERVE = (DOCS / "how-to" / "observe.md").read_text()
REFERENCE = (DOCS / "reference" / "README.md").read_text()


def operators() -> set[str]:
    """Return the names of the operator's metrics, as Prometheus reads them."""
    engine = ROOT / "operator" / "modelyard" / "engine"
    code = "".join(
        (engine / name).read_text()
        for name in ("metrics.py", "promotion_metrics.py", "rollout_metrics.py")
    )
    counters = set(re.findall(r'Counter\(\s*"(modelyard_\w+)"', code))
    return {f"{name}_total" for name in counters} | (
        set(re.findall(r'"(modelyard_\w+)"', code)) - counters
    )


def models() -> set[str]:
    """Return the names of a serving pod's metrics while it splits its requests."""
    page, _ = Models("risk.fraud", "v1").page(lambda: (5, {("candidate", "ok"): 1}))
    return set(re.findall(r"^# TYPE (modelyard_\w+) ", page.decode(), re.MULTILINE))


def table(heading: str, page: str) -> str:
    return page.split(f"## {heading}\n")[1].split("\n## ", maxsplit=1)[0]


@pytest.mark.parametrize(
    ("heading", "there"),
    [("Metrics of the operator", operators()), ("Metrics of a model", models())],
)
def test_the_pages_name_every_metric_and_no_other(heading: str, there: set[str]):
    named = set(re.findall(r"^\| .*", table(heading, OBSERVE), re.MULTILINE))
    assert len(there) > 3
    assert set(re.findall(r"modelyard_\w+", "\n".join(named))) == there


def test_alerts_name_existing_metrics():
    (alerts,) = re.findall(r"```promql\n(.*?)```", OBSERVE, re.DOTALL)
    assert set(re.findall(r"modelyard_\w+", alerts)) <= operators()


def test_labels_and_annotations_are_those_of_the_code():
    rows = re.findall(
        r"^\| [A-Za-z, ]+ \| (?:annotation|label) `([^`]+)`",
        table("Labels and annotations", REFERENCE),
        re.MULTILINE,
    )
    ours = {names.ADOPT_ANNOTATION, names.HEARTBEAT_ANNOTATION, names.ALLOW_CODE_LABEL}
    assert set(rows) == ours | {"kueue.x-k8s.io/queue-name"}
    for label in (names.RUN_LABEL, names.MODEL_LABEL, names.STAGE_LABEL, names.VERSION_LABEL):
        assert f"`{label}`" in REFERENCE


def test_a_training_pod_finds_what_the_page_says():
    signs = {"xgboost": {}, "sign": {"secret": "modelyard-signing", "key": "key.pem"}}
    job = build.job(training_run(trainer=signs), 1, "r1", RUNTIME)
    (trainer,) = job["spec"]["template"]["spec"]["containers"]
    given = {
        each["name"] for each in trainer["env"] if re.match("MLFLOW|MODELYARD", each["name"])
    } - {"MLFLOW_DISABLE_TELEMETRY"}
    named = set(
        re.findall(r"`((?:MLFLOW|MODELYARD)_\w+)`", table("What a training pod finds", REFERENCE))
    )
    assert named == given | {"MLFLOW_TRACKING_URI"}  # from the Secret
    assert f"{wire.CONFIG_FOLDER}/{wire.PARAMETERS_FILE}" in REFERENCE
    assert f"{wire.SIGNING_FOLDER}/{wire.SIGNING_FILE}" in REFERENCE


def test_pages_use_few_namespaces():
    """A page's test cleans these namespaces up, and no others."""
    used = {
        each
        for page in DOCS.rglob("*.md")
        for each in re.findall(r"(?:-n|--namespace) ([\w-]+)", script(page))
    }
    assert used == {"risk", "modelyard-system", "modelyard-docs"}
