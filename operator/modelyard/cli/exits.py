"""Exit codes, and which error leads to which."""

from enum import IntEnum

__all__ = ["Exit", "code_of"]


class Exit(IntEnum):
    """The exit codes of the command line (decision 0008)."""

    DONE = 0
    """Done."""
    FAILED = 1
    """Failed: training failed, a version was rejected, or the API server refused the request."""
    USAGE = 2
    """Usage error: an option, an argument or a file that cannot be read."""
    NOT_FOUND = 3
    """The object, version or stage does not exist, or modelyard is not installed."""
    NOT_ALLOWED = 4
    """The user lacks a right; the message names the verb and the resource."""
    UNREACHABLE = 5
    """The API server, MLflow, S3 or a model does not answer."""
    TIMED_OUT = 6
    """Timed out, or waits for people, other programs or a time; it continues in the cluster."""
    INTERRUPTED = 130
    """Ctrl-C. What was started continues in the cluster."""


def code_of(error: Exception) -> Exit:
    """Return the exit code for an error."""
    from modelyard.client import errors  # noqa: PLC0415 - the client is loaded only when needed

    for kind, code in (
        (errors.NotFound, Exit.NOT_FOUND),
        (errors.NotAllowed, Exit.NOT_ALLOWED),
        (errors.Unreachable, Exit.UNREACHABLE),
        (errors.TimedOut, Exit.TIMED_OUT),
        (ValueError, Exit.USAGE),
    ):
        if isinstance(error, kind):
            return code
    return Exit.FAILED
