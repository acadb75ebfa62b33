"""URIs, paths of a tree and errors of S3: the shared rules, and that operator, pods and client
follow them.
"""

from __future__ import annotations

import asyncio
import tempfile
import tracemalloc
from collections.abc import Iterable
from io import BytesIO
from pathlib import Path
from typing import Any

import botocore.exceptions
import pytest
from botocore.response import StreamingBody
from hypothesis import given
from hypothesis import strategies as st

from modelyard.adapters.bounds import Limits
from modelyard.adapters.instrument import CallTimer
from modelyard.adapters.offload import Pool
from modelyard.adapters.s3 import S3
from modelyard.adapters.s3_client import Keys
from modelyard.adapters.s3_uri import parse_uri as operator_reads
from modelyard.api.artifacts import (
    Location,
    Reach,
    S3Kind,
    is_bucket,
    is_folder_mark,
    parse_uri,
    read_s3_error,
    safe_path,
    tool_file,
    unwritable,
)
from modelyard.client import artifacts as client
from modelyard.client.errors import Failed
from modelyard.errors import Invalid
from modelyard_runtime import fetch as pods
from modelyard_runtime.outcome import Failure
from tests.unit.builders import PROPERTY

GOOD = {
    "s3://bucket/": Location("bucket", ""),
    "s3://bucket": Location("bucket", ""),
    "s3://my-bucket.eu/a/b": Location("my-bucket.eu", "a/b"),
    "s3://bucket/a/b/": Location("bucket", "a/b/"),
    "s3://bucket/Größe & co+1 (2)'s.txt": Location("bucket", "Größe & co+1 (2)'s.txt"),
    "s3://bucket/..a/b..": Location("bucket", "..a/b.."),
}
BAD = [
    "", "bucket/x", "/etc/passwd", "file:///etc/passwd", "http://bucket/x", "S3://bucket/x",
    "s3a://bucket/x", "s3:/bucket/x", " s3://bucket/x",
    "s3://", "s3:///x", "s3://b/x", "s3://BUCKET/x", "s3://bu_cket/x", "s3://bucket../x",
    "s3://-bucket/x", "s3://bucket-/x", "s3://10.0.0.1/x",
    "s3://" + "b" * 64 + "/x", "s3://key:secret@bucket/x", "s3://user@bucket/x",
    "s3://bucket:9000/x", "s3://buck%65t/x",
    "s3://bucket/a?versionId=1", "s3://bucket/a#b", "s3://bucket?x", "s3://bucket#x",
    "s3://bucket/a%2e%2e/b", "s3://bucket/%00", "s3://bucket/100%",
    "s3://bucket//", "s3://bucket//a", "s3://bucket/a//b", "s3://bucket/a//", "s3://bucket/../x",
    "s3://bucket/a/../b", "s3://bucket/a/..",
    "s3://bucket/./a", "s3://bucket/a/.", "s3://bucket/a\\b", "s3://bucket/a\0b",
    "s3://bucket/a\nb", "s3://bucket/a\x7fb", "s3://bucket/\u202eabc",
    "s3://bucket/" + "x" * 1025, "s3://bucket/" + "ü" * 513,
    "s3://bucket\n/x", "s3://bucket\\@other/x", "s3://bucket/\udcff",
]  # fmt: skip


# --- addresses ------------------------------------------------------------------------------------
@pytest.mark.parametrize("uri", GOOD)
def test_a_good_uri_is_read_and_written(uri: str):
    assert parse_uri(uri) == GOOD[uri]
    assert parse_uri(str(GOOD[uri])) == GOOD[uri]


@pytest.mark.parametrize("uri", BAD)
def test_a_bad_uri_is_refused_and_not_repeated(uri: str):
    with pytest.raises(ValueError, match=r"^its? \w+") as caught:
        parse_uri(uri)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "uri", ["s3://key:secret@bucket/x", "s3://user@bucket/x", "s3://bucket:9000/x"]
)
def test_keys_in_an_address_are_refused_with_advice(uri: str):
    with pytest.raises(ValueError, match="the connection Secret"):
        parse_uri(uri)


@given(st.text("ab.-/@:%0A ", max_size=12), st.text("ab./\\%?# \n\0ü", max_size=20))
def test_an_accepted_uri_is_unambiguous(bucket: str, key: str):
    """Any accepted URI stays in its bucket and below its prefix, whatever program joins it with a
    path.
    """
    try:
        place = parse_uri(f"s3://{bucket}/{key}")
    except ValueError:
        return
    assert str(place) == f"s3://{bucket}/{key}"
    assert is_bucket(place.bucket)
    assert not set(place.bucket) & set("@:/%?#\\ ")
    assert not set(place.key) & set("%?#\\\0\n\r")
    assert (
        all(segment not in {"", ".", ".."} for segment in place.key.removesuffix("/").split("/"))
        or not place.key
    )
    assert place.prefix == "" or place.prefix.endswith("/")


