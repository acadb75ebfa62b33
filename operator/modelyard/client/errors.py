"""The exceptions of the client.

    ClientError
    ├── NotFound      the object does not exist, or modelyard is not installed in this cluster
    ├── Refused       the request was refused; `problems` lists what to change
    ├── NotAllowed    the user lacks a right: `verb`, `resource` and `namespace` name it
    ├── Unreachable   the API server, MLflow, S3 or a model does not answer, or no kubeconfig exists
    ├── Failed        it failed, or needs a user's action: `reason` and `message` are the object's
    ├── TimedOut      it is not complete after the time given; it continues
    │   └── Paused    a rollout in steps is at a pause until a user resumes it
    └── Missing       an optional Python package is not installed

The text of each says what to do next. An invalid argument raises ValueError.
"""

from modelyard.api.text import printable

__all__ = [
    "ClientError",
    "Failed",
    "Missing",
    "NotAllowed",
    "NotFound",
    "Paused",
    "Refused",
    "TimedOut",
    "Unreachable",
]


class ClientError(Exception):
    """Base class of the client's exceptions. The text says what is the case and what to do.

    Control characters in a text from a model, MLflow or an object are removed, since the text is
    printed to terminals.
    """

    def __init__(self, text: str) -> None:
        super().__init__(printable(text, lines=True))


class NotFound(ClientError):
    """The object does not exist.

    Attributes:
        kind: Its kind, such as `TrainingRun`; empty for a part of an object, such as a stage.
        name: Its name.
        namespace: The namespace of the request.

    """

    def __init__(self, text: str, *, kind: str = "", name: str = "", namespace: str = "") -> None:
        self.kind, self.name, self.namespace = kind, name, namespace
        super().__init__(text)


class Refused(ClientError):
    """The request is invalid or not possible now. The same request would be refused again.

    Attributes:
        problems: What to change, one sentence each: `spec.trainer: name exactly one trainer ...`.

    """

    def __init__(self, text: str, problems: tuple[str, ...] = ()) -> None:
        self.problems = problems
        super().__init__(
            "\n".join((text, *(f"  {problem}" for problem in problems))) if problems else text
        )


class NotAllowed(ClientError):
    """The user lacks a right.

    Attributes:
        verb: The missing verb: `patch`, `promote`, `purge`. Empty if the API server, MLflow or S3
            does not accept the user's credentials.
        resource: Its resource: `registeredmodels`, `registeredmodels/production`,
            `pods/portforward`.
        namespace: Its namespace; empty for the whole cluster.

    """

    def __init__(
        self, text: str, *, verb: str = "", resource: str = "", namespace: str = ""
    ) -> None:
        self.verb, self.resource, self.namespace = verb, resource, namespace
        super().__init__(text)


class Unreachable(ClientError):
    """The API server, MLflow, S3 or a model does not answer, or cannot answer now. Try again."""


class Failed(ClientError):
    """It failed, or cannot continue until a user acts.

    Attributes:
        reason: The object's reason, as in docs/conditions.md: `OutOfMemory`,
            `ArtifactDigestMismatch`. `Superseded` if another user has changed the request since.
        message: The object's message, which says what to do.

    """

    def __init__(self, subject: str, reason: str, message: str) -> None:
        self.reason, self.message = printable(reason), printable(message, lines=True)
        super().__init__(f"{subject}: {reason}" + (f": {message}" if message else ""))


class TimedOut(ClientError):
    """It is not complete after the time given. It continues, and can be waited for again.

    Attributes:
        seconds: How long the call waited, in seconds.

    """

    def __init__(self, text: str, seconds: float) -> None:
        self.seconds = seconds
        super().__init__(text)


class Paused(TimedOut):
    """A rollout in steps is at a pause. It keeps its weight until a user resumes or aborts it."""


class Missing(ClientError):
    """An optional Python package is not installed.

    Attributes:
        package: Its name on PyPI.

    """

    def __init__(self, package: str, what: str) -> None:
        self.package = package
        super().__init__(
            f"{what} needs the Python package {package}: pip install 'modelyard[notebook]'"
        )
