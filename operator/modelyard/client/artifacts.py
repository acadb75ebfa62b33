"""Downloading a version's artifact tree from S3: resumable, and checked by its digest.

fetch(connection, "s3://bucket/prefix", "sha256:...", Path("model"))
"""

import hashlib
import os
import shutil
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelyard.api.artifacts import (
    Location,
    is_folder_mark,
    parse_uri,
    tool_file,
    unwritable,
)
from modelyard.api.digest import FileDigest, tree_digest
from modelyard.api.flavors import MLMODEL, why_code
from modelyard.api.mlmodel import MLMODEL_LIMIT
from modelyard.api.pod_end import PodReason
from modelyard.client.errors import Failed
from modelyard.client.s3 import STREAMS, s3_client, s3_errors

__all__ = ["Item", "Piece", "cache", "fetch", "pieces", "why_code_in"]

_WHAT = "Downloading a model"
_PIECE = 32 * 1024 * 1024
"""Bytes of one request. A larger file is fetched in several requests, in parallel."""
_CHUNK = 256 * 1024
_REPOSITORIES = frozenset({".git", ".hg", ".svn", ".jj"})
Seen = Callable[[int, int], None]


@dataclass(frozen=True)
class Item:
    """A file of the tree.

    Attributes:
        path: Path below the root of the tree.
        key: Key in the bucket.
        size: Bytes.
        etag: S3's ETag, which changes with the content.

    """

    path: str
    key: str
    size: int
    etag: str

    @property
    def fingerprint(self) -> str:
        """Identifies this content of this file in the names of its parts.

        It is short, since the file's own name may already have the longest length that is allowed.
        """
        return hashlib.sha256(f"{self.path}\n{self.etag}".encode()).hexdigest()[:20]


@dataclass(frozen=True)
class Piece:
    """A range of a file: bytes `start` to `end`, without `end`."""

    item: Item
    start: int
    end: int

    def part(self, folder: Path) -> Path:
        """Return the file that holds this range until all ranges are downloaded."""
        target = folder / self.item.path
        return target.with_name(f".{self.item.fingerprint}.{self.start}.part")


def pieces(items: Sequence[Item], size: int = _PIECE) -> list[Piece]:
    """Cut files into pieces of at most `size` bytes; an empty file is one piece."""
    return [
        Piece(item, start, min(start + size, item.size))
        for item in items
        for start in range(0, max(item.size, 1), size)
    ]


def fetch(
    connection: Mapping[str, str],
    uri: str,
    digest: str,
    folder: Path,
    seen: Seen | None = None,
    *,
    size: int = _PIECE,
) -> Path:
    """Download a tree to a folder, and return the folder.

    Existing files of the right size are kept. If the digest does not match then, they are
    downloaded again.

    Args:
        connection: The values of the connection's Secret, with an endpoint that this machine
            reaches.
        uri: The tree: `s3://bucket/prefix`.
        digest: The digest that was registered.
        folder: The folder; created if it does not exist. Its other files are not changed.
        seen: Called with (bytes downloaded, bytes in total), from several threads but one at a
            time.
        size: Bytes of a piece.

    Raises:
        Failed: Reason ArtifactMissing, ArtifactInvalid or ArtifactDigestMismatch.
        NotAllowed: S3 refuses the keys.
        Unreachable: S3 does not answer. The bytes that have arrived stay, and the next call
            continues from there.

    """
    with closing(s3_client(connection, _WHAT)) as s3:
        return _fetched(_Tree(s3, uri, folder, seen, size), uri, digest, folder)


def why_code_in(folder: Path) -> str:
    """Say why loading the model in a folder runs code that came with it; empty if it does not."""
    import yaml  # noqa: PLC0415 - a download does without

    try:
        text = (folder / MLMODEL).read_bytes()
        if len(text) > MLMODEL_LIMIT:
            return f"its MLmodel file is longer than {MLMODEL_LIMIT} bytes"
        flavors = {
            str(name): dict(flavor)
            for name, flavor in dict(yaml.safe_load(text)["flavors"]).items()
        }
    except (
        OSError,
        ValueError,
        TypeError,
        KeyError,
        AttributeError,
        RecursionError,
        yaml.YAMLError,
    ):
        return "its MLmodel file cannot be read"
    files = frozenset(
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()
    )
    return why_code(flavors, files)


def _fetched(tree: "_Tree", uri: str, digest: str, folder: Path) -> Path:
    kept = tree.bring()
    found = tree.digest()
    if found != digest and kept:
        # One of the existing files has the right size but other bytes.
        for item in kept:
            (folder / item.path).unlink()
        tree.bring()
        found = tree.digest()
    if found != digest:
        raise Failed(
            uri,
            PodReason.DIGEST_MISMATCH,
            f"it is not what was registered: expected {digest}, got {found}. Do not use {folder}.",
        )
    return folder


