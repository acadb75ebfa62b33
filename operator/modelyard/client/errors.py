"""The errors of the client. Each says what to do next; which is raised where stands in the
docstrings.

    ClientError
    ├── NotFound      the object is not there, or this cluster does not have our kinds
    ├── Refused       admission said no: the API server's rules, in their own words, one a line
    ├── NotAllowed    the user's rights do not reach it: `verb`, `resource` and `namespace` are what to ask for
    ├── Unreachable   nobody answers: the API server, MLflow, S3 or a model; or there is no kubeconfig that leads to them
    ├── Failed        it ended badly, or stalled until somebody acts: `reason` and `message` are the object's own
    ├── TimedOut      it did not come about in the time that was given; it may still
    │   └── Paused    a rollout in steps waits for a person, who resumes it
    └── Missing       a Python package is needed for this

A wrong argument is a ValueError, as everywhere in Python. How an answer of the API server becomes
one of these does not belong here (`client/kube/answers.py`).
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
    """Base of all errors that the client raises. Its text is for people, and ends with what to do.

    What a model, MLflow or an object says in it has no control characters: it ends on a terminal.
    """

    def __init__(self, text: str) -> None:
        super().__init__(printable(text, lines=True))


class NotFound(ClientError):
    """The object is not there.

    Attributes:
        kind: `TrainingRun`, or empty where it is no object of the API: a stage, a version.
        name: Its name.
        namespace: Where it was looked for.

    """

    def __init__(self, text: str, *, kind: str = "", name: str = "", namespace: str = "") -> None:
        self.kind, self.name, self.namespace = kind, name, namespace
        super().__init__(text)


class Refused(ClientError):
    """The request was understood and refused; asking again without a change is useless.

    Attributes:
        problems: What is wrong and what to write instead, one sentence each: `spec.trainer: name
            exactly one trainer ...`.

    """

    def __init__(self, text: str, problems: tuple[str, ...] = ()) -> None:
        self.problems = problems
        super().__init__(
            "\n".join((text, *(f"  {problem}" for problem in problems))) if problems else text
        )


class NotAllowed(ClientError):
    """The user's rights do not reach it.

    Attributes:
        verb: The verb that is missing: `patch`, `promote`, `purge`; empty when the API server does
            not know the user at all.
        resource: On what: `registeredmodels`, `registeredmodels/production`, `pods/portforward`.
        namespace: Where; empty for the whole cluster.

    """

    def __init__(
        self, text: str, *, verb: str = "", resource: str = "", namespace: str = ""
    ) -> None:
        self.verb, self.resource, self.namespace = verb, resource, namespace
        super().__init__(text)


class Unreachable(ClientError):
    """Nobody answers, or the answer says "later"."""


class Failed(ClientError):
    """It ended badly, or it goes no further until somebody changes something.

    Attributes:
        reason: The object's reason, one word of docs/conditions.md: `OutOfMemory`,
            `ArtifactDigestMismatch`.
        message: The object's message, which says what to do.

    """

    def __init__(self, subject: str, reason: str, message: str) -> None:
        self.reason, self.message = printable(reason), printable(message, lines=True)
        super().__init__(f"{subject}: {reason}" + (f": {message}" if message else ""))


class TimedOut(ClientError):
    """It did not come about in time.

    Attributes:
        seconds: How long it was waited for.

    """

    def __init__(self, text: str, seconds: float) -> None:
        self.seconds = seconds
        super().__init__(text)


class Paused(TimedOut):
    """A rollout in steps is at a pause. It keeps its weight until a person resumes it, or sets
    the version back.
    """


class Missing(ClientError):
    """A Python package is needed.

    Attributes:
        package: Its name on PyPI.

    """

    def __init__(self, package: str, what: str) -> None:
        self.package = package
        super().__init__(
            f"{what} needs the Python package {package}: pip install 'modelyard[notebook]'"
        )
