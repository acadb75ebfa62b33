"""Parse `s3://<bucket>/<key>` by the rule of `api.artifacts`, with one of the operator's errors."""

from modelyard.api import artifacts
from modelyard.api.artifacts import Location
from modelyard.errors import Invalid

__all__ = ["parse_uri"]


def parse_uri(uri: str, operation: str = "read URI") -> Location:
    """Parse a URI.

    Raises:
        Invalid: It is not valid. The message does not repeat it, since it may hold a password.

    """
    try:
        return artifacts.parse_uri(uri)
    except ValueError as error:
        raise Invalid("S3", operation, "an artifact URI", str(error)) from None
