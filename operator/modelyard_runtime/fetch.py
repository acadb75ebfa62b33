"""Fetch a model's artifact tree from S3 and check its digest: the init container of a serving pod.

    python -m modelyard_runtime.fetch --uri s3://bucket/prefix --digest sha256:... \
        --to /modelyard/model

The tree is written whole or not at all. No file is interpreted, only hashed.
"""

import argparse
import hashlib
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from modelyard.api.artifacts import is_folder_mark, parse_uri
from modelyard.api.artifacts import unwritable as unwritable_tree
from modelyard.api.digest import FileDigest, tree_digest
from modelyard.api.pod_end import PodReason
from modelyard_runtime import s3
from modelyard_runtime.outcome import Failure, run_until_stopped, unwritable

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

__all__ = ["fetch", "fetched", "hashed", "local_tree", "main", "translated_errors"]

_STREAMS = 8
_MEGABYTE = 1e6


def local_tree(folder: Path) -> list[FileDigest]:
    """Hash the files under a folder."""
    found = []
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            found.append(
                FileDigest(path.relative_to(folder).as_posix(), path.stat().st_size, sha256)
            )
    return found


def fetch(uri: str, digest: str, target: Path) -> int:
    """Write the tree at `uri` to `target`, unless it is there already; return its size in bytes.

    Raises:
        Failure: ArtifactMissing, ArtifactInvalid, ArtifactDigestMismatch, ConnectionRefused,
            StoreUnavailable or VolumeFull. `target` is unchanged.

    """
    if target.is_dir() and tree_digest(have := local_tree(target)) == digest:
        print(f"{target} already has the digest {digest}", flush=True)
        return sum(file.size for file in have)
    partial = target.with_name(f".{target.name}.partial")
    try:
        with translated_errors(f"{uri} cannot be written to {target}"):
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True)
            files = fetched(uri, digest, partial.joinpath)
            shutil.rmtree(target, ignore_errors=True)
            partial.rename(target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return sum(file.size for file in files)


def _nowhere(_path: str) -> Path:
    return Path(os.devnull)


def fetched(uri: str, digest: str, place: Callable[[str], Path] = _nowhere) -> list[FileDigest]:
    """Write every file of the tree at `uri` to the path from `place`, and return their digests.

    Call it inside `translated_errors`.

    Raises:
        Failure: ArtifactDigestMismatch: the files are written, but do not have the digest.
        s3.StoreError: See `translated_errors`.

    """
    files = hashed(uri, place)
    if (found := tree_digest(files)) != digest:
        total = sum(file.size for file in files)
        message = (
            f"the files at {uri} are not those that were registered: expected {digest}, got"
            f" {found} of {len(files)} files, {total} bytes"
        )
        raise Failure(PodReason.DIGEST_MISMATCH, message)
    return files


@contextmanager
def translated_errors(unwritten: str) -> Iterator[None]:
    """Turn errors of S3 and the disk into a Failure.

    Its reason is ArtifactMissing, ConnectionRefused, StoreUnavailable, VolumeFull or, for other
    errors of the disk, ArtifactInvalid.

    Args:
        unwritten: For a failing disk, the message: what cannot be written, and where.

    """
    try:
        yield
    except s3.Unreachable as error:
        raise Failure(PodReason.STORE_UNAVAILABLE, str(error)) from error
    except s3.Denied as error:
        raise Failure(PodReason.CONNECTION_REFUSED, str(error)) from error
    except s3.StoreError as error:
        raise Failure(PodReason.ARTIFACT_MISSING, str(error)) from error
    except OSError as error:
        raise unwritable(error, unwritten, PodReason.ARTIFACT_INVALID) from error


class _Cancelled(Exception):
    """Another file of the tree failed."""


class _Progress:
    """Counts the bytes that arrived, for the log, and stops all streams."""

    def __init__(self, files: int, size: int) -> None:
        self.files, self.size = files, size
        self._bytes = 0
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._start = time.monotonic()

    def arrived(self, size: int) -> None:
        if self._stopped.is_set():
            raise _Cancelled
        with self._lock:
            self._bytes += size

    def stop(self) -> None:
        self._stopped.set()

    def show(self, done: int) -> None:
        seconds = max(time.monotonic() - self._start, 1e-3)
        megabytes, whole = self._bytes / _MEGABYTE, self.size / _MEGABYTE
        speed = f"{megabytes / seconds:.0f} MB/s"
        print(
            f"fetched {done} of {self.files} files, {megabytes:.1f} of {whole:.1f} MB,"
            f" {seconds:.1f} s, {speed}",
            flush=True,
        )


def _plan(store: "S3Client", uri: str) -> tuple[str, dict[str, tuple[str, int]]]:
    """List the tree: bucket, and relative path -> key and size in bytes."""
    try:
        place = parse_uri(uri)
    except ValueError as error:
        raise Failure(PodReason.ARTIFACT_INVALID, f"the URI of the artifacts: {error}") from error
    found = s3.listing(store, place.bucket, place.prefix)
    listed = {
        key.removeprefix(place.prefix): (key, size)
        for key, size in found
        if not is_folder_mark(key, size)
    }
    if not listed:
        raise Failure(PodReason.ARTIFACT_MISSING, f"there are no objects under {uri}")
    if complaint := unwritable_tree(listed):
        raise Failure(PodReason.ARTIFACT_INVALID, f"{uri}: {complaint}")
    return place.bucket, listed


def hashed(uri: str, place: Callable[[str], Path] = _nowhere) -> list[FileDigest]:
    """Stream and hash every file of the tree, several at a time.

    Args:
        uri: The tree.
        place: Returns the path to write a file to; by default nothing is kept.

    Raises:
        Failure: ArtifactMissing or ArtifactInvalid.
        s3.StoreError: See `translated_errors`.

    """
    store = s3.client(_STREAMS)
    bucket, listed = _plan(store, uri)
    progress = _Progress(len(listed), sum(size for _, size in listed.values()))

    def one(path: str, key: str) -> FileDigest:
        target = place(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        sha256, size = s3.save(store, bucket, key, target, progress.arrived)
        return FileDigest(path, size, sha256)

    with ThreadPoolExecutor(_STREAMS) as pool:
        try:
            return _gather(
                [pool.submit(one, path, key) for path, (key, _) in sorted(listed.items())], progress
            )
        finally:
            progress.stop()
            pool.shutdown(wait=False, cancel_futures=True)


def _gather(jobs: Iterable[Future[FileDigest]], progress: _Progress) -> list[FileDigest]:
    """Wait for all jobs, or for the first that fails; log the progress every second."""
    jobs = list(jobs)
    pending = set(jobs)
    while pending:
        done, pending = wait(pending, timeout=1, return_when=FIRST_EXCEPTION)
        for job in done:
            job.result()
        progress.show(len(jobs) - len(pending))
    return [job.result() for job in jobs]


def main() -> None:
    """Parse the command line and fetch."""
    parser = argparse.ArgumentParser(prog="modelyard_runtime.fetch", description=__doc__)
    parser.add_argument("--uri", required=True, help="the tree: s3://bucket/prefix")
    parser.add_argument("--digest", required=True, help="sha256:<hex> of the tree")
    parser.add_argument("--to", required=True, type=Path, help="the folder to make")
    options = parser.parse_args()
    size = fetch(options.uri, options.digest, Path(os.path.abspath(options.to)))  # noqa: PTH100 - resolve() would follow a link
    print(f"{options.to} holds {options.uri}, {size} bytes, {options.digest}", flush=True)


if __name__ == "__main__":
    run_until_stopped(main)
