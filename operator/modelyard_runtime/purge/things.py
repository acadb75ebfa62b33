"""What MLflow knows of runs, logged models and experiments, as far as purging goes; and why one of
them stays. Pure.

Asking for them does not belong here.
"""

import re
from dataclasses import dataclass

from modelyard.api.artifacts import KEPT, Location, parse_uri

__all__ = ["Experiment", "LoggedModel", "Owner", "Run", "Ties", "Version", "needed_by", "place"]

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{15,}")


@dataclass(frozen=True)
class Owner:
    """Whose something is, by the tags that the operator writes."""

    uid: str = ""
    """`modelyard.io/uid`; empty: it is not one of ours."""
    namespace: str = ""
    """`modelyard.io/namespace`: the tenant, whose objects lie below `<namespace>/`."""


@dataclass(frozen=True)
class LoggedModel:
    """A logged model of MLflow 3: `<experiment>/models/<id>/artifacts`."""

    id: str
    location: str
    experiment: str
    run: str
    """The run that logged it, which may be gone; empty: none."""
    deleted: int | None
    """When it was soft-deleted, in milliseconds since 1970; None: it was not."""


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
    """A version of a registered model, and all that it says about where it came from."""

    name: str
    number: int
    run: str
    sources: tuple[str, ...]


@dataclass(frozen=True)
class Ties:
    """What else in MLflow may need a thing; the store may name too many, never too few."""

    versions: tuple[Version, ...] = ()
    """Versions that name it, or a place above its own."""
    users: tuple[str, ...] = ()
    """Runs that are not deleted and have it as an input or output."""
    lodgers: tuple[str, ...] = ()
    """Other things that name a place with its id in it."""


def place(location: str, id_: str, namespace: str) -> Location | str:
    """Return what may be deleted of a thing, or why nothing may.

    A location stands in a database that tenants write to by MLflow's API. It is believed only where
    its end is the thing's own id, `.../<id>` or `.../<id>/artifacts`: then nothing of anybody else
    is meant, whatever stands before.

    Args:
        location: Where MLflow says that its artifacts lie.
        id_: Its id.
        namespace: Its tenant, below whose prefix it must lie; empty: none.

    """
    if not location.startswith("s3://"):
        return "its artifacts do not lie in S3"
    try:
        found = parse_uri(location)
    except ValueError:
        found = None
    if found is None or not found.key:
        return "the location of its artifacts can be read in two ways"
    segments = found.key.removesuffix("/").split("/")
    if not _ID.fullmatch(id_) or id_ not in (
        segments[-1],
        segments[-2] if segments[-1] == "artifacts" and len(segments) > 1 else "",
    ):
        return "the location of its artifacts does not end with its id"
    if KEPT in segments:
        return f"its artifacts lie below {KEPT}/, where histories of models are kept"
    if namespace and segments[0] != namespace:
        return f"its artifacts lie outside of the prefix of its namespace, {namespace}/"
    return Location(found.bucket, found.prefix)


def needed_by(thing: Run | LoggedModel, prefix: Location, ties: Ties) -> str:
    """Say what needs a run or a logged model; empty: nothing does."""
    # MLflow finds a logged model by its run as well: `runs:/<run>/<name>`.
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
        return f"{ties.lodgers[0]} keeps artifacts below its own"
    return ""


def _means(source: str, names: tuple[str, ...], prefix: str) -> bool:
    """Tell whether a version's source names the thing, or a folder that its artifacts lie in."""
    return any(name in source for name in names) or (
        source.startswith("s3://") and prefix.startswith(source.rstrip("/") + "/")
    )