# --- trees ----------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "path",
    [
        "MLmodel",
        "data/model.ubj",
        "a b/c-d_e.f",
        "köln",
        "..hidden",
        "a/...",
        "-rf",
        "x" * 255,
        "a/b:c",
        "ü" * 127,
    ],
)
def test_paths_that_stay_inside(path: str):
    assert safe_path(path)
    assert unwritable([path]) == ""


@pytest.mark.parametrize(
    "path",
    ["", "/etc/passwd", "../x", "a/../../x", "a/..", "a//b", "a/./b", "a\x00b", ("a\n"
        "b"), "a\rb", "a\\b", "a\\..\\b", "a/", "C:/x", "C:x",
     "x" * 256, "ü" * 128, "\udcff", "\u202eabc"],
)  # fmt: skip
def test_paths_that_do_not_are_named(path: str):
    assert not safe_path(path)
    assert unwritable(["MLmodel", path]).startswith(repr(path)[:50].rstrip("'"))


def test_a_name_cannot_be_a_file_and_a_folder():
    assert (
        unwritable(["data/model.ubj", "data", "MLmodel"]) == "'data' is a file and a folder at once"
    )
    assert unwritable(["a/b/c", "a/b"]) == "'a/b' is a file and a folder at once"
    assert unwritable(["a-b", "a/b", "a.b", "aa"]) == ""
    assert unwritable(["a", "a-b", "a/b"]) == "'a' is a file and a folder at once"


def test_a_listing_of_deep_folders_takes_no_more_memory_than_its_text():
    """A hostile listing: 500 keys with 512 folders each are half a megabyte; all their folders
    together were a hundred.
    """
    paths = [f"{number:03}/" + "a/" * 510 + "f" for number in range(500)]
    tracemalloc.start()
    assert unwritable(paths) == ""
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 5 * 600_000


def test_a_long_path_is_shortened_in_the_message():
    assert len(unwritable(["../" + "x" * 1000])) < 200


@pytest.mark.parametrize(
    ("key", "size", "mark"), [("a/", 0, True), ("a/", 1, False), ("a", 0, False), ("", 0, False)]
)
def test_an_empty_object_whose_key_ends_with_a_slash_marks_a_folder(
    key: str, size: int, mark: bool
):
    assert is_folder_mark(key, size) is mark


# --- three programs, one rule ---------------------------------------------------------------------
class Bucket:
    """The calls of a boto3 client that operator, pods and client use, over a dictionary."""

    class _Exceptions:
        NoSuchBucket = botocore.exceptions.ClientError

    exceptions = _Exceptions

    def __init__(self, objects: dict[str, bytes]) -> None:
        self.objects = objects
        self.limits = Limits()
        self.client = self

    def get_paginator(self, _: str) -> Bucket:
        return self

    def paginate(self, *, Bucket: str, Prefix: str) -> Iterable[dict[str, Any]]:  # noqa: N803
        found = [key for key in sorted(self.objects) if key.startswith(Prefix)]
        yield {
            "Contents": [
                {"Key": key, "Size": len(self.objects[key]), "ETag": '"e"'} for key in found
            ]
        }

    def get_object(self, *, Key: str, **_: str) -> dict[str, Any]:  # noqa: N803
        data = self.objects[Key]
        return {
            "Body": StreamingBody(BytesIO(data), len(data)),
            "ETag": '"e"',
            "ContentLength": len(data),
        }

    def make(self, *_: Any) -> Bucket:
        return self

    def close(self) -> None:
        pass


def operator_takes(objects: dict[str, bytes], uri: str) -> list[str] | None:
    """Return how many files and bytes the operator registers; None: it refuses."""
    bucket: Any = Bucket(objects)

    async def digest() -> Any:
        reach = Reach("bucket", "risk")
        pool = Pool("S3", 4)
        return await S3(
            Keys("http://s3", "a", "b"),
            reach,
            CallTimer("S3", lambda *_: None),
            clients=bucket,
            pool=pool,
            bulk=pool,
        ).digest(uri)

    try:
        tree = asyncio.run(digest())
    except Invalid:
        return None
    return ["missing"] if tree is None else [tree.digest]


def pods_take(objects: dict[str, bytes], uri: str) -> dict[str, Any] | str:
    try:
        return pods._plan(Bucket(objects), uri)[1]
    except Failure as failure:
        return failure.reason


def client_takes(objects: dict[str, bytes], uri: str) -> list[str] | str:
    try:
        return [
            item.path for item in client._Tree(Bucket(objects), uri, Path("unused"), None, 1)._items
        ]
    except Failed as failed:
        return failed.reason


SEGMENTS = st.sampled_from(
    [
        "a",
        "b",
        "MLmodel",
        "..",
        ".",
        "",
        "C:",
        "a:b",
        "a\\b",
        "a\nb",
        "ü",
        "x" * 255,
        "x" * 256,
        "\u202e",
        "c d",
    ]
)
PATHS = st.lists(SEGMENTS, min_size=1, max_size=3).map("/".join)


