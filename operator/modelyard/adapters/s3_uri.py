"""The one reader of `s3://<bucket>/<key>`. It refuses whatever two programs could read differently; asking S3 does not belong here."""

import re
from dataclasses import dataclass

from modelyard.errors import Invalid

__all__ = ["Location", "is_bucket", "parse_uri", "safe_path"]

_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_ADDRESS = re.compile(r"[0-9]{1,3}(\.[0-9]{1,3}){3}")
_KEY_LIMIT = 1024


@dataclass(frozen=True)
class Location:
    """A place in S3; `key` is empty for the bucket itself, and ends with a slash where the URI does."""

    bucket: str
    key: str

    @property
    def prefix(self) -> str:
        """The key as a folder: what lies below it starts with this."""
        return self.key if not self.key or self.key.endswith("/") else self.key + "/"

    def __str__(self) -> str:
        """Write the URI."""
        return f"s3://{self.bucket}/{self.key}"


def parse_uri(uri: str, operation: str = "read URI") -> Location:
    """Read `s3://<bucket>/<key>`.

    Raises:
        Invalid: It is anything else. The message does not repeat it: a refused URI may hold a password.

    """
    complaint = _complaint(uri)
    if complaint:
        raise Invalid("S3", operation, "an artifact URI", complaint)
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return Location(bucket, key)


def is_bucket(name: str) -> bool:
    """Tell whether this may be a bucket's name: 3 to 63 lower case letters, digits, dots and dashes, and no IP address."""
    return _BUCKET.fullmatch(name) is not None and ".." not in name and _ADDRESS.fullmatch(name) is None


def safe_path(path: str) -> bool:
    """Tell whether a key or a relative path means one place only: no empty or dot segment, no backslash, no control character."""
    segments = path.removesuffix("/").split("/")
    return all(segment not in {"", ".", ".."} for segment in segments) and "\\" not in path and path.isprintable()


def _complaint(uri: str) -> str:
    if not uri.startswith("s3://"):
        return "it must start with s3://"
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    if "@" in bucket or ":" in bucket:
        return "it must not hold a user, a password or a port; keys belong into the connection Secret"
    if not is_bucket(bucket):
        return "its bucket is no bucket name: 3 to 63 lower case letters, digits, dots and dashes"
    for character, meaning in (("%", "encoded characters"), ("?", "a query"), ("#", "a fragment")):
        if character in key:
            return f"it must not hold {meaning} ({character})"
    if len(key.encode("utf-8", "surrogatepass")) > _KEY_LIMIT:
        return f"its key is longer than {_KEY_LIMIT} bytes"
    if key and not safe_path(key):
        return "its key must not hold empty, . or .. segments, backslashes or control characters"
    return ""
