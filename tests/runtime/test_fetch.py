"""Fetch an artifact tree from a real MinIO: by digest, and completely or not at all."""

import hashlib
from pathlib import Path

import pytest

from modelyard.api.digest import FileDigest, tree_digest
from modelyard_runtime.fetch import local_tree
from modelyard_runtime.s3 import Gone, save
from tests.runtime.odd_store import breaking_off, listing, nobody
from tests.runtime.programs import Ended, program
from tests.servers import Minio, free_port

TREE = {
    "MLmodel": b"flavors: {}",
    "data/model.ubj": b"\x00" * 3_000_000,
    "data/notes/a b.txt": b"",
    "köln.json": b"{}",
}


def fetch(folder: Path, store: Minio, prefix: str, digest: str, **env: str) -> Ended:
    arguments = (
        "--uri",
        f"s3://datasets/{prefix}",
        "--digest",
        digest,
        "--to",
        str(folder / "model"),
    )
    return program(folder, "fetch", *arguments, env=store.environment | env)


def put(store: Minio, prefix: str, tree: dict[str, bytes]) -> str:
    """Put a tree into the bucket; return its digest, computed here independently."""
    client = store.s3()
    for path, content in tree.items():
        client.put_object(Bucket="datasets", Key=f"{prefix}/{path}", Body=content)
    return tree_digest(
        FileDigest(path, len(content), hashlib.sha256(content).hexdigest())
        for path, content in tree.items()
    )


def leftovers(folder: Path) -> list[str]:
    return [
        path.name for path in folder.iterdir() if "partial" in path.name or path.name == "model"
    ]


@pytest.mark.contract
def test_a_tree_arrives_completely_and_is_not_fetched_twice(minio, tmp_path):
    digest = put(minio, "models/whole", TREE)
    minio.s3().put_object(
        Bucket="datasets", Key="models/whole/data/", Body=b""
    )  # a folder, as S3 consoles create them
    minio.s3().put_object(Bucket="datasets", Key="models/whole-other/x", Body=b"not of this tree")
    ended = fetch(tmp_path, minio, "models/whole", digest)
    assert ended.code == 0, ended.log
    found = {
        path.relative_to(tmp_path / "model").as_posix(): path.read_bytes()
        for path in (tmp_path / "model").rglob("*")
        if path.is_file()
    }
    assert found == TREE
    assert "4 of 4 files" in ended.log
    assert leftovers(tmp_path) == ["model"]
    assert tree_digest(local_tree(tmp_path / "model")) == digest
    again = fetch(tmp_path, minio, "models/nowhere", digest)
    assert (again.code, "already" in again.log) == (0, True)


@pytest.mark.contract
def test_a_tree_that_was_changed_is_refused(minio, tmp_path):
    digest = put(minio, "models/changed", TREE)
    put(minio, "models/changed", {"MLmodel": b"flavors: {evil}"})
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "old").write_text("stays")
    ended = fetch(tmp_path, minio, "models/changed", digest)
    assert (ended.code, ended.said["reason"]) == (65, "ArtifactDigestMismatch")
    assert digest in ended.said["message"]
    assert [path.name for path in (tmp_path / "model").iterdir()] == ["old"]
    assert leftovers(tmp_path) == ["model"]


@pytest.mark.parametrize(
    "key", ["../../escaped", "/absolute", "a\\..\\b", "data//model.ubj", "a/./b"]
)
def test_hostile_paths_are_not_written(tmp_path, key):
    with listing(f"models/hostile/{key}") as store:
        ended = fetch(tmp_path, store, "models/hostile", "sha256:" + "0" * 64)
    assert (ended.code, ended.said["reason"]) == (67, "ArtifactInvalid")
    assert key in ended.said["message"].replace("\\\\", "\\")
    assert leftovers(tmp_path) == []


def test_an_interrupted_stream_is_resumed(tmp_path):
    content = bytes(range(256)) * 4000
    with breaking_off(content, changes=False) as store:
        target = tmp_path / "file"
        digest, size = save(store.s3(), "datasets", "file", target, lambda _: None)
    assert target.read_bytes() == content
    assert (digest, size) == (hashlib.sha256(content).hexdigest(), len(content))


def test_a_stream_of_another_object_is_not_resumed(tmp_path):
    with (
        breaking_off(bytes(1_000_000), changes=True) as store,
        pytest.raises(Gone, match="changed while it was read"),
    ):
        save(store.s3(), "datasets", "file", tmp_path / "file", lambda _: None)


@pytest.mark.contract
def test_missing_and_forbidden_objects_are_distinguished_from_an_outage(minio, tmp_path):
    digest = "sha256:" + "0" * 64
    missing = fetch(tmp_path, minio, "models/nothing", digest)
    assert (missing.code, missing.said["reason"]) == (66, "ArtifactMissing")
    closed = fetch(tmp_path, minio, "models/nothing", digest, AWS_SECRET_ACCESS_KEY="wrong")
    assert (closed.code, closed.said["reason"]) == (67, "ConnectionRefused")
    assert "modelyard-connection" in closed.log
    dark = fetch(
        tmp_path,
        minio,
        "models/nothing",
        digest,
        MLFLOW_S3_ENDPOINT_URL=f"http://127.0.0.1:{free_port()}",
    )
    assert (dark.code, dark.said["reason"]) == (69, "StoreUnavailable")
    wrong = program(
        tmp_path,
        "fetch",
        "--uri",
        "file:///etc",
        "--digest",
        digest,
        "--to",
        str(tmp_path / "model"),
    )
    assert (wrong.code, wrong.said["reason"]) == (67, "ArtifactInvalid")
    assert leftovers(tmp_path) == []


def test_a_gateway_s_404_does_not_count_as_the_store_s(tmp_path):
    with nobody() as store:
        ended = fetch(tmp_path, store, "models/x", "sha256:" + "0" * 64)
    assert ended.said["reason"] == "StoreUnavailable"
    assert "no S3 answers at this address" in ended.said["message"]
