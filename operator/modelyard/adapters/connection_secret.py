"""Parse the Secret `modelyard-connection`: required keys and valid values."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from botocore.utils import is_valid_endpoint_url, is_valid_ipv6_endpoint_url

from modelyard.adapters.mlflow import Credentials
from modelyard.adapters.s3_client import Keys
from modelyard.api.artifacts import Location, Reach, is_bucket, read_places
from modelyard.errors import Invalid
from modelyard.kube.names import CONNECTION_SECRET

__all__ = ["Connection", "parse_connection"]

REQUIRED = (
    "MLFLOW_TRACKING_URI",
    "MLFLOW_S3_ENDPOINT_URL",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "MODELYARD_BUCKET",
)
OPTIONAL = (
    "MLFLOW_TRACKING_USERNAME",
    "MLFLOW_TRACKING_PASSWORD",
    "MLFLOW_TRACKING_TOKEN",
    "AWS_SESSION_TOKEN",
    "AWS_DEFAULT_REGION",
    "MODELYARD_READ_BUCKETS",
)
_REGION = re.compile(r"[a-z0-9-]{1,32}")


@dataclass(frozen=True)
class Connection:
    """The values of one namespace's Secret; its repr shows no credentials."""

    tracking_url: str
    credentials: Credentials
    keys: Keys
    reach: Reach


def parse_connection(namespace: str, values: Mapping[str, str] | None) -> Connection:
    """Parse a Secret's data.

    Args:
        namespace: The Secret's namespace; its objects in the bucket lie below this name.
        values: The decoded data; None if there is no Secret.

    Raises:
        Invalid: There is no Secret, a key is missing, or a value is invalid. The message names
            keys, never values.

    """
    if values is None:
        keys = ", ".join(REQUIRED)
        raise _invalid(
            namespace,
            f"create this Secret with the keys {keys}, and MLFLOW_TRACKING_USERNAME and _PASSWORD"
            " or MLFLOW_TRACKING_TOKEN",
        )
    missing = [key for key in REQUIRED if not values.get(key)]
    if missing:
        raise _invalid(namespace, f"it lacks {', '.join(missing)}")
    # Spaces are not stripped silently: the pods get the same values, and would fail with them.
    padded = [
        key for key in (*REQUIRED, *OPTIONAL) if values.get(key, "").strip() != values.get(key, "")
    ]
    if padded:
        raise _invalid(
            namespace, f"{', '.join(padded)} begins or ends with a space or a line break"
        )
    return Connection(
        tracking_url=_url(namespace, "MLFLOW_TRACKING_URI", values["MLFLOW_TRACKING_URI"]),
        credentials=_credentials(namespace, values),
        keys=Keys(
            endpoint=_endpoint(namespace, values["MLFLOW_S3_ENDPOINT_URL"]),
            access_key=values["AWS_ACCESS_KEY_ID"],
            secret_key=values["AWS_SECRET_ACCESS_KEY"],
            session_token=values.get("AWS_SESSION_TOKEN", ""),
            region=_region(namespace, values),
        ),
        reach=Reach(
            _bucket(namespace, values["MODELYARD_BUCKET"]), namespace, _shared(namespace, values)
        ),
    )


def _invalid(namespace: str, detail: str) -> Invalid:
    return Invalid("Kubernetes", "read connection", f"{namespace}/{CONNECTION_SECRET}", detail)


def _url(namespace: str, key: str, text: str) -> str:
    """Return an http or https address without a trailing slash."""
    try:
        parts = urlsplit(text)
        fits = (
            parts.scheme in {"http", "https"}
            and bool(parts.hostname)
            and (parts.port is None or parts.port > 0)
        )
    except ValueError:
        fits = False
    if not fits:
        raise _invalid(
            namespace, f"{key} is not an address: write http://<host>:<port> or https://<host>"
        )
    if "@" in parts.netloc:
        raise _invalid(namespace, f"{key} must not contain a user or password; use their own keys")
    if (
        parts.query
        or parts.fragment
        or "?" in text
        or "#" in text
        or not text.isprintable()
        or " " in text
    ):
        raise _invalid(namespace, f"{key} must not contain a query, a fragment or spaces")
    return text.rstrip("/")


def _endpoint(namespace: str, text: str) -> str:
    """Return S3's address; boto3 accepts only valid host names."""
    url = _url(namespace, "MLFLOW_S3_ENDPOINT_URL", text)
    if not (is_valid_endpoint_url(url) or is_valid_ipv6_endpoint_url(url)):
        raise _invalid(
            namespace,
            "MLFLOW_S3_ENDPOINT_URL has an invalid host name: use letters, digits, dots and dashes",
        )
    return url


def _credentials(namespace: str, values: Mapping[str, str]) -> Credentials:
    username, password = (
        values.get("MLFLOW_TRACKING_USERNAME", ""),
        values.get("MLFLOW_TRACKING_PASSWORD", ""),
    )
    token = values.get("MLFLOW_TRACKING_TOKEN", "")
    if bool(username) != bool(password):
        raise _invalid(
            namespace,
            "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD must be set together",
        )
    if not (username + password + token).isprintable() or not token.isascii() or ":" in username:
        raise _invalid(
            namespace,
            "MLFLOW_TRACKING_USERNAME, _PASSWORD or _TOKEN has characters that are not allowed in"
            " an HTTP header",
        )
    return Credentials(username, password, token)


def _bucket(namespace: str, name: str) -> str:
    if not is_bucket(name):
        raise _invalid(
            namespace,
            "MODELYARD_BUCKET is not a bucket name: use 3 to 63 lower case letters, digits, dots"
            " and dashes",
        )
    return name


def _shared(namespace: str, values: Mapping[str, str]) -> frozenset[Location]:
    try:
        return read_places(values.get("MODELYARD_READ_BUCKETS", ""))
    except ValueError as error:
        advice = f"write buckets or <bucket>/<folder>, separated by commas; {error}"
        raise _invalid(namespace, f"MODELYARD_READ_BUCKETS is invalid: {advice}") from None


def _region(namespace: str, values: Mapping[str, str]) -> str:
    region = values.get("AWS_DEFAULT_REGION") or "us-east-1"
    if _REGION.fullmatch(region) is None:
        raise _invalid(namespace, "AWS_DEFAULT_REGION is not a region such as us-east-1")
    return region
