"""MLflow's runs, logged models and experiments as values, and the reasons to keep one. Pure."""

import re
from dataclasses import dataclass

from modelyard.api.artifacts import KEPT, Location, parse_uri

__all__ = ["Experiment", "LoggedModel", "Owner", "Run", "Ties", "Version", "needed_by", "place"]

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{15,}")


@dataclass(frozen=True)
class Owner:
    """The owner of a thing, by the tags that the operator writes."""

    uid: str = ""
    """`modelyard.io/uid`; empty: it does not belong to modelyard."""
    namespace: str = ""
    """`modelyard.io/namespace`: the tenant, whose objects are under `<namespace>/`."""


@dataclass(frozen=True)
class LoggedModel:
    """A logged model of MLflow 3: `<experiment>/models/<id>/artifacts`."""

    id: str
    location: str
    experiment: str
    run: str
    """The run that logged it, which may no longer exist; empty: none."""
    deleted: int | None
    """When it was soft-deleted, in milliseconds since 1970; None: it is not deleted."""


@dataclass(frozen=True)
class Run:
    """A run and the models that it logged."""

    id: str
    location: str
    experiment: str
    owner: Owner
    deleted: int | None
    models: tuple[LoggedModel, ...] = ()


@dataclass(frozen=True)
class Experiment:
    """An experiment and what is in it."""

    id: str
    name: str
    owner: Owner
    deleted: int | None
    runs: tuple[str, ...] = ()
    models: tuple[str, ...] = ()


@dataclass(frozen=True)
class Version:
    """A version of a registered model, and where it says it came from."""

    name: str
    number: int
    run: str
    sources: tuple[str, ...]


@dataclass(frozen=True)
class Ties:
    """What else in MLflow may need a thing. The store may list too many, never too few."""

    versions: tuple[Version, ...] = ()
    """Versions that name it, or a parent of its location."""
    users: tuple[str, ...] = ()
    """Runs that are not deleted and have it as an input or output."""
    lodgers: tuple[str, ...] = ()
    """Other things whose location contains its id."""


def place(location: str, id_: str, namespace: str) -> Location | str:
    """Return the prefix of a thing that may be deleted, or why nothing may be.

    Tenants can write a location to the database through MLflow's API. It is trusted only if it ends
    with the thing's own id, `.../<id>` or `.../<id>/artifacts`: then it cannot be the location of
    another tenant's thing, whatever the id is preceded by.

    Args:
        location: The location of its artifacts, according to MLflow.
        id_: Its id.
        namespace: Its tenant, whose prefix the location must be under; empty: none.

    """
    if not location.startswith("s3://"):
        return "its artifacts are not in S3"
    try:
        found = parse_uri(location)
    except ValueError:
        found = None
    if found is None or not found.key:
        return "the location of its artifacts is ambiguous"
    segments = found.key.removesuffix("/").split("/")
    if not _ID.fullmatch(id_) or id_ not in (
        segments[-1],
        segments[-2] if segments[-1] == "artifacts" and len(segments) > 1 else "",
    ):
        return "the location of its artifacts does not end with its id"
    if KEPT in segments:
        return f"its artifacts are under {KEPT}/, where histories of models are kept"
    if namespace and segments[0] != namespace:
        return f"its artifacts are not under the prefix of its namespace, {namespace}/"
    return Location(found.bucket, found.prefix)


def needed_by(thing: Run | LoggedModel, prefix: Location, ties: Ties) -> str:
    """Return what needs a run or a logged model; empty: nothing does."""
    # MLflow also finds a logged model through its run: `runs:/<run>/<name>`.
    names = (
        (thing.id, f"runs:/{thing.run}/")
        if isinstance(thing, LoggedModel) and thing.run
        else (thing.id,)
    )
    for version in ties.versions:
        if version.run == thing.id or any(
            _means(source, names, str(prefix)) for source in version.sources
        ):
            return f"version {version.number} of the registered model {version.name} came from it"
    if ties.users:
        return f"run {ties.users[0]}, which is not deleted, uses it"
    if ties.lodgers:
        return f"{ties.lodgers[0]} has artifacts under its prefix"
    return ""


def _means(source: str, names: tuple[str, ...], prefix: str) -> bool:
    """Return whether a version's source names the thing, or a folder that holds its artifacts."""
    return any(name in source for name in names) or (
        source.startswith("s3://") and prefix.startswith(source.rstrip("/") + "/")
    )
