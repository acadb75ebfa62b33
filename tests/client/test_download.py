"""Downloads from a real MinIO: complete, resumed, checked, and their errors."""

from __future__ import annotations

import hashlib
import uuid
from pathlib import Path

import pytest

from modelyard.api.digest import FileDigest, tree_digest
from modelyard.client import artifacts
from modelyard.client.errors import Failed, NotAllowed, Unreachable
from tests import servers
from tests.runtime.odd_store import nobody

FILES = {"MLmodel": b"flavors: {}", "data/model.bin": bytes(range(256)) * 400, "empty": b""}


class Tree:
    """A tree in the bucket, with a method that downloads it."""

    def __init__(self, s3, server: servers.Minio, files: dict[str, bytes]) -> None:
        self.s3, self.prefix = s3, f"risk/{uuid.uuid4().hex}"
        self.connection = {**server.environment}
        self.files = files
        for path, content in files.items():
            s3.put_object(Bucket="artifacts", Key=f"{self.prefix}/{path}", Body=content)
        self.digest = tree_digest(
            FileDigest(path, len(body), hashlib.sha256(body).hexdigest())
            for path, body in files.items()
        )

    @property
    def uri(self) -> str:
        return f"s3://artifacts/{self.prefix}"

    def fetch(self, folder: Path, **more) -> list[tuple[int, int]]:
        seen: list[tuple[int, int]] = []
        artifacts.fetch(
            self.connection | more,
            self.uri,
            self.digest,
            folder,
            lambda done, whole: seen.append((done, whole)),
        )
        return seen


@pytest.fixture
def tree(s3, minio: servers.Minio) -> Tree:
    return Tree(s3, minio, FILES)


