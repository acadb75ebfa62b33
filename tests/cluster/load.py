"""Load images from the engine into the node, without the layers that the node has already.

An engine's image is a configuration and layers; the node keeps every layer that it was ever given
under the layer's digest. So only the missing layers are sent, with a manifest that names all of
them.
"""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import tarfile
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from tests.cluster.console import Failed, Log

__all__ = ["Archive", "load", "node_has", "qualified", "write_missing"]

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
GZIP = b"\x1f\x8b"


def qualified(tag: str) -> str:
    """Return a tag as containerd names it: with its registry."""
    first = tag.split("/", 1)[0]
    if "/" in tag and ("." in first or ":" in first or first == "localhost"):
        return tag
    return f"docker.io/{tag}" if "/" in tag else f"docker.io/library/{tag}"


def in_node(node: str, *words: str) -> bytes:
    """Return the output of containerd's client in the node; raises ``Failed``."""
    command = ["docker", "exec", node, "ctr", "-n", "k8s.io", *words]
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode:
        raise Failed(f"ctr {' '.join(words)}: {done.stderr.decode().strip()}")
    return done.stdout


def node_digests(node: str) -> set[str]:
    """Return the digests of everything in the node's store."""
    return set(in_node(node, "content", "ls", "-q").decode().split())


def node_has(node: str, tag: str, image_id: str) -> bool:
    """Return whether the node's image of that name is the engine's image of that id."""
    for line in in_node(node, "images", "ls", f"name=={qualified(tag)}").decode().splitlines()[1:]:
        manifest = json.loads(in_node(node, "content", "get", line.split()[2]))
        return bool(manifest.get("config", {}).get("digest") == image_id)
    return False


@dataclass(frozen=True)
class Archive:
    """An archive of ``docker save``, in either of its formats."""

    tar: tarfile.TarFile

    def member(self, name: str) -> tarfile.TarInfo:
        found = self.tar.getmember(name)
        while (
            found.issym()
        ):  # older engines write a layer that two images share once, and link to it
            found = self.tar.getmember(
                str(Path(found.name).parent / found.linkname)
                if ".." not in found.linkname
                else relative(found)
            )
        return found

    def read(self, name: str) -> bytes:
        stream = self.tar.extractfile(self.member(name))
        if stream is None:
            raise Failed(f"{name} in the saved image is no file")
        return stream.read()

    def open(self, name: str) -> IO[bytes]:
        stream = self.tar.extractfile(self.member(name))
        if stream is None:
            raise Failed(f"{name} in the saved image is no file")
        return stream

    def image(self) -> tuple[bytes, list[tuple[str, dict[str, Any]]]]:
        """Return the configuration, and for each layer its name in the archive and its
        descriptor.
        """
        entry = json.loads(self.read("manifest.json"))[0]
        config = self.read(entry["Config"])
        diffs = json.loads(config)["rootfs"]["diff_ids"]
        layers = [
            (name, self._descriptor(name, diff))
            for name, diff in zip(entry["Layers"], diffs, strict=True)
        ]
        return config, layers

    def _descriptor(self, name: str, diff: str) -> dict[str, Any]:
        with self.open(name) as stream:
            zipped = stream.read(2) == GZIP
        # A file named by its digest may be compressed; any other is the plain layer and has the
        # layer's digest.
        digest = f"sha256:{name.rsplit('/', 1)[1]}" if name.startswith("blobs/sha256/") else diff
        return {
            "mediaType": LAYER + ("+gzip" if zipped else ""),
            "digest": digest,
            "size": self.member(name).size,
        }


def relative(link: tarfile.TarInfo) -> str:
    """Return the target of a link in an archive, as a name in the archive."""
    parts = [*Path(link.name).parent.parts]
    for part in Path(link.linkname).parts:
        if part == "..":
            parts.pop()
        else:
            parts.append(part)
    return "/".join(parts)


def write_missing(archive: Archive, name: str, has: Iterable[str], out: IO[bytes]) -> int:
    """Write an OCI archive of an image without the layers that ``has`` names; return the bytes of
    the written layers.
    """
    present, sent = set(has), 0
    config, layers = archive.image()
    described = {"mediaType": CONFIG, "digest": digest_of(config), "size": len(config)}
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": described,
            "layers": [layer for _, layer in layers],
        }
    ).encode()
    reference = {
        "mediaType": MANIFEST,
        "digest": digest_of(manifest),
        "size": len(manifest),
        "annotations": {
            "io.containerd.image.name": name,
            "org.opencontainers.image.ref.name": name.rsplit(":", 1)[-1],
        },
    }
    with tarfile.open(fileobj=out, mode="w|") as tar:
        put(tar, "oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
        put(tar, "index.json", json.dumps({"schemaVersion": 2, "manifests": [reference]}).encode())
        put(tar, blob(digest_of(manifest)), manifest)
        put(tar, blob(digest_of(config)), config)
        for path, layer in layers:
            if layer["digest"] not in present:
                present.add(layer["digest"])
                info = tarfile.TarInfo(blob(layer["digest"]))
                info.size = layer["size"]
                with archive.open(path) as stream:
                    tar.addfile(info, stream)
                sent += layer["size"]
    return sent


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def blob(digest: str) -> str:
    return "blobs/" + digest.replace(":", "/")


def put(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    tar.addfile(info, io.BytesIO(content))


def load(node: str, tag: str, log: Log, folder: Path) -> int:
    """Load an image into the node; return the bytes of the sent layers. Raises ``Failed``."""
    with tempfile.NamedTemporaryFile(dir=folder, suffix=".tar") as saved:
        log.run(["docker", "save", "-o", saved.name, tag])
        ctr = ["ctr", "-n", "k8s.io", "images", "import", "--digests=false", "-"]
        command = ["docker", "exec", "-i", node, *ctr]
        log.write("$ " + " ".join(command))
        with tarfile.open(saved.name) as tar, log.path.open("ab") as out:
            importing = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=out, stderr=subprocess.STDOUT
            )
            if importing.stdin is None:
                raise Failed("no pipe to the node")
            sent = 0
            try:
                with importing.stdin as pipe:
                    sent = write_missing(Archive(tar), qualified(tag), node_digests(node), pipe)
            except BrokenPipeError:
                pass  # the importer ended early: its exit code and its output in the log say why
            if importing.wait():
                raise Failed(
                    f"{tag} cannot be loaded into the node: ctr ended with {importing.returncode}"
                )
    return sent
