"""Exit codes, and how an error becomes one. Nothing here prints."""

from enum import IntEnum

__all__ = ["Exit", "code_of"]


class Exit(IntEnum):
    """What the command line's exit code says (decision 0008)."""

    DONE = 0
    """Done."""
    FAILED = 1
    """It ended badly: training failed, a promotion was refused, the cluster said no."""
    WORDS = 2
    """Wrong words: an option, an argument or a file that cannot be read."""
    NOT_FOUND = 3
    """The object, the version or the stage is not there; or modelyard is not in the cluster."""
    NOT_ALLOWED = 4
    """The user's rights do not reach it; the message names verb and resource."""
    UNREACHABLE = 5
    """Nobody answers: the API server, MLflow, S3 or a model."""
    TIMED_OUT = 6
    """It did not come about in the time that was given, or it waits for people, other programs
    or time; it may still.
    """
    INTERRUPTED = 130
    """Ctrl-C. What was begun in the cluster goes on there."""


def code_of(error: Exception) -> Exit:
    """Return the exit code that an error stands for."""
    from modelyard.client import errors  # noqa: PLC0415 - nothing of the client is loaded before it is needed

    for kind, code in (
        (errors.NotFound, Exit.NOT_FOUND),
        (errors.NotAllowed, Exit.NOT_ALLOWED),
        (errors.Unreachable, Exit.UNREACHABLE),
        (errors.TimedOut, Exit.TIMED_OUT),
        (ValueError, Exit.WORDS),
    ):
        if isinstance(error, kind):
            return code
    return Exit.FAILED
