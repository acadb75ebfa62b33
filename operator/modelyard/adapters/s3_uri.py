"""Read `s3://<bucket>/<key>` with one of the operator's errors; the rule is in `api.artifacts`."""

from modelyard.api import artifacts
from modelyard.api.artifacts import Location
from modelyard.errors import Invalid

__all__ = ["parse_uri"]


def parse_uri(uri: str, operation: str = "read URI") -> Location:
    """Read a URI.

    Raises:
        Invalid: It is anything else. The message does not repeat it, for it may hold a password.

    """
    try:
        return artifacts.parse_uri(uri)
    except ValueError as error:
        raise Invalid("S3", operation, "an artifact URI", str(error)) from None
