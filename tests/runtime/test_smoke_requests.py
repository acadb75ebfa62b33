"""Requests of the gate `smoke` from a real MinIO, and the candidate's input example."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from modelyard.api.artifacts import Reach, read_places
from modelyard.api.digest import listing_digest
from modelyard_runtime.fetch import local_tree
from modelyard_runtime.outcome import Failure
from modelyard_runtime.smoke_requests import Example, example, from_s3
from tests.runtime.candidate_side import Side, digest
from tests.runtime.programs import Server
from tests.runtime.test_invocations import ROWS
from tests.servers import Minio, free_port

pytestmark = pytest.mark.contract
ASKED = json.dumps([{"request": {"instances": ROWS}}]).encode()
REACH = Reach("datasets", "risk", read_places("datasets/shared"))
TREE = "s3://datasets/risk/models/classifier"


def put(store: Minio, key: str, data: bytes) -> str:
    """Put an object; return its URI."""
    store.s3().put_object(Bucket="datasets", Key=key, Body=data)
    return f"s3://datasets/{key}"


def listed(store: Minio, name: str) -> str:
    """Return the digest of a tree's listing, by the test's own client."""
    prefix = f"risk/models/{name}/"
    found = store.s3().list_objects_v2(Bucket="datasets", Prefix=prefix)["Contents"]
    return listing_digest(
        (each["Key"].removeprefix(prefix), each["Size"], each["ETag"].strip('"')) for each in found
    )


# --- the program ----------------------------------------------------------------------------------
def test_requests_from_s3_are_sent_in_addition_to_the_input_example(side: Side):
    uri = put(side.store, "risk/cases.json", ASKED)
    ended = side.smoke(
        "--uri", uri, "--digest", digest(ASKED), "--listing", listed(side.store, "classifier")
    )
    assert ended.code == 0, ended.log
    assert ended.said["message"].startswith(
        "1 request and the input example answered as expected, latency p50 "
    )
    elsewhere = side.smoke(
        "--uri", put(side.store, "credit/cases.json", ASKED), "--digest", digest(ASKED)
    )
    assert (elsewhere.code, elsewhere.said["reason"]) == (66, "RequestsMissing")


def test_the_input_example_alone_is_sent_as_it_was_logged_and_timed(side: Side):
    ended = side.smoke("--max-latency", "60s")
    assert ended.code == 0, ended.log
    assert ended.said["message"].startswith("the input example answered as expected, latency p50 ")
    slow = side.smoke("--max-latency", "0ms")
    assert (slow.code, slow.said["message"].partition(":")[0]) == (
        67,
        "the input example takes longer than 0 ms",
    )


def test_without_requests_and_example_nothing_is_sent_and_that_is_a_fail(
    side: Side, served: Callable[[str], Server]
):
    ended = replace(
        side, tree="s3://datasets/risk/models/regressor", server=served("regressor")
    ).smoke()
    assert (ended.code, ended.said["reason"]) == (67, "RequestsFailed")
    assert ended.said["message"] == (
        "there is nothing to send: the gate names no requests, and no input example was logged with"
        " the model. Add requests to the gate, or log the model with input_example"
    )


def test_an_example_that_the_server_cannot_read_fails(side: Side, models: Path):
    tree = altered(
        side.store, side.folder, models, "no-json", {"MLmodel": NAMED, "input.json": b"[1, 2"}
    )
    ended = replace(side, tree=tree).smoke()
    assert (ended.code, ended.said["reason"]) == (67, "RequestsFailed"), ended.log
    assert (
        "1 of 1 requests were not answered as expected: the input example: status 400"
        in ended.said["message"]
    )


def test_an_unsent_example_is_reported_along_with_the_sent_requests(side: Side, models: Path):
    tree = altered(
        side.store, side.folder, models, "large", {"MLmodel": NAMED, "input.json": b" " * (2 << 20)}
    )
    ended = replace(side, tree=tree).asks(json.loads(ASKED))
    assert ended.code == 0, ended.log
    assert ended.said["message"].startswith("1 request answered as expected, latency p50 ")
    assert ended.said["message"].endswith(
        " ms, the input example was not sent: it has 2.0 MiB, more than 1"
    )


NAMED = b"{flavors: {}, saved_input_example_info: {serving_input_path: input.json}}"


def altered(store: Minio, folder: Path, models: Path, name: str, files: dict[str, bytes]) -> str:
    """Copy the classifier's files, some with other bytes; return their location."""
    shutil.copytree(models / "classifier", folder / name)
    for file, data in files.items():
        (folder / name / file).write_bytes(data)
    for each in local_tree(folder / name):
        put(store, f"risk/models/{name}/{each.path}", (folder / name / each.path).read_bytes())
    return f"s3://datasets/risk/models/{name}"