class _Tree:
    """A tree that is being downloaded."""

    def __init__(self, s3: Any, uri: str, folder: Path, seen: Seen | None, size: int) -> None:
        self._place = _place(uri)
        self._uri, self._folder, self._piece_size = uri, folder, size
        self._s3 = s3
        self._seen = seen or (lambda _done, _all: None)
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._done = 0
        self._items = self._listed()
        self._size = sum(item.size for item in self._items)

    def bring(self) -> list[Item]:
        """Download the missing files, and return those that existed."""
        there = [
            item
            for item in self._items
            if (file := self._folder / item.path).is_file() and file.stat().st_size == item.size
        ]
        missing = [item for item in self._items if item not in there]
        self._done = 0
        self._arrived(sum(item.size for item in there))
        with ThreadPoolExecutor(STREAMS, thread_name_prefix="modelyard-download") as pool:
            jobs = [pool.submit(self._piece, piece) for piece in pieces(missing, self._piece_size)]
            try:
                done, _ = wait(jobs, return_when=FIRST_EXCEPTION)
                for job in done:
                    job.result()
            finally:
                self._stop.set()
                pool.shutdown(wait=True, cancel_futures=True)
        self._stop.clear()
        for item in missing:
            self._joined(item)
        return there

    def digest(self) -> str:
        """Return the digest of the tree's files; other files in the folder do not count."""
        return tree_digest(
            FileDigest(item.path, item.size, _sha256(self._folder / item.path))
            for item in self._items
        )

    def _listed(self) -> list[Item]:
        items: list[Item] = []
        with s3_errors(self._uri, _WHAT):
            for page in self._s3.get_paginator("list_objects_v2").paginate(
                Bucket=self._place.bucket, Prefix=self._place.prefix
            ):
                files = (
                    each
                    for each in page.get("Contents", ())
                    if not is_folder_mark(each["Key"], each["Size"])
                )
                items += [self._item(each) for each in files]
        if not items:
            raise Failed(self._uri, PodReason.ARTIFACT_MISSING, "it no longer has any files.")
        if complaint := unwritable(item.path for item in items):
            raise Failed(self._uri, PodReason.ARTIFACT_INVALID, f"{complaint}.")
        _check_target(self._uri, self._folder, [item.path for item in items])
        return items

    def _item(self, listed: Mapping[str, Any]) -> Item:
        return Item(
            listed["Key"].removeprefix(self._place.prefix),
            listed["Key"],
            listed["Size"],
            listed["ETag"],
        )

    def _piece(self, piece: Piece) -> None:
        """Download a piece, or the rest of it."""
        part = piece.part(self._folder)
        part.parent.mkdir(parents=True, exist_ok=True)
        have = part.stat().st_size if part.is_file() else 0
        if have > piece.end - piece.start:
            part.unlink()
            have = 0
        self._arrived(have)
        if have == piece.end - piece.start:
            part.touch()
            return
        more = {"IfMatch": piece.item.etag, "Range": f"bytes={piece.start + have}-{piece.end - 1}"}
        with (
            s3_errors(f"s3://{self._place.bucket}/{piece.item.key}", _WHAT),
            part.open("ab") as file,
        ):
            answer = self._s3.get_object(Bucket=self._place.bucket, Key=piece.item.key, **more)
            for chunk in answer["Body"].iter_chunks(_CHUNK):
                if self._stop.is_set():
                    return
                file.write(chunk)
                self._arrived(len(chunk))

    def _joined(self, item: Item) -> None:
        """Join the pieces of a file. The file appears complete or not at all."""
        target = self._folder / item.path
        parts = [piece.part(self._folder) for piece in pieces([item], self._piece_size)]
        if len(parts) > 1:
            with parts[0].open("ab") as whole:
                for part in parts[1:]:
                    with part.open("rb") as more:
                        shutil.copyfileobj(more, whole)
        parts[0].replace(target)
        for part in parts[1:]:
            part.unlink()

    def _arrived(self, count: int) -> None:
        with self._lock:
            self._done += count
            self._seen(self._done, self._size)


def _check_target(uri: str, folder: Path, paths: Sequence[str]) -> None:
    """Refuse to write files that a tool would execute or obey, and folders that belong to a tool.

    Raises:
        Failed: Reason ArtifactInvalid; nothing has been written.

    """
    if path := tool_file(paths):
        message = (
            f"{path[:120]!r} belongs to a tool, which may run it. Nothing was written. Register the"
            " model without it."
        )
        raise Failed(uri, PodReason.ARTIFACT_INVALID, message)
    root = folder.resolve()
    if tool := next((part for part in root.parts if part.casefold() in _REPOSITORIES), None):
        raise Failed(
            uri,
            PodReason.ARTIFACT_INVALID,
            f"{folder} is in {tool}, which belongs to a tool. Choose another folder.",
        )
    leads_out = next(
        (path for path in paths if (root / path).parent.resolve() != root.joinpath(path).parent),
        None,
    )
    if leads_out is not None:
        message = (
            f"{leads_out[:120]!r} would be written elsewhere: a folder in {folder} is a symbolic"
            " link. Choose another folder."
        )
        raise Failed(uri, PodReason.ARTIFACT_INVALID, message)


def _place(uri: str) -> Location:
    try:
        return parse_uri(uri)
    except ValueError as error:
        raise Failed("The artifacts' address", PodReason.ARTIFACT_INVALID, f"{error}.") from None


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def cache() -> Path:
    """Return the folder that keeps loaded models, each in a subfolder named by its digest."""
    root = os.environ.get("MODELYARD_CACHE") or os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(root).expanduser() / "modelyard" / "models"
