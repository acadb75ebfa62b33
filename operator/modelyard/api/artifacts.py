"""One rule for addresses in S3, who may read them, paths of an artifact tree and S3's errors.

The operator, the pods and the client share it; standard library only, for pods import it. Requests
belong to `adapters.s3`, `modelyard_runtime.s3` and `client.artifacts`.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from itertools import pairwise
from typing import Any

__all__ = [
    "KEPT",
    "Location",
    "Reach",
    "S3Answer",
    "S3Kind",
    "is_bucket",
    "is_folder_mark",
    "meddling",
    "parse_uri",
    "read_places",
    "read_s3_error",
    "safe_path",
    "unwritable",
]

KEPT = ".modelyard"
"""Folder of a namespace's own in which the operator keeps what nothing deletes, such as
histories.
"""
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_IP_ADDRESS = re.compile(r"[0-9]{1,3}(\.[0-9]{1,3}){3}")
_KEY_LIMIT = 1024
"""Bytes that S3 allows a key."""
_NAME_LIMIT = 255
"""Bytes that file systems allow a name."""
_HARMLESS_FOLDERS = frozenset({".cache", ".ipynb_checkpoints"})
"""Folders that tools leave in a model's tree, and run nothing of."""
_TOOL_FILES = frozenset(
    [
        ".git",
        ".gitmodules",
        ".gitconfig",
        ".hg",
        ".svn",
        ".jj",
        ".hgrc",
        ".envrc",
        ".env",
        ".netrc",
        ".npmrc",
        ".yarnrc",
        ".yarnrc.yml",
        ".pypirc",
        ".condarc",
        ".pdbrc",
        ".bashrc",
        ".bash_profile",
        ".bash_login",
        ".bash_logout",
        ".profile",
        ".zshrc",
        ".zshenv",
        ".zprofile",
        ".zlogin",
        ".inputrc",
        ".vimrc",
        ".exrc",
        ".nvimrc",
        ".pre-commit-config.yaml",
        ".tool-versions",
        ".mise.toml",
        ".python-version",
        ".dir-locals.el",
        ".pythonstartup",
        ".gdbinit",
        ".lldbinit",
    ]
)
"""Files that a tool obeys in the folder where it is started, or that stand for one of its
folders.
"""
_SHORT_GIT = re.compile(r"git~[0-9]+")
"""Windows' short name of `.git`."""
_SHOWN = 120
"""Characters of a path that a message repeats."""


# --- addresses ------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Location:
    """A place in S3; `key` is empty for the bucket itself, ends with a slash if the URI does."""

    bucket: str
    key: str

    @property
    def prefix(self) -> str:
        """The key as a folder: every key below it starts with this."""
        return self.key if not self.key or self.key.endswith("/") else self.key + "/"

    def is_below(self, folder: "Location") -> bool:
        """Tell whether this is in a folder, or is the folder itself."""
        return self.bucket == folder.bucket and self.prefix.startswith(folder.prefix)

    def __str__(self) -> str:
        """Write the URI."""
        return f"s3://{self.bucket}/{self.key}"


@dataclass(frozen=True)
class Reach:
    """The part of S3 that the objects of one namespace may name.

    Keys may open more than that: one pair of keys may serve several namespaces. So a URI is held
    against this before any request is made with them.

    Attributes:
        bucket: Its own bucket: the only one that is ever written to.
        folder: The first segment of its keys there, the namespace.
        shared: What it may read besides: other buckets, or folders of any bucket.

    """

    bucket: str
    folder: str
    shared: frozenset[Location] = frozenset()

    @property
    def own(self) -> Location:
        """The namespace's own folder."""
        return Location(self.bucket, f"{self.folder}/")

    def reads(self, place: Location) -> bool:
        """Tell whether the namespace's objects may be read from here."""
        return any(place.is_below(folder) for folder in (self.own, *self.shared))

    def complaint(self, uri: str) -> str:
        """Return why a URI may not be read, and what to do; empty: it may be."""
        try:
            place = parse_uri(uri)
        except ValueError as error:
            return str(error)
        return "" if self.reads(place) else self.outside

    @property
    def outside(self) -> str:
        """What is wrong with a place that may not be read, and what to do."""
        return (
            f"it is outside of what this namespace may read, {self.own} and what"
            " MODELYARD_READ_BUCKETS of the Secret modelyard-connection names; add its bucket or"
            " folder there"
        )