def there(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_the_complete_tree_is_downloaded_and_no_parts_remain(tree: Tree, tmp_path: Path):
    seen = tree.fetch(tmp_path / "model")
    assert there(tmp_path / "model") == FILES
    whole = sum(map(len, FILES.values()))
    assert seen[-1] == (whole, whole)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_the_pieces_of_a_file_are_joined(tree: Tree, tmp_path: Path):
    big = Tree(
        tree.s3,
        servers.Minio(tree.connection["MLFLOW_S3_ENDPOINT_URL"]),
        {"big": bytes(range(256)) * 1000},
    )
    fetched = artifacts.fetch(big.connection, big.uri, big.digest, tmp_path / "m", size=10_000)
    assert there(fetched) == big.files


def test_an_interrupted_download_is_resumed(tree: Tree, tmp_path: Path):
    """Half of a file exists already: only the other half is requested."""
    content = FILES["data/model.bin"]
    mark = tree.s3.head_object(Bucket="artifacts", Key=f"{tree.prefix}/data/model.bin")["ETag"]
    item = artifacts.Item("data/model.bin", "", len(content), mark)
    (piece,) = artifacts.pieces([item])
    part = piece.part(tmp_path)
    part.parent.mkdir()
    part.write_bytes(content[:60_000])
    seen = tree.fetch(tmp_path)
    assert there(tmp_path) == FILES
    jumps = [after - before for (before, _), (after, _) in zip([(0, 0), *seen], seen, strict=False)]
    assert 60_000 in jumps, jumps


def test_a_part_of_another_content_is_not_resumed(tree: Tree, tmp_path: Path):
    item = artifacts.Item("data/model.bin", "", 102_400, '"another"')
    (piece,) = artifacts.pieces([item])
    part = piece.part(tmp_path)
    part.parent.mkdir()
    part.write_bytes(b"x" * 60_000)
    tree.fetch(tmp_path)
    assert (tmp_path / "data/model.bin").read_bytes() == FILES["data/model.bin"]


def test_complete_files_are_kept_and_wrong_ones_downloaded_again(tree: Tree, tmp_path: Path):
    tree.fetch(tmp_path)
    before = (tmp_path / "MLmodel").stat().st_mtime_ns
    tree.fetch(tmp_path)
    assert (tmp_path / "MLmodel").stat().st_mtime_ns == before
    (tmp_path / "MLmodel").write_bytes(b"flavors: {!")
    tree.fetch(tmp_path)
    assert there(tmp_path) == FILES


def test_other_files_in_the_folder_are_not_changed(tree: Tree, tmp_path: Path):
    (tmp_path / "notes.txt").write_text("mine")
    tree.fetch(tmp_path)
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_bytes_that_differ_from_the_registered_ones_are_refused(tree: Tree, tmp_path: Path):
    tree.s3.put_object(Bucket="artifacts", Key=f"{tree.prefix}/MLmodel", Body=b"flavors: {!")
    with pytest.raises(Failed, match="ArtifactDigestMismatch") as caught:
        tree.fetch(tmp_path)
    assert tree.digest in str(caught.value)


def test_an_additional_file_changes_the_digest(tree: Tree, tmp_path: Path):
    tree.s3.put_object(Bucket="artifacts", Key=f"{tree.prefix}/more", Body=b"")
    with pytest.raises(Failed, match="ArtifactDigestMismatch"):
        tree.fetch(tmp_path)


def test_an_empty_tree_is_artifact_missing(tree: Tree, tmp_path: Path):
    with pytest.raises(Failed, match="ArtifactMissing"):
        artifacts.fetch(tree.connection, "s3://artifacts/none", tree.digest, tmp_path)
    with pytest.raises(Failed, match="ArtifactMissing"):
        artifacts.fetch(tree.connection, "s3://no-such-bucket/none", tree.digest, tmp_path)


def test_wrong_keys_are_not_allowed_and_an_absent_server_is_unreachable(tree: Tree, tmp_path: Path):
    with pytest.raises(NotAllowed, match="Secret modelyard-connection"):
        tree.fetch(tmp_path, AWS_SECRET_ACCESS_KEY="wrong")
    with pytest.raises(Unreachable, match="Call again to continue"):
        tree.fetch(tmp_path, MLFLOW_S3_ENDPOINT_URL="http://127.0.0.1:1")


def test_a_404_of_a_gateway_is_not_a_404_of_s3(tree: Tree, tmp_path: Path):
    with nobody() as store, pytest.raises(Unreachable, match="No S3 answers"):
        tree.fetch(tmp_path / "model", MLFLOW_S3_ENDPOINT_URL=store.url)


# --- files that must not be written
# ----------------------------------------------------------------------
@pytest.mark.parametrize(
    "path",
    [".git/hooks/post-checkout", "code/.vscode/tasks.json", ".git", "a/.GIT./config", ".envrc"],
)
def test_a_tree_with_files_that_configure_a_tool_is_not_written(
    tree: Tree, tmp_path: Path, path: str
):
    hostile = Tree(
        tree.s3,
        servers.Minio(tree.connection["MLFLOW_S3_ENDPOINT_URL"]),
        FILES | {path: b"#!/bin/sh\n"},
    )
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "config").write_text("[core]\n")
    before = there(tmp_path)
    with pytest.raises(Failed, match="belongs to a tool") as caught:
        hostile.fetch(tmp_path)
    assert (caught.value.reason, path in str(caught.value)) == ("ArtifactInvalid", True)
    assert there(tmp_path) == before


@pytest.mark.parametrize("where", [".git", ".git/hooks", "repository/.hg/store"])
def test_nothing_is_written_into_a_repository(tree: Tree, tmp_path: Path, where: str):
    (tmp_path / where).mkdir(parents=True)
    with pytest.raises(Failed, match="Choose another folder"):
        tree.fetch(tmp_path / where)
    (tmp_path / "link").symlink_to(tmp_path / where)
    with pytest.raises(Failed, match="Choose another folder"):
        tree.fetch(tmp_path / "link")
    assert there(tmp_path) == {}


def test_a_symbolic_link_in_the_folder_is_not_followed(tree: Tree, tmp_path: Path):
    (tmp_path / ".git").mkdir()
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "data").symlink_to(tmp_path / ".git")
    with pytest.raises(Failed, match="symbolic link"):
        tree.fetch(tmp_path / "model")
    assert there(tmp_path) == {}


def test_a_folder_below_a_repository_is_written(tree: Tree, tmp_path: Path):
    (tmp_path / ".git").mkdir()
    harmless = {".gitattributes": b"x", ".cache/huggingface/x": b"x", "data/.gitignore": b"*"}
    plain = Tree(
        tree.s3, servers.Minio(tree.connection["MLFLOW_S3_ENDPOINT_URL"]), FILES | harmless
    )
    plain.fetch(tmp_path)
    assert there(tmp_path) == FILES | harmless
