"""Parts that need no server: filters, datasets, pieces of a download, Services, values as text."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from modelyard.client import display, filters, profile, text
from modelyard.client.artifacts import Item, pieces
from modelyard.client.errors import Missing, NotFound, Unreachable
from modelyard.client.kube.forward import chosen, selector
from modelyard.client.kube.reach import named
from modelyard.client.local import flavor_of
from modelyard.client.packages import need
from modelyard.client.table import rows_table, table
from modelyard_runtime import dataset


# --- filters --------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "text", ["accuracy >", "a = 1 b = 2", "= 3", "a == 1 and", "a = 1 and and b = 2"]
)
def test_a_filter_that_cannot_be_read_shows_where(text: str):
    with pytest.raises(ValueError, match=">>>"):
        filters.parse(text)


@pytest.mark.parametrize(
    ("text", "found", "holds"),
    [
        ("x > 0.9", 0.91, True),
        ("x > 0.9", 0.9, False),
        ("x = 6", "6", True),
        ("x = 6.0", "6", True),
        ("x != 6", None, True),
        ("x = 6", None, False),
        ("x ~ rau", "Fraud", True),
        ("x = 'two words'", "Two Words", True),
        ("x = true", True, True),
        ("x = false", True, False),
    ],
)
def test_the_result_of_a_comparison(text: str, found: object, holds: bool):
    assert filters.matches(filters.parse(text), lambda _: found) is holds


def test_text_is_not_greater_than_text():
    with pytest.raises(ValueError, match="not both numbers"):
        filters.matches(filters.parse("x > 3"), lambda _: "abc")


def test_a_name_in_backquotes_may_contain_anything():
    assert filters.parse("metrics.`val acc` > 1") == (
        filters.Comparison("metrics.val acc", ">", "1"),
    )


# --- datasets -------------------------------------------------------------------------------------
@pytest.fixture
def frame() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "x": [1.0, 2.0, 2.0, np.nan],
            "t": ["a", "b", "b", None],
            "n": [1, 2, 2, 4],
            "target": [0, 1, 1, 0],
        }
    )


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_the_figures_are_those_of_the_cluster_s_trainer(tmp_path, frame, suffix: str):
    path = tmp_path / f"data.{suffix}"
    frame.to_csv(path, index=False) if suffix == "csv" else frame.to_parquet(path)
    here, there = profile.profile(path, "target"), dataset.profile(path, "target", "classification")
    assert (
        here.rows,
        here.columns,
        here.missing,
        here.duplicates,
        here.duplicates_of,
        here.classes,
    ) == (
        there.rows,
        there.columns,
        there.missing,
        there.duplicates,
        there.duplicates_of,
        there.classes,
    )
    assert here.digest == "sha256:" + __import__("hashlib").sha256(path.read_bytes()).hexdigest()


def test_a_frame_s_digest_is_that_of_its_values(frame):
    first = profile.profile(frame, "target").digest
    assert profile.profile(frame.copy(), "target").digest == first
    assert profile.profile(frame.assign(n=[1, 2, 2, 5]), "target").digest != first
    assert profile.profile(frame.rename(columns={"n": "m"}), "target").digest != first


def test_data_that_is_not_a_dataset_is_a_value_error(tmp_path, frame):
    with pytest.raises(ValueError, match="it has x, t, n, target"):
        profile.profile(frame, "label")
    with pytest.raises(ValueError, match="no rows"):
        profile.profile(frame.head(0), None)
    with pytest.raises(ValueError, match=r"neither \.parquet nor \.csv"):
        profile.profile(tmp_path / "x.json", None)
    with pytest.raises(ValueError, match="is not a dataset"):
        profile.profile([1, 2], None)


# --- downloads ------------------------------------------------------------------------------------


def test_pieces_cover_a_file_and_an_empty_file_is_one_piece():
    def item(size: int) -> Item:
        return Item("f", "k", size, "e")

    assert [(each.start, each.end) for each in pieces([item(25)], 10)] == [
        (0, 10),
        (10, 20),
        (20, 25),
    ]
    assert [(each.start, each.end) for each in pieces([item(20)], 10)] == [(0, 10), (10, 20)]
    assert [(each.start, each.end) for each in pieces([item(0)], 10)] == [(0, 0)]


# --- Services
# ------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("host", "service"),
    [
        ("mlflow.modelyard-system", ("mlflow", "modelyard-system", False)),
        ("mlflow.ns.svc", ("mlflow", "ns", True)),
        ("mlflow.ns.svc.cluster.local.", ("mlflow", "ns", True)),
        ("mlflow.example.com", None),
        ("localhost", None),
        ("127.0.0.1", None),
        ("::1", None),
    ],
)
def test_whether_a_host_names_a_service(host: str, service):
    found = named(host)
    assert (found and (found.service, found.namespace, found.certain)) == service


def pod(name: str, ready: str = "True", **meta):
    return {
        "metadata": {"name": name, **meta},
        "spec": {"containers": [{"ports": [{"name": "http", "containerPort": 8080}]}]},
        "status": {"conditions": [{"type": "Ready", "status": ready}]},
    }


def service(target: object, **spec):
    return {
        "metadata": {"name": "s", "namespace": "n"},
        "spec": {"ports": [{"port": 80, "targetPort": target}], **spec},
    }


def test_a_service_leads_to_a_pod_that_is_ready_by_number_and_by_name():
    pods = [pod("going", deletionTimestamp="now"), pod("starting", "False"), pod("there")]
    assert chosen(service("http"), pods, 80) == ("there", 8080)
    assert chosen(service(9000), pods, 80) == ("there", 9000)
    assert chosen(service(None), pods, 80) == ("there", 80)
    with pytest.raises(NotFound, match="has no port 81"):
        chosen(service("http"), pods, 81)
    with pytest.raises(Unreachable, match="None of the 2 pods of the Service n/s is ready"):
        chosen(service("http"), pods[:2], 80)
    with pytest.raises(NotFound, match="selects no pods"):
        selector(service("http"))


# --- texts and tables
# --------------------------------------------------------------------------------------
def test_a_missing_package_is_named_with_the_extra_that_installs_it():
    with pytest.raises(
        Missing,
        match=r"needs the Python package nothing_of_the_kind: pip install 'modelyard\[notebook\]'",
    ):
        need("nothing_of_the_kind.at_all", "Dreaming")


def test_a_flavour_is_that_of_the_class_or_of_a_base_class():
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415
    from xgboost import XGBClassifier  # noqa: PLC0415

    class Mine(LogisticRegression):
        pass

    assert flavor_of(XGBClassifier()) == "xgboost"
    assert flavor_of(Mine()) == "sklearn"
    assert flavor_of(lambda rows: rows) == "pyfunc"
    with pytest.raises(ValueError, match="no MLflow flavour is known for a int"):
        flavor_of(3)


def test_parameters_are_text_as_in_yaml():
    assert [text.as_text(value) for value in (True, 6, 0.1, "x")] == ["true", "6", "0.1", "x"]


def test_ages_and_sizes_are_in_their_largest_unit():
    now = datetime(2026, 1, 10, tzinfo=UTC)
    seconds = (-5, 59, 119, 120, 7199, 7200, 172799, 172800)
    ages = [text.age(now - timedelta(seconds=each), now) for each in seconds]
    assert ages == ["0s", "59s", "119s", "2m", "119m", "2h", "47h", "2d"]
    assert text.age(None, now) == "-"
    sizes = [text.size(count) for count in (None, 0, 1, 999, 1000, 1_400_000)]
    assert sizes == ["-", "0 bytes", "1 byte", "999 bytes", "1.0 kB", "1.4 MB"]


def test_omitted_metrics_leave_an_ellipsis():
    values = [("accuracy", 0.12345678), ("auc", "0.5"), ("note", "n/a")]
    assert text.metrics(values) == "accuracy 0.123457, auc 0.5, note n/a"
    assert text.metrics(values, 2) == "accuracy 0.123457, auc 0.5, …"
    assert text.metrics(values, 3) == text.metrics(values)


ROWS: list[display.Row] = [
    {
        "name": "fraud",
        "stages": [display.Badge("a v1", "good"), display.Badge("b", "quiet")],
        "best": None,
        "auc": 0.98,
    },
    {"name": "図", "stages": [], "best": "x", "auc": 1.0},
]


def test_a_notebook_s_table_is_the_command_line_s_table():
    drawn = rows_table(ROWS, "nothing")
    lines = ["NAME   STAGES   BEST  AUC", "fraud  a v1, b  -     0.98", "図     -        x     1"]
    assert drawn.plain.splitlines() == lines
    assert [
        (span.style, drawn.plain[span.start : span.end])
        for span in drawn.spans
        if span.style == "green"
    ] == [("green", "a v1")]
    heads = ["NAME", "STAGES", "BEST", "AUC"]
    cells = [["fraud", "a v1, b", "-", "0.98"], ["図", "-", "x", "1"]]
    assert table(heads, cells, 80).plain == drawn.plain
    assert rows_table([], "nothing").plain == "nothing"


def test_a_notebook_s_table_has_the_same_content_in_html():
    html = display.html_table(ROWS, "nothing")
    assert html.count(">-</td>") == 2
    assert ">0.98</td>" in html
    assert display.html_table([], "no <versions>") == "<i>no &lt;versions&gt;</i>"


def test_importing_the_package_loads_nothing_of_the_client():
    code = (
        "import sys, modelyard; light = set(sys.modules); modelyard.Client(namespace='x'); assert"
        " not any(m.startswith('modelyard.') for m in light), light; heavy = {'kr8s', 'mlflow',"
        " 'pandas', 'numpy', 'boto3', 'rich', 'httpx'} & set(sys.modules); assert not heavy, heavy"
    )
    subprocess.run(
        [sys.executable, "-c", code], check=True, env={"PYTHONPATH": "operator", "PATH": ""}
    )
