"""Rules for S3 that operator, pods and client share: URIs, read access, paths of a tree, errors.

Standard library only, because pods import it. Requests are sent by `adapters.s3`,
`modelyard_runtime.s3` and `client.artifacts`.
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
    "parse_uri",
    "read_places",
    "read_s3_error",
    "safe_path",
    "tool_file",
    "unwritable",
]

KEPT = ".modelyard"
"""Folder in a namespace's own folder for objects that are never deleted, such as histories."""
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_IP_ADDRESS = re.compile(r"[0-9]{1,3}(\.[0-9]{1,3}){3}")
_KEY_LIMIT = 1024
"""Greatest length of a key in S3, in bytes."""
_NAME_LIMIT = 255
"""Greatest length of a file's name, in bytes."""
_HARMLESS_FOLDERS = frozenset({".cache", ".ipynb_checkpoints"})
"""Folders that tools leave in a model's tree, and in which nothing is executed."""
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
"""Files that a tool reads as configuration in its working directory, or that represent one of its
folders.
"""
_SHORT_GIT = re.compile(r"git~[0-9]+")
"""Windows' short name of `.git`."""
_SHOWN = 120
"""Greatest length of a path in a message, in characters."""


# --- addresses ------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Location:
    """A location in S3.

    `key` is empty for the bucket itself, and ends with a slash if the URI does.
    """

    bucket: str
    key: str

    @property
    def prefix(self) -> str:
        """The key as a folder: the prefix of every key below it."""
        return self.key if not self.key or self.key.endswith("/") else self.key + "/"

    def is_below(self, folder: "Location") -> bool:
        """Tell whether this is a folder or below it."""
        return self.bucket == folder.bucket and self.prefix.startswith(folder.prefix)

    def __str__(self) -> str:
        """Return the URI."""
        return f"s3://{self.bucket}/{self.key}"


@dataclass(frozen=True)
class Reach:
    """The part of S3 that the objects of one namespace may name.

    The access keys may allow more, because several namespaces may share them. So each URI is
    checked against this before a request is made.

    Attributes:
        bucket: The namespace's own bucket: the only one that is written to.
        folder: The first segment of its keys in that bucket: the namespace.
        shared: What it may read in addition: other buckets, or folders of any bucket.

    """

    bucket: str
    folder: str
    shared: frozenset[Location] = frozenset()

    @property
    def own(self) -> Location:
        """The namespace's own folder."""
        return Location(self.bucket, f"{self.folder}/")

    def reads(self, place: Location) -> bool:
        """Tell whether the namespace may read from a location."""
        return any(place.is_below(folder) for folder in (self.own, *self.shared))

    def complaint(self, uri: str) -> str:
        """Return why a URI may not be read, and what to do; empty if it may."""
        try:
            place = parse_uri(uri)
        except ValueError as error:
            return str(error)
        return "" if self.reads(place) else self.outside

    @property
    def outside(self) -> str:
        """The message for a location that may not be read."""
        return (
            f"it is outside what this namespace may read: {self.own} and what"
            " MODELYARD_READ_BUCKETS of the Secret modelyard-connection names; add its bucket or"
            " folder there"
        )


def read_places(text: str) -> frozenset[Location]:
    """Parse MODELYARD_READ_BUCKETS: buckets or `<bucket>/<folder>`, separated by commas.

    Raises:
        ValueError: An entry is neither. The message does not repeat it.

    """
    names = (name.strip() for name in text.split(","))
    return frozenset(parse_uri(f"s3://{name}") for name in names if name)


def parse_uri(uri: str) -> Location:
    """Parse `s3://<bucket>/<key>` strictly, so that no two programs can read it differently.

    Raises:
        ValueError: The URI is invalid. The message does not repeat it, because it may contain a
            password.

    """
    if complaint := _complaint(uri):
        raise ValueError(complaint)
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return Location(bucket, key)


def is_bucket(name: str) -> bool:
    """Tell whether a bucket name is valid: 3 to 63 of a-z, 0-9, dots and dashes; no IP address."""
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
    """Tell whether programs could read a path differently.

    Such paths have empty or dot segments, backslashes or control characters.
    """
    dots = not {"", ".", ".."}.isdisjoint(path.split("/"))
    return dots or "\\" in path or not path.isprintable()


# --- trees ----------------------------------------------------------------------------------------
def is_folder_mark(key: str, size: int) -> bool:
    """Tell whether an object marks a folder of a console: empty, and its key ends with a slash."""
    return key.endswith("/") and size == 0


def safe_path(path: str) -> bool:
    """Tell whether a path stays in its folder and names one file on every file system."""
    segments = path.split("/")
    fits = all(len(segment.encode("utf-8", "surrogatepass")) <= _NAME_LIMIT for segment in segments)
    return fits and not _ambiguous(path) and ":" not in segments[0]


def unwritable(paths: Iterable[str]) -> str:
    """Return why a tree of these paths cannot be written, naming a path; empty if it can."""
    files = sorted(paths)
    unsafe = next((path for path in files if not safe_path(path)), None)
    if unsafe is not None:
        return f"{_shown(unsafe)} is not a path that can be written safely"
    # If a slash sorts before all other characters, a folder's content directly follows its name.
    sorted_ = sorted(path.replace("/", "\0") for path in files)
    clash = next((one for one, other in pairwise(sorted_) if other.startswith(f"{one}\0")), None)
    if clash is not None:
        return f"{_shown(clash.replace(chr(0), '/'))} is a file and a folder at once"
    return ""


def tool_file(paths: Iterable[str]) -> str:
    """Return a path of a file that a tool would execute or obey; empty if there is none.

    A folder whose name begins with a dot belongs to a tool, which often executes what it holds: a
    hook of Git, a task of an editor. Some files are executed too. Upper case and trailing dots are
    ignored, as on some file systems.
    """
    return next(
        (
            path
            for path in sorted(paths)
            if _is_tool_file([_folded(each) for each in path.split("/")])
        ),
        "",
    )


def _is_tool_file(segments: list[str]) -> bool:
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
    """The meaning of an error response."""

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
    """An error response of S3: meaning, S3's code and HTTP status."""

    kind: S3Kind
    code: str
    status: int

    @property
    def detail(self) -> str:
        """A text for messages; it repeats nothing of the response's body."""
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
    """Classify the response of a `botocore.exceptions.ClientError`.

    A 404 without one of S3's codes does not mean that the object is missing: a proxy without a
    backend answers 404 too.
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
