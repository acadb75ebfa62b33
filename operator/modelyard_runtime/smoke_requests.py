"""What the gate `smoke` sends: requests from a ConfigMap or S3, and the model's input example."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelyard.api import wire
from modelyard.api.artifacts import Location, Reach, is_folder_mark, parse_uri
from modelyard.api.digest import listing_digest
from modelyard.api.flavors import MLMODEL
from modelyard.api.pod_end import PodReason
from modelyard_runtime import s3
from modelyard_runtime.outcome import Failure, one_line
from modelyard_runtime.serve.artifact import example_path, parsed

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

__all__ = ["EXAMPLE", "LIMIT", "Case", "Example", "cases", "example", "from_config_map", "from_s3"]

LIMIT = 1024 * 1024
"""Most bytes of a request file, an input example and an MLmodel file: what a ConfigMap can hold."""
EXAMPLE = "the input example"
_MOST_CASES = 1000
_SHOWN = 160


@dataclass(frozen=True)
class Case:
    """One request.

    Attributes:
        name: Its name in messages.
        body: The body.
        path: The path, by the body's protocol.
        expect: What the answer must contain; None: any answer is accepted.

    """

    name: str
    body: bytes
    path: str
    expect: Any = None


@dataclass(frozen=True)
class Example:
    """The input example of a model.

    Attributes:
        case: The request; None: there is no example, or it is not sent.
        why: Why an existing example is not sent; otherwise empty.

    """

    case: Case | None = None
    why: str = ""


# --- the requests ---------------------------------------------------------------------------------
def cases(data: bytes, name: str) -> list[Case]:
    """Parse the request file.

    Args:
        data: Its bytes.
        name: The model's name in the paths of the protocols.

    Raises:
        Failure: RequestsFailed, naming the invalid entry.

    """
    try:
        listed = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise _failure(f"the file of requests is not JSON: {one_line(error, _SHOWN)}") from None
    if not isinstance(listed, list) or not 0 < len(listed) <= _MOST_CASES:
        raise _failure(
            f"the file of requests must be a list of 1 to {_MOST_CASES} objects such as"
            ' {"request": ..., "expect": ...}'
        )
    return [_case(number, each, name) for number, each in enumerate(listed, 1)]


def _case(number: int, given: Any, name: str) -> Case:
    if (
        not isinstance(given, dict)
        or not isinstance(given.get("request"), dict)
        or given.keys() - {"request", "expect"}
    ):
        raise _failure(
            f"entry {number} of the requests must be an object with request (the body) and,"
            " optionally, expect (the answer)"
        )
    request = given["request"]
    if "instances" in request:
        path = f"/v1/models/{name}:predict"
    elif "inputs" in request:
        path = f"/v2/models/{name}/infer"
    else:
        raise _failure(
            f"entry {number} of the requests is neither a V1 body (with instances) nor a V2 body"
            " (with inputs)"
        )
    return Case(f"request {number}", json.dumps(request).encode(), path, given.get("expect"))


def from_config_map(folder: Path, config_map: str, key: str, digest: str) -> bytes:
    """Read the mounted request file.

    Args:
        folder: Where it is mounted; empty while the ConfigMap or its key does not exist.
        config_map: The ConfigMap, for messages.
        key: Its key, for messages.
        digest: `sha256:<hex>` of its bytes.

    Raises:
        Failure: RequestsMissing, RequestsDigestMismatch.

    """
    what = f"the key {key} of the ConfigMap {config_map}"
    try:
        data = (folder / wire.REQUESTS_FILE).read_bytes()
    except OSError:
        raise _missing(f"waits for {what}") from None
    return _pinned(data, digest, what)


def from_s3(store: "S3Client", uri: str, digest: str, reach: Reach | None) -> bytes:
    """Read the request file from S3.

    Args:
        store: From `s3.client`.
        uri: `s3://bucket/key`.
        digest: `sha256:<hex>` of its bytes.
        reach: What the namespace may read; None: its connection does not say, so nothing is read.

    Raises:
        Failure: RequestsMissing (it does not exist, or may not be read), RequestsDigestMismatch,
            RequestsFailed (its URI or size), StoreUnavailable, InvalidConfiguration.

    """
    try:
        place = parse_uri(uri)
    except ValueError as error:
        raise _failure(f"requests.uri: {error}") from error
    if reach is None:
        message = (
            f"{uri} is not read: the pods' connection Secret has no MODELYARD_BUCKET, so it is"
            " unknown what they may read"
        )
        raise Failure(PodReason.INVALID_CONFIGURATION, message)
    if not reach.reads(place):
        raise _missing(f"waits for the right to read {uri}: {reach.outside}")
    try:
        data = s3.read(store, place.bucket, place.key, LIMIT)
    except s3.Unreachable as error:
        raise Failure(PodReason.STORE_UNAVAILABLE, str(error)) from error
    except s3.TooLarge as error:
        raise _failure(f"{error}; a file of requests has at most {LIMIT >> 20} MiB") from error
    except s3.StoreError as error:
        raise _missing(f"waits for {error}") from error
    return _pinned(data, digest, uri)


def _pinned(data: bytes, digest: str, what: str) -> bytes:
    found = f"sha256:{hashlib.sha256(data).hexdigest()}"
    if found != digest:
        raise Failure(
            PodReason.REQUESTS_MISMATCH,
            f"{what} has the digest {found}, but the gate names {digest}",
        )
    return data


# --- the input example ----------------------------------------------------------------------------
def example(store: "S3Client", uri: str, listed_as: str | None) -> Example:
    """Read a model's input example, a body of /invocations, from its artifact tree.

    Computing the version's digest would take the bytes of the whole tree, so this relies on the
    store's listing instead: the listing (path, size and ETag of every file) must be the one that
    the operator recorded when it computed the digest, and the file must have its ETag. A store that
    returns other bytes under the same ETag is not detected here; the candidate's own pod has
    checked the digest, and predicted the example, before it became ready.

    Args:
        store: From `s3.client`.
        uri: The tree, s3://bucket/prefix.
        listed_as: Digest of the listing that the operator recorded; None: nothing is compared.

    Raises:
        Failure: ArtifactDigestMismatch, ArtifactMissing, ArtifactInvalid, ConnectionRefused,
            StoreUnavailable.

    """
    try:
        return _example(store, uri, listed_as)
    except s3.Unreachable as error:
        raise Failure(PodReason.STORE_UNAVAILABLE, str(error)) from error
    except s3.Denied as error:
        raise Failure(PodReason.CONNECTION_REFUSED, str(error)) from error
    except s3.Gone as error:
        raise Failure(PodReason.ARTIFACT_MISSING, str(error)) from error
    except (s3.StoreError, ValueError, RecursionError) as error:
        raise Failure(PodReason.ARTIFACT_INVALID, f"{uri}: {one_line(error, _SHOWN)}") from error


def _example(store: "S3Client", uri: str, listed_as: str | None) -> Example:
    place = parse_uri(uri)
    files = _files(store, place)
    if listed_as not in {None, listing_digest((path, *file) for path, file in files.items())}:
        raise Failure(
            PodReason.DIGEST_MISMATCH,
            f"the files under {uri} have changed since the operator read them",
        )

    def read(path: str) -> bytes:
        return s3.read(store, place.bucket, place.prefix + path, LIMIT, files[path][1])

    if MLMODEL not in files:
        raise s3.Gone(f"{place.prefix}{MLMODEL}: there is no such object")
    name = example_path(parsed(read(MLMODEL).decode()))
    if name not in files:
        return Example()
    size, _ = files[name]
    if size > LIMIT:
        has = f"it has {size / LIMIT:.1f} MiB, more than {LIMIT >> 20}"
        return Example(why=f"{EXAMPLE} was not sent: {has}")
    return Example(Case(EXAMPLE, read(name), "/invocations"))


def _files(store: "S3Client", place: Location) -> dict[str, tuple[int, str]]:
    """List the tree as the operator does: size and ETag by relative path."""
    found = (
        each
        for each in s3.entries(store, place.bucket, place.prefix)
        if not is_folder_mark(each.key, each.size)
    )
    return {each.key.removeprefix(place.prefix): (each.size, each.etag) for each in found}


def _missing(message: str) -> Failure:
    return Failure(PodReason.REQUESTS_MISSING, message)


def _failure(message: str) -> Failure:
    return Failure(PodReason.REQUESTS_FAILED, message)