def read_places(text: str) -> frozenset[Location]:
    """Read MODELYARD_READ_BUCKETS: buckets or `<bucket>/<folder>`, separated by commas.

    Raises:
        ValueError: One of them is neither. The message does not repeat it.

    """
    names = (name.strip() for name in text.split(","))
    return frozenset(parse_uri(f"s3://{name}") for name in names if name)


def parse_uri(uri: str) -> Location:
    """Read `s3://<bucket>/<key>`, and refuse whatever two programs could read differently.

    Raises:
        ValueError: It is anything else. The message does not repeat it, for it may hold a password.

    """
    if complaint := _complaint(uri):
        raise ValueError(complaint)
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return Location(bucket, key)


def is_bucket(name: str) -> bool:
    """Tell whether this can be a bucket: 3 to 63 of a-z, 0-9, dots and dashes; no IP address."""
    if ".." in name or _IP_ADDRESS.fullmatch(name):
        return False
    return _BUCKET.fullmatch(name) is not None


def _complaint(uri: str) -> str:
    if not uri.startswith("s3://"):
        return "it must start with s3://"
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    if "@" in bucket or ":" in bucket:
        return "it must not hold a user, password or port; keys belong into the connection Secret"
    if not is_bucket(bucket):
        return "its bucket must be 3 to 63 lower-case letters, digits, dots and dashes"
    for character, meaning in (("%", "encoded characters"), ("?", "a query"), ("#", "a fragment")):
        if character in key:
            return f"it must not hold {meaning} ({character})"
    if len(key.encode("utf-8", "surrogatepass")) > _KEY_LIMIT:
        return f"its key is longer than {_KEY_LIMIT} bytes"
    if key and _ambiguous(key.removesuffix("/")):
        return "its key must not hold empty, . or .. segments, backslashes or control characters"
    return ""


def _ambiguous(path: str) -> bool:
    """Find what is read differently: empty and dot segments, backslashes, control characters."""
    dots = not {"", ".", ".."}.isdisjoint(path.split("/"))
    return dots or "\\" in path or not path.isprintable()


# --- trees ----------------------------------------------------------------------------------------
def is_folder_mark(key: str, size: int) -> bool:
    """Tell whether an object is an S3 console's folder: empty, and its key ends with a slash."""
    return key.endswith("/") and size == 0


def safe_path(path: str) -> bool:
    """Tell whether a tree's path stays in its folder and names one file, on every file system."""
    segments = path.split("/")
    fits = all(len(segment.encode("utf-8", "surrogatepass")) <= _NAME_LIMIT for segment in segments)
    return fits and not _ambiguous(path) and ":" not in segments[0]


def unwritable(paths: Iterable[str]) -> str:
    """Say why no program can write a tree of these paths, naming the path; empty: all can."""
    files = sorted(paths)
    unsafe = next((path for path in files if not safe_path(path)), None)
    if unsafe is not None:
        return f"{_shown(unsafe)} is not a path that can be written safely"
    # What lies in a folder follows it at once when a slash sorts before all other characters.
    sorted_ = sorted(path.replace("/", "\0") for path in files)
    clash = next((one for one, other in pairwise(sorted_) if other.startswith(f"{one}\0")), None)
    if clash is not None:
        return f"{_shown(clash.replace(chr(0), '/'))} is a file and a folder at once"
    return ""


def meddling(paths: Iterable[str]) -> str:
    """Name a path that would change what a tool does in the folder that it is written to; empty:
    none.

    A folder whose name begins with a dot belongs to a tool, and what lies in it is often run: a
    hook of Git, a task of an editor. So are some files. Upper case and dots at the end make no
    difference, for some file systems ignore them.
    """
    return next(
        (path for path in sorted(paths) if _meddles([_folded(each) for each in path.split("/")])),
        "",
    )