@PROPERTY
@given(st.dictionaries(PATHS, st.sampled_from([b"", b"x"]), max_size=4))
def test_operator_pods_and_client_accept_the_same_trees(paths: dict[str, bytes]):
    objects = {f"risk/m/{path}": data for path, data in paths.items()}
    uri = "s3://bucket/risk/m"
    registered, served, downloaded = (
        operator_takes(objects, uri),
        pods_take(objects, uri),
        client_takes(objects, uri),
    )
    if registered is None:
        assert (served, downloaded) == ("ArtifactInvalid", "ArtifactInvalid")
    elif registered == ["missing"]:
        assert (served, downloaded) == ("ArtifactMissing", "ArtifactMissing")
    else:
        assert isinstance(served, dict)
        assert sorted(served) == sorted(downloaded)


@PROPERTY
@given(st.dictionaries(PATHS, st.just(b"x"), min_size=1, max_size=4))
def test_a_tree_that_is_accepted_can_be_written(paths: dict[str, bytes]):
    if unwritable(paths):
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for path, data in paths.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(data)
        assert {
            found.relative_to(folder).as_posix() for found in folder.rglob("*") if found.is_file()
        } == set(paths)


@PROPERTY
@given(
    st.one_of(
        st.sampled_from([*GOOD, *BAD]),
        st.text("ab./:@%\\\n", max_size=12).map(lambda text: f"s3://bucket/{text}"),
    )
)
def test_operator_pods_and_client_read_the_same_uris(uri: str):
    try:
        place = operator_reads(uri)
    except Invalid:
        place = None
    objects = {} if place is None else {f"{place.prefix}MLmodel": b"x"}
    served, downloaded = pods_take(objects, uri), client_takes(objects, uri)
    if place is None:
        assert (served, downloaded) == ("ArtifactInvalid", "ArtifactInvalid")
    else:
        assert (list(served), downloaded) == (["MLmodel"], ["MLmodel"])


# --- errors ---------------------------------------------------------------------------------------
def response(code: str, status: int) -> dict[str, Any]:
    return {
        "Error": {"Code": code, "Message": "leaked"},
        "ResponseMetadata": {"HTTPStatusCode": status},
    }


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        ("AccessDenied", 403, S3Kind.FORBIDDEN),
        ("SignatureDoesNotMatch", 403, S3Kind.FORBIDDEN),
        ("ExpiredToken", 400, S3Kind.FORBIDDEN),
        ("403", 403, S3Kind.FORBIDDEN),
        ("401", 401, S3Kind.FORBIDDEN),
        ("NoSuchKey", 404, S3Kind.NO_OBJECT),
        ("NoSuchBucket", 404, S3Kind.NO_BUCKET),
        ("404", 404, S3Kind.NOT_S3),
        ("", 404, S3Kind.NOT_S3),
        ("PreconditionFailed", 412, S3Kind.CHANGED),
        ("InvalidRange", 416, S3Kind.CHANGED),
        ("", 416, S3Kind.CHANGED),
        ("BucketAlreadyExists", 409, S3Kind.TAKEN),
        ("RequestTimeout", 400, S3Kind.BUSY),
        ("SlowDown", 503, S3Kind.BUSY),
        ("503", 503, S3Kind.BUSY),
        ("", 429, S3Kind.BUSY),
        ("PermanentRedirect", 301, S3Kind.REDIRECT),
        ("InvalidRequest", 400, S3Kind.REFUSED),
        ("Unknown", 0, S3Kind.UNCLEAR),
    ],
)
def test_errors_of_s3_are_classified(code: str, status: int, kind: S3Kind):
    answer = read_s3_error(response(code, status))
    assert (answer.kind, answer.code, answer.status) == (kind, code, status)
    assert answer.detail
    assert "leaked" not in answer.detail


def test_an_empty_error_answer_is_unclear():
    assert read_s3_error({}).kind is S3Kind.UNCLEAR


@pytest.mark.parametrize(
    "path",
    [
        ".git/config",
        ".git",
        "code/.git",
        "sub/.git/hooks/pre-commit",
        ".GIT/config",
        ".git./config",
        ".git /config",
        "git~1/config",
        "GIT~2",
        ".github/workflows/x.yaml",
        ".vscode/settings.json",
        ".idea/x",
        ".ssh/authorized_keys",
        ".hg/hgrc",
        ".envrc",
        "code/.pdbrc",
        ".Netrc",
    ],
)
def test_paths_that_a_tool_would_read_as_configuration(path: str):
    assert tool_file(["MLmodel", path, "model.ubj"]) == path


def test_paths_that_no_tool_reads_as_configuration():
    paths = [
        "MLmodel",
        "data/x.ubj",
        ".gitattributes",
        "a/.gitignore",
        ".cache/x",
        ".ipynb_checkpoints/x",
        "git~x",
        "x.git/a",
    ]
    assert tool_file(paths) == ""
