"""Fetch or make a training's dataset and log it to MLflow: the init container of a training pod.

python -m modelyard_runtime.data
"""

import hashlib
import os
from difflib import get_close_matches
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from modelyard.api.artifacts import Location, parse_uri
from modelyard.api.dataset import Figures, described, tagged
from modelyard.api.pod_end import PodReason
from modelyard_runtime import s3, tracking
from modelyard_runtime.config import DatasetSpec, RunConfig, configuration, dataset_folder
from modelyard_runtime.dataset import invalid, make_synthetic, profile
from modelyard_runtime.outcome import Failure, report, run_until_stopped, unwritable

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import DatasetInput
    from mypy_boto3_s3 import S3Client

__all__ = ["main", "prepare"]

_SUFFIXES = (".parquet", ".csv")
_TRIES = 5
_LISTED = 1000
"""Objects that are listed to recognize a folder: one page of S3's."""
_NAMED = 20
"""Columns that a message names, at most."""
_HEAD = 80
"""Characters of a CSV header that a message shows."""


def main() -> None:
    """Fetch or make the dataset that run.json names, check it and log it; if none, do nothing."""
    config = configuration()
    if config.dataset is None:
        print("this run has no dataset", flush=True)
        return
    run_id = tracking.run_id()
    path, digest = prepare(config, config.dataset)
    found = profile(path, config.dataset.target, config.task)
    _check_target(config, config.dataset.target, found)
    print(
        f"dataset {config.dataset.name}: {found.rows} rows, {len(found.columns)} columns, {digest}",
        flush=True,
    )
    _log(run_id, config.dataset, digest, found)
    report({"dataset": {"digest": digest, "rows": found.rows}})


def prepare(config: RunConfig, dataset: DatasetSpec) -> tuple[Path, str]:
    """Write the dataset's file to its folder and return its path and digest, `sha256:<hex>`.

    Raises:
        Failure: DatasetUnavailable, DatasetInvalid, DatasetDigestMismatch, StoreUnavailable,
            VolumeFull; no file is left behind.

    """
    suffix = _suffix(dataset)
    folder = dataset_folder()
    target, partial = folder / f"dataset{suffix}", folder / f".partial{suffix}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for stale in (folder / f"dataset{known}" for known in _SUFFIXES):
            stale.unlink(missing_ok=True)
        if dataset.uri:
            digest = f"sha256:{_fetched(dataset.uri, config, partial)}"
        else:
            digest = f"sha256:{_made(config, dataset, partial)}"
        if dataset.digest and digest != dataset.digest:
            message = (
                f"{dataset.uri} is not the dataset of spec.dataset.digest: expected"
                f" {dataset.digest}, got {digest} of {partial.stat().st_size} bytes"
            )
            raise Failure(PodReason.DATASET_DIGEST_MISMATCH, message)
        partial.rename(target)
    except s3.Unreachable as error:
        raise Failure(PodReason.STORE_UNAVAILABLE, str(error)) from error
    except s3.StoreError as error:
        raise Failure(PodReason.DATASET_UNAVAILABLE, str(error)) from error
    except OSError as error:
        raise unwritable(
            error, f"the dataset cannot be written to {folder}", PodReason.INVALID_CONFIGURATION
        ) from error
    finally:
        partial.unlink(missing_ok=True)
    return target, digest


def _suffix(dataset: DatasetSpec) -> str:
    """Return the file's extension, which decides how it is read."""
    if not dataset.uri:
        return ".parquet"
    suffix = os.path.splitext(dataset.uri.rstrip("/"))[1].lower()  # noqa: PTH122 - an address, not a path
    if suffix not in _SUFFIXES:
        raise invalid(f"{dataset.uri} ends in neither .parquet nor .csv")
    return suffix