# --- what it reads --------------------------------------------------------------------------------
def away(store: Minio) -> Minio:
    return replace(store, url=f"http://127.0.0.1:{free_port()}")


def denied(store: Minio) -> Minio:
    return replace(store, secret_key="x")


def test_other_locations_that_the_namespace_may_read_are_read(kept: Minio):
    uri = put(kept, "shared/cases.json", ASKED)
    assert from_s3(kept.s3(), uri, digest(ASKED), REACH) == ASKED


@pytest.mark.parametrize(
    ("key", "data", "change", "reach", "said"),
    [
        (
            "risk/absent",
            None,
            None,
            REACH,
            ("RequestsMissing", "waits for s3://datasets/risk/absent: there is no such object"),
        ),
        ("risk/cases", ASKED, denied, REACH, ("RequestsMissing", "AWS_SECRET_ACCESS_KEY is wrong")),
        ("risk/cases", ASKED, away, REACH, ("StoreUnavailable", "s3://datasets/risk/cases")),
        (
            "credit/cases",
            ASKED,
            None,
            REACH,
            (
                "RequestsMissing",
                "it is outside what this namespace may read: s3://datasets/risk/",
            ),
        ),
        ("risk/cases", ASKED, None, None, ("InvalidConfiguration", "has no MODELYARD_BUCKET")),
        (
            "risk/other",
            b"[]",
            None,
            REACH,
            (
                "RequestsDigestMismatch",
                f"has the digest {digest(b'[]')}, but the gate names {digest(ASKED)}",
            ),
        ),
        (
            "risk/large",
            b" " * ((1 << 20) + 1),
            None,
            REACH,
            ("RequestsFailed", "is larger than 1048576 bytes; a file of requests has"),
        ),
        (
            "risk/../x",
            None,
            None,
            REACH,
            ("RequestsFailed", "requests.uri: its key must not hold empty, . or .. segments"),
        ),
    ],
    ids=["absent", "denied", "away", "outside", "no bucket", "other bytes", "large", "dots"],
)
def test_missing_requests_are_waited_for_and_invalid_ones_fail(
    kept: Minio,
    key: str,
    data: bytes | None,
    change: Callable[[Minio], Minio] | None,
    reach: Reach | None,
    said: tuple[str, str],
):
    if data is not None:
        put(kept, key, data)
    with pytest.raises(Failure) as caught:
        from_s3(
            (change(kept) if change else kept).s3(), f"s3://datasets/{key}", digest(ASKED), reach
        )
    assert caught.value.reason == said[0]
    assert said[1] in caught.value.message


def test_an_example_is_read_while_the_listing_matches_the_record(kept: Minio, models: Path):
    found = example(kept.s3(), TREE, listed(kept, "classifier"))
    assert found.case is not None
    assert found.case.body == (models / "classifier" / "serving_input_example.json").read_bytes()
    assert example(kept.s3(), f"{TREE}/", None) == found


def test_a_file_outside_of_the_model_s_tree_is_no_example(
    kept: Minio, models: Path, tmp_path: Path
):
    outside = (
        b"{saved_input_example_info: {serving_input_path:"
        b" ../classifier/serving_input_example.json}}"
    )
    assert (
        example(kept.s3(), altered(kept, tmp_path, models, "outside", {"MLmodel": outside}), None)
        == Example()
    )


@pytest.mark.parametrize(
    ("tree", "change", "listing", "said"),
    [
        (
            TREE,
            None,
            "sha256:" + "0" * 64,
            ("ArtifactDigestMismatch", "have changed since the operator read them"),
        ),
        ("s3://datasets/risk/nowhere", None, None, ("ArtifactMissing", "there is no such object")),
        (TREE, denied, None, ("ConnectionRefused", "AWS_SECRET_ACCESS_KEY is wrong")),
        (TREE, away, None, ("StoreUnavailable", TREE)),
        (
            "s3://datasets/risk/odd",
            None,
            None,
            ("ArtifactInvalid", "s3://datasets/risk/odd: ValueError: "),
        ),
    ],
    ids=["changed", "gone", "denied", "away", "no YAML"],
)
def test_files_that_are_not_the_version_s_are_no_verdict(
    kept: Minio,
    tree: str,
    change: Callable[[Minio], Minio] | None,
    listing: str | None,
    said: tuple[str, str],
):
    put(kept, "risk/odd/MLmodel", b"{")
    with pytest.raises(Failure) as caught:
        example((change(kept) if change else kept).s3(), tree, listing)
    assert caught.value.reason == said[0]
    assert said[1] in caught.value.message
