"""Downloading a version: `modelyard download` compared with the plain S3 client, from a local
MinIO.

Both write to the same disk. Ours also hashes what has arrived and compares the tree's digest;
boto3's `download_file` checks nothing.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelyard.api.digest import FileDigest, tree_digest
from modelyard.client.artifacts import fetch
from tests.bench.figures import Samples
from tests.cluster.console import Console
from tests.servers import Minio, minio

__all__ = ["BOTO3", "OURS", "TREES", "measure"]

OURS, BOTO3 = "modelyard download", "boto3"
BUCKET = "models"
MB = 1_000_000


@dataclass(frozen=True)
class Tree:
    """This many files of this many bytes each."""

    title: str
    files: int
    size: int

    @property
    def prefix(self) -> str:
        return f"{self.files}x{self.size}"

    @property
    def megabytes(self) -> float:
        return self.files * self.size / MB


TREES = (
    Tree("one file of 512 MB", 1, 512 * MB),
    Tree("8 files of 48 MB", 8, 48 * MB),
    Tree("300 files of 20 kB", 300, 20_000),
)


def measure(rounds: int, console: Console) -> Samples:
    """Download every tree in every round by both, in turns."""
    samples = Samples()
    with tempfile.TemporaryDirectory(prefix="modelyard-bench-") as name:
        folder = Path(name)
        with minio(folder / "minio") as server:
            s3 = server.s3()
            s3.create_bucket(Bucket=BUCKET)
            digests = {tree: filled(s3, tree) for tree in TREES}
            ways: Mapping[str, Callable[[Tree, Path], None]] = {
                OURS: lambda tree, to: ours(server, tree, digests[tree], to),
                BOTO3: lambda tree, to: plain(s3, tree, to),
            }
            for number in range(rounds):
                for tree in TREES:
                    for subject in (OURS, BOTO3)[:: 1 if number % 2 == 0 else -1]:
                        took = timed(ways[subject], tree, folder / "to")
                        samples.add(f"{subject}, {tree.title}", {"rate": tree.megabytes / took})
                        console.say(
                            f"download {number + 1}/{rounds}: {subject}, {tree.title}:"
                            f" {tree.megabytes / took:.0f} MB/s"
                        )
    return samples


def filled(s3: Any, tree: Tree) -> str:
    """Upload a tree; return its digest. Files differ only in their first bytes, so that creating
    them is fast.
    """
    body, found = bytearray(os.urandom(tree.size)), []
    for number in range(tree.files):
        body[:8] = number.to_bytes(8, "big")
        name = f"part-{number:03d}.bin"
        s3.put_object(Bucket=BUCKET, Key=f"{tree.prefix}/{name}", Body=bytes(body))
        found.append(FileDigest(name, tree.size, hashlib.sha256(body).hexdigest()))
    return tree_digest(found)


def timed(way: Callable[[Tree, Path], None], tree: Tree, to: Path) -> float:
    """Seconds of one download into an empty folder."""
    to.mkdir()
    try:
        begun = time.monotonic()
        way(tree, to)
        return time.monotonic() - begun
    finally:
        shutil.rmtree(to)


def ours(server: Minio, tree: Tree, digest: str, to: Path) -> None:
    fetch(server.environment, f"s3://{BUCKET}/{tree.prefix}", digest, to)


def plain(s3: Any, tree: Tree, to: Path) -> None:
    """Download as users do without modelyard: list, and `download_file` for each, which fetches a
    large one in parallel parts.
    """
    for page in s3.get_paginator("list_objects_v2").paginate(
        Bucket=BUCKET, Prefix=f"{tree.prefix}/"
    ):
        for each in page["Contents"]:
            s3.download_file(BUCKET, each["Key"], str(to / each["Key"].rpartition("/")[2]))