def _fetched(uri: str, config: RunConfig, path: Path) -> str:
    try:
        place = parse_uri(uri)
    except ValueError as error:
        raise invalid(f"spec.dataset.uri: {error}") from error
    reach = config.reach
    # The operator checked this too; here it is checked against this pod's own connection.
    if reach is not None and not reach.reads(place):
        raise Failure(PodReason.DATASET_UNAVAILABLE, f"spec.dataset.uri: {reach.outside}")
    print(f"fetching {uri}", flush=True)
    store = s3.client()
    if place.key.endswith("/"):
        raise _folder(store, place) or s3.Gone(f"{uri}: there is no such object")
    try:
        sha256, size = s3.save(store, place.bucket, place.key, path, lambda _: None)
    except s3.Gone as gone:
        raise (_folder(store, place) or gone) from None
    print(f"fetched {size} bytes", flush=True)
    return sha256


def _folder(store: "S3Client", place: Location) -> Failure | None:
    """Return the failure of a folder of parts, as Spark writes a table; None if it is empty."""
    try:
        parts = [
            key
            for key, size in islice(s3.listing(store, place.bucket, place.prefix), _LISTED)
            if size
        ]
    except s3.StoreError:  # credentials that may read need not be allowed to list
        return None
    if not parts:
        return None
    # Names that begin with these are Spark's own, such as _committed_1 and .part-0.crc.
    named = (key for key in parts if not key.rpartition("/")[2].startswith(("_", ".")))
    name = next(named, parts[0]).removeprefix(place.prefix)
    return invalid(
        f"s3://{place.bucket}/{place.prefix} is a folder of parts such as {name}, but"
        " spec.dataset.uri must name one file. Write the table as one file, for example with"
        " pandas' read_parquet and to_parquet or Spark's coalesce(1), and name that file"
    )


def _made(config: RunConfig, dataset: DatasetSpec, path: Path) -> str:
    make_synthetic(dataset.name, config.task or "classification", dataset.rows, path)
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _check_target(config: RunConfig, target: str, found: Figures) -> None:
    """Reject a dataset without the target column, before anything is trained."""
    if config.task and target not in found.columns:
        only = next(iter(found.columns)) if len(found.columns) == 1 else ""
        if sign := next((sign for sign in ";\t|" if sign in only), None):
            raise invalid(
                f"the dataset has a single column, {only[:_HEAD]!r}: its values must be separated"
                f" by commas, not by {sign!r}"
            )
        near = get_close_matches(target, found.columns, n=1)
        hint = f"; did you mean {near[0]}?" if near else f"; it has {_some(list(found.columns))}."
        raise invalid(f"the dataset has no column {target}{hint} Set spec.dataset.target.")


def _some(columns: list[str]) -> str:
    """Name columns for a message: all, or the first ones and the last, where a target often is."""
    return ", ".join(
        columns if len(columns) <= _NAMED else [*columns[: _NAMED - 3], "...", *columns[-3:]]
    )


def _log(run_id: str, dataset: DatasetSpec, digest: str, found: Figures) -> None:
    """Log the dataset as an input of the run, and its figures as tags."""
    client = tracking.client()
    from mlflow.entities import Dataset, DatasetInput, InputTag, RunTag  # noqa: PLC0415 - after what can fail sooner

    synthetic = {"tags": {"mlflow.source.name": "modelyard synthetic dataset"}}
    kind, source = ("s3", {"uri": dataset.uri}) if dataset.uri else ("code", synthetic)
    entity = described(dataset.name, digest, found, kind, source)
    tags = tagged(dataset.name, digest, dataset.uri or "synthetic", found)
    with tracking.guarded("logging the dataset"):
        _log_input(
            client,
            run_id,
            DatasetInput(Dataset(**entity), [InputTag("mlflow.data.context", "training")]),
        )
        client.log_batch(run_id, tags=[RunTag(key, value) for key, value in tags.items()])


def _log_input(client: "MlflowClient", run_id: str, dataset: "DatasetInput") -> None:
    """Log the input, and retry if another run logs the same dataset at the same moment.

    MLflow looks for the dataset and then inserts it, so of several runs all but one fail. Such a
    failure leaves nothing behind, and the next try finds the dataset that the other run inserted.
    """
    from mlflow.exceptions import MlflowException  # noqa: PLC0415

    for left in reversed(range(_TRIES)):
        try:
            client.log_inputs(run_id, datasets=[dataset])
        except MlflowException as error:
            if not left or "unique" not in str(error).lower():
                raise
        else:
            return


if __name__ == "__main__":
    run_until_stopped(main)
