"""A version's artifact tree on this machine: the whole of it, gone on with where it stopped, and
checked by its digest.

    fetch(connection, "s3://bucket/prefix", "sha256:...", Path("model"))

What the files mean does not belong here: nothing is opened but to be hashed.
"""

import hashlib
import os
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelyard.api.artifacts import (
    Location,
    S3Kind,
    is_folder_mark,
    meddling,
    parse_uri,
    read_s3_error,
    unwritable,
)
from modelyard.api.digest import FileDigest, tree_digest
from modelyard.api.flavors import MLMODEL, why_code
from modelyard.api.mlmodel import MLMODEL_LIMIT
from modelyard.api.pod_end import PodReason
from modelyard.client.errors import ClientError, Failed, NotAllowed, Unreachable
from modelyard.client.packages import need
from modelyard.client.proxies import never_by_proxy

__all__ = ["Item", "Piece", "cache", "fetch", "pieces", "s3_client", "told", "why_code_in"]

_WHAT = "Downloading a model"
_STREAMS = 8
_PIECE = 32 * 1024 * 1024
"""Bytes of one request; a larger file is fetched in several, side by side."""
_CHUNK = 256 * 1024
_REPOSITORIES = frozenset({".git", ".hg", ".svn", ".jj"})
Seen = Callable[[int, int], None]


@dataclass(frozen=True)
class Item:
    """A file of the tree: its path below the root, its key in the bucket, its size in bytes, and
    S3's mark of its content.
    """

    path: str
    key: str
    size: int
    etag: str

    @property
    def mark(self) -> str:
        """Names parts of this content of this file; short, for a file's own name may be as long
        as names can be.
        """
        return hashlib.sha256(f"{self.path}\n{self.etag}".encode()).hexdigest()[:20]


@dataclass(frozen=True)
class Piece:
    """A range of a file: from its first byte to the one behind its last."""

    item: Item
    start: int
    end: int

    def part(self, folder: Path) -> Path:
        """Where it is kept until the file is whole."""
        target = folder / self.item.path
        return target.with_name(f".{self.item.mark}.{self.start}.part")


def pieces(items: Sequence[Item], size: int = _PIECE) -> list[Piece]:
    """Cut files into pieces; an empty file is one."""
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
    """Bring a tree to a folder. Files that are there with the right size are not fetched again,
    unless the digest says that they are wrong.

    Args:
        connection: Keys and endpoint, as the Secret has them; the endpoint answers from here.
        uri: The tree: `s3://bucket/prefix`.
        digest: Its digest, as it was registered.
        folder: Where to; it is made. Other files in it stay.
        seen: Called with (bytes done, bytes in all), from several threads but never at once.
        size: Bytes of a piece.

    Raises:
        Failed: ArtifactMissing, ArtifactInvalid or ArtifactDigestMismatch.
        NotAllowed: S3 refuses the keys.
        Unreachable: S3 does not answer; what has arrived stays, and is gone on with next time.

    """
    with closing(s3_client(connection, _WHAT)) as s3:
        return _fetched(_Tree(s3, uri, folder, seen, size), uri, digest, folder)