def _meddles(segments: list[str]) -> bool:
    *folders, file = segments
    foreign = any(
        (each.startswith(".") and each not in _HARMLESS_FOLDERS) or _SHORT_GIT.fullmatch(each)
        for each in folders
    )
    return foreign or file in _TOOL_FILES or _SHORT_GIT.fullmatch(file) is not None


def _folded(segment: str) -> str:
    return segment.casefold().rstrip(". ")


def _shown(path: str) -> str:
    return repr(path) if len(path) <= _SHOWN else f"{path[:_SHOWN]!r}..."


# --- errors ---------------------------------------------------------------------------------------
class S3Kind(Enum):
    """What an S3 means that answers with an error."""

    NO_OBJECT = "there is no such object"
    NO_BUCKET = "there is no such bucket"
    CHANGED = "the object changed while it was read"
    FORBIDDEN = "the store refuses the keys"
    TAKEN = "another account owns a bucket of this name"
    BUSY = "the store cannot answer now"
    NOT_S3 = "no S3 answers at this address"
    REDIRECT = "the store answers with a redirect"
    REFUSED = "the store refuses the request"
    UNCLEAR = "the answer is not one of S3's"


@dataclass(frozen=True)
class S3Answer:
    """An error of S3: what it means, S3's own code and the HTTP status."""

    kind: S3Kind
    code: str
    status: int

    @property
    def detail(self) -> str:
        """What is the case, for a message; it repeats nothing of the answer's body."""
        text = _DETAILS.get(self.code, self.kind.value)
        vague = self.kind in {S3Kind.BUSY, S3Kind.REFUSED}
        return f"{text} (status {self.status})" if vague else text


_DETAILS = {
    "AccessDenied": "the keys may not do this",
    "AllAccessDisabled": "the store has disabled access",
    "InvalidAccessKeyId": "the store does not know AWS_ACCESS_KEY_ID",
    "SignatureDoesNotMatch": "AWS_SECRET_ACCESS_KEY is wrong",
    "RequestTimeTooSkewed": "this machine's clock and the store's differ too much",
    "ExpiredToken": "the session token has expired",
    "InvalidToken": "the session token is wrong",
}
_KINDS = {
    **dict.fromkeys(_DETAILS, S3Kind.FORBIDDEN),
    **dict.fromkeys(("NoSuchKey", "NoSuchVersion"), S3Kind.NO_OBJECT),
    **dict.fromkeys(("PreconditionFailed", "InvalidRange"), S3Kind.CHANGED),
    **dict.fromkeys(("BucketAlreadyExists", "BucketAlreadyOwnedByYou"), S3Kind.TAKEN),
    **dict.fromkeys(
        (
            "SlowDown",
            "ServiceUnavailable",
            "InternalError",
            "RequestTimeout",
            "Throttling",
            "OperationAborted",
            "XMinioServerNotInitialized",
        ),
        S3Kind.BUSY,
    ),
    "NoSuchBucket": S3Kind.NO_BUCKET,
}


def read_s3_error(response: Mapping[str, Any]) -> S3Answer:
    """Read the response of a `botocore.exceptions.ClientError`.

    A 404 without one of S3's codes says nothing of the object: a proxy whose backend is away
    answers so too.
    """
    code = str(response.get("Error", {}).get("Code", ""))
    status = int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0) or 0)
    return S3Answer(_KINDS.get(code) or _by_status(status), code, status)


def _by_status(status: int) -> S3Kind:
    if status == 404:
        return S3Kind.NOT_S3
    if status in {401, 403}:
        return S3Kind.FORBIDDEN
    if status in {412, 416}:
        return S3Kind.CHANGED
    if status >= 500 or status in {408, 429}:
        return S3Kind.BUSY
    if 300 <= status < 400:
        return S3Kind.REDIRECT
    return S3Kind.REFUSED if status >= 400 else S3Kind.UNCLEAR
