"""Loading an image into the node: only missing layers are sent, with a complete manifest."""

import gzip
import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.load import Archive, qualified, write_missing

LAYERS = [b"the base" * 100, b"the libraries" * 1000, b"our code"]
DIFFS = [f"sha256:{hashlib.sha256(layer).hexdigest()}" for layer in LAYERS]
CONFIG = json.dumps(
    {"architecture": "amd64", "rootfs": {"type": "layers", "diff_ids": DIFFS}}
).encode()


def digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def add(tar: tarfile.TarFile, name: str, content: bytes = b"", link: str = "") -> None:
    info = tarfile.TarInfo(name)
    if link:
        info.type, info.linkname = tarfile.SYMTYPE, link
    info.size = len(content)
    tar.addfile(info, io.BytesIO(content))


def saved_by_old_engine(path: Path) -> Archive:
    """As Docker 20 saves: folders named by chain, the manifest last, a repeated layer as a link."""
    with tarfile.open(path, "w") as tar:
        for number, layer in enumerate(LAYERS):
            add(tar, f"chain{number}/VERSION", b"1.0")
            add(tar, f"chain{number}/layer.tar", layer)
        add(tar, "chain9/layer.tar", link="../chain0/layer.tar")
        add(tar, f"{digest(CONFIG)[7:]}.json", CONFIG)
        layers = ["chain9/layer.tar", "chain1/layer.tar", "chain2/layer.tar"]
        add(
            tar,
            "manifest.json",
            json.dumps(
                [{"Config": f"{digest(CONFIG)[7:]}.json", "RepoTags": ["a:b"], "Layers": layers}]
            ).encode(),
        )
    return Archive(tarfile.open(path))


def saved_by_new_engine(path: Path) -> tuple[Archive, list[bytes]]:
    """As engines with containerd's store save: blobs named by digest, some of them compressed."""
    blobs = [gzip.compress(LAYERS[0]), gzip.compress(LAYERS[1]), LAYERS[2]]
    with tarfile.open(path, "w") as tar:
        for blob in (*blobs, CONFIG):
            add(tar, f"blobs/sha256/{digest(blob)[7:]}", blob)
        names = [f"blobs/sha256/{digest(blob)[7:]}" for blob in (CONFIG, *blobs)]
        add(
            tar,
            "manifest.json",
            json.dumps([{"Config": names[0], "RepoTags": ["a:b"], "Layers": names[1:]}]).encode(),
        )
    return Archive(tarfile.open(path)), blobs


def sent(
    archive: Archive, has: list[str]
) -> tuple[int, dict[str, bytes], dict[str, Any], dict[str, Any]]:
    """Return what is written: the bytes of layers, every file, the manifest and its entry in the
    index. Every blob's digest must match its name.
    """
    out = io.BytesIO()
    size = write_missing(archive, "docker.io/modelyard/runtime:dev", has, out)
    archive.tar.close()
    with tarfile.open(fileobj=io.BytesIO(out.getvalue())) as tar:
        files = {member.name: tar.extractfile(member).read() for member in tar}  # type: ignore[union-attr]
    for name, content in files.items():
        if name.startswith("blobs/"):
            assert name == "blobs/" + digest(content).replace(":", "/")
    entry = json.loads(files["index.json"])["manifests"][0]
    return size, files, json.loads(files["blobs/" + entry["digest"].replace(":", "/")]), entry


def test_everything_goes_to_a_node_that_has_nothing(tmp_path: Path) -> None:
    size, files, manifest, entry = sent(saved_by_old_engine(tmp_path / "a.tar"), [])
    assert size == sum(map(len, LAYERS))
    assert [layer["digest"] for layer in manifest["layers"]] == DIFFS
    assert [layer["size"] for layer in manifest["layers"]] == [len(layer) for layer in LAYERS]
    assert manifest["config"]["digest"] == digest(CONFIG)
    assert entry["annotations"]["io.containerd.image.name"] == "docker.io/modelyard/runtime:dev"
    assert {f"blobs/sha256/{each[7:]}" for each in DIFFS} <= files.keys()


def test_only_the_last_layer_goes_to_a_node_that_has_the_others(tmp_path: Path) -> None:
    size, files, manifest, _ = sent(saved_by_old_engine(tmp_path / "a.tar"), DIFFS[:2])
    assert size == len(LAYERS[2])
    assert [layer["digest"] for layer in manifest["layers"]] == DIFFS
    assert [
        name for name in files if name.removeprefix("blobs/sha256/") in {each[7:] for each in DIFFS}
    ] == [f"blobs/sha256/{DIFFS[2][7:]}"]


def test_the_manifest_is_the_same_whatever_the_node_has(tmp_path: Path) -> None:
    assert (
        sent(saved_by_old_engine(tmp_path / "a.tar"), [])[3]
        == sent(saved_by_old_engine(tmp_path / "b.tar"), DIFFS)[3]
    )


def test_a_newer_engines_blobs_keep_their_own_digests_and_compression(tmp_path: Path) -> None:
    archive, blobs = saved_by_new_engine(tmp_path / "a.tar")
    size, _, manifest, _ = sent(archive, [digest(blobs[0])])
    assert size == len(blobs[1]) + len(blobs[2])
    assert [layer["digest"] for layer in manifest["layers"]] == [digest(blob) for blob in blobs]
    assert [layer["mediaType"].endswith("+gzip") for layer in manifest["layers"]] == [
        True,
        True,
        False,
    ]


@pytest.mark.parametrize(
    ("tag", "name"),
    [
        ("debian:trixie-slim", "docker.io/library/debian:trixie-slim"),
        ("modelyard/operator:dev", "docker.io/modelyard/operator:dev"),
        ("registry.k8s.io/pause:3.10", "registry.k8s.io/pause:3.10"),
        ("localhost/a:b", "localhost/a:b"),
        ("host:5000/a:b", "host:5000/a:b"),
    ],
)
def test_names_as_containerd_writes_them(tag: str, name: str) -> None:
    assert qualified(tag) == name