def why_code_in(folder: Path) -> str:
    """Say why loading the model in a folder runs code that came with it; empty: it is data."""
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
        # One of those that were there already has the right size and other bytes.
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
    """A tree that is being fetched."""

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
        """Fetch what is not there; return what was."""
        there = [
            item
            for item in self._items
            if (file := self._folder / item.path).is_file() and file.stat().st_size == item.size
        ]
        missing = [item for item in self._items if item not in there]
        self._done = 0
        self._arrived(sum(item.size for item in there))
        with ThreadPoolExecutor(_STREAMS, thread_name_prefix="modelyard-download") as pool:
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
        """Hash the files of the tree, and no others."""
        return tree_digest(
            FileDigest(item.path, item.size, _sha256(self._folder / item.path))
            for item in self._items
        )

    def _listed(self) -> list[Item]:
        items: list[Item] = []
        with told(self._uri, _WHAT):
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
            raise Failed(self._uri, PodReason.ARTIFACT_MISSING, "nothing lies there any more.")
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
        """Fetch a piece, or what is missing of it."""
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
        with told(f"s3://{self._place.bucket}/{piece.item.key}", _WHAT), part.open("ab") as file:
            answer = self._s3.get_object(Bucket=self._place.bucket, Key=piece.item.key, **more)
            for chunk in answer["Body"].iter_chunks(_CHUNK):
                if self._stop.is_set():
                    return
                file.write(chunk)
                self._arrived(len(chunk))

    def _joined(self, item: Item) -> None:
        """Make the file of its pieces; it appears whole or not at all."""
        target, parts = (
            self._folder / item.path,
            [piece.part(self._folder) for piece in pieces([item], self._piece_size)],
        )
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
    """Refuse to write what a tool would obey, and into what is a tool's own.

    Raises:
        Failed: ArtifactInvalid; nothing has been written.

    """
    if path := meddling(paths):
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
            f"{folder} lies in {tool}, which belongs to a tool. Name another folder.",
        )
    leads_out = next(
        (path for path in paths if (root / path).parent.resolve() != root.joinpath(path).parent),
        None,
    )
    if leads_out is not None:
        message = (
            f"{leads_out[:120]!r} would be written elsewhere: a folder in {folder} is a symbolic"
            " link. Name another folder."
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


def s3_client(connection: Mapping[str, str], what: str) -> Any:
    """Return a client with a namespace's own keys, whatever the environment and ~/.aws say;
    `what` needs it.
    """
    endpoint = connection["MLFLOW_S3_ENDPOINT_URL"]
    boto3, config = need("boto3", what), need("botocore.config", what)
    return boto3.session.Session(
        aws_access_key_id=connection["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=connection["AWS_SECRET_ACCESS_KEY"],
        aws_session_token=connection.get("AWS_SESSION_TOKEN") or None,
        region_name=connection.get("AWS_DEFAULT_REGION") or "us-east-1",
    ).client(
        "s3",
        endpoint_url=endpoint,
        config=config.Config(
            connect_timeout=5,
            read_timeout=30,
            retries={"total_max_attempts": 3, "mode": "standard"},
            max_pool_connections=_STREAMS,
            # None: as the environment says.
            proxies={} if never_by_proxy(endpoint) else None,
            s3={"addressing_style": "path"},
        ),
    )


@contextmanager
def told(subject: str, what: str) -> Iterator[None]:
    """Turn S3's errors about a subject into ours."""
    vendor = need("botocore.exceptions", what)
    try:
        yield
    except (vendor.BotoCoreError, vendor.ClientError) as error:
        raise _translated(error, subject) from error


def _translated(error: Exception, what: str) -> ClientError:
    answer = read_s3_error(getattr(error, "response", {}))
    if answer.kind is S3Kind.CHANGED:
        return Failed(
            what,
            PodReason.DIGEST_MISMATCH,
            "it changed while it was fetched: it is not what was registered.",
        )
    if answer.kind in {S3Kind.NO_OBJECT, S3Kind.NO_BUCKET}:
        return Failed(what, PodReason.ARTIFACT_MISSING, f"{answer.detail}.")
    if answer.kind is S3Kind.NOT_S3:
        return Unreachable(
            "No S3 answers at the address in the Secret modelyard-connection. What has arrived"
            " stays; call again to go on."
        )
    if answer.kind in {S3Kind.FORBIDDEN, S3Kind.REDIRECT, S3Kind.REFUSED}:
        return NotAllowed(
            f"S3 refuses the Secret modelyard-connection: {answer.detail}. Have it corrected."
        )
    return Unreachable(f"S3 does not answer: {error}. What has arrived stays; call again to go on.")


def cache() -> Path:
    """Return where loaded models are kept, each under its digest."""
    root = os.environ.get("MODELYARD_CACHE") or os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(root).expanduser() / "modelyard" / "models"
