"""YAML that modelyard writes and reads, compared with kubectl."""

import json
import string
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from modelyard.api.document import dumped, loaded_all
from tests.harness import Cluster

# A failing list names its failing text: shrinking the list would take minutes of kubectl.
FEW = settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
NUMERIC = "0123456789_.eE+-xXobfAaynYN:TZ"
PLAIN = st.text(NUMERIC, min_size=1, max_size=8).filter(
    lambda text: text.strip("-:") and not text.endswith(":") and ":-" not in text
)

READ = [
    "8e44", "1e-3", "1E5", "08", "017", "0o17", "0x1F", "0b11", "-0b11", "1_000", "1.", ".5", "+5",
    "-.5e-3", "1e999", "12:30", "1:2:3",
    "2026-11-26", "2026-11-26T01:02:03Z", "y", "Y", "n", "N", "yes", "No", "on", "OFF", "true",
    "~", "null", "Null", "text", "0", "00",
    "1e", "0x", "0xg", "1__0", "_1", "e5", ".", "+", "1-2", "v1.0",
]  # fmt: skip


def read_by_kubectl(cluster: Cluster, document: str) -> Any:
    """The field `found` of an object, read by kubectl without a server."""
    frame = "apiVersion: example.org/v1\nkind: Any\nmetadata: {name: any}\n"
    return json.loads(
        cluster.kubectl(
            "label", "--local", "-f", "-", "a=b", "-o", "json", stdin=frame + document
        ).stdout
    )["found"]


def test_a_written_text_is_read_as_a_text(cluster: Cluster):
    odd = [
        "",
        " ",
        "<<",
        "=",
        "a: b",
        "# no comment",
        "line\nline\n",
        "'",
        '"',
        "{}",
        "[",
        "&a",
        "*a",
        "!t",
        "ü",
        "\u2028",
        "---",
    ]
    texts = [*READ, *odd, "-"]
    assert read_by_kubectl(cluster, dumped({"found": texts})) == texts


@FEW
@given(
    st.lists(
        st.text(NUMERIC, max_size=10) | st.text(string.printable, max_size=20),
        min_size=50,
        max_size=200,
    )
)
def test_any_written_text_is_read_as_a_text(cluster: Cluster, texts: list[str]):
    assert read_by_kubectl(cluster, dumped({"found": texts})) == texts


@FEW
@given(
    st.dictionaries(
        st.text(NUMERIC, min_size=1, max_size=10),
        st.text(NUMERIC, max_size=10),
        min_size=30,
        max_size=60,
    )
)
def test_written_keys_are_read_as_texts(cluster: Cluster, texts: dict[str, str]):
    assert read_by_kubectl(cluster, dumped({"found": texts})) == texts


def test_numbers_booleans_and_null_keep_their_type(cluster: Cluster):
    values = [
        0,
        5,
        -3,
        0.1,
        1e-05,
        1e300,
        -2.5e-7,
        True,
        False,
        None,
        [],
        {},
        [[1]],
        {"a": {"b": [None]}},
    ]
    assert read_by_kubectl(cluster, dumped({"found": values})) == values


def test_a_repeated_value_is_written_without_an_anchor():
    part = {"a": [1, 2]}
    assert "&" not in dumped({"one": part, "two": part})


def test_a_file_is_read_as_kubectl_reads_it(cluster: Cluster):
    document = "found:\n" + "".join(f"- {plain}\n" for plain in READ)
    (ours,) = loaded_all(document)
    assert dict(zip(READ, ours["found"], strict=True)) == dict(
        zip(READ, read_by_kubectl(cluster, document), strict=True)
    )


@FEW
@given(st.lists(PLAIN, min_size=50, max_size=200))
def test_any_file_is_read_as_kubectl_reads_it(cluster: Cluster, plains: list[str]):
    document = "found:\n" + "".join(f"- {plain}\n" for plain in plains)
    assert loaded_all(document)[0]["found"] == read_by_kubectl(cluster, document)


def test_empty_documents_are_left_out():
    assert loaded_all("---\n---\na: 1\n---\n# nothing\n") == [{"a": 1}]


@pytest.mark.parametrize(
    "text",
    [
        "a: !!binary aGk=",
        "a: !!set {b: null}",
        "a: !!python/name:os.system x",
        "a: [",
        "? [a]\n: b",
    ],
)
def test_a_type_that_json_lacks_is_an_error(text: str):
    with pytest.raises(yaml.YAMLError):
        loaded_all(text)
