"""A dataset's digest and figures. The cluster's trainer uses the same `api.dataset`."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelyard.api.dataset import Counter, Figures, described, row_hashes
from modelyard.client.packages import need

__all__ = ["Profile", "entity", "profile"]


@dataclass(frozen=True)
class Profile(Figures):
    """A dataset's figures and digest.

    Attributes:
        digest: `sha256:<hex>` of a file's bytes, or of a DataFrame's columns, types and values.

    """

    digest: str


def profile(data: Any, target: str | None) -> Profile:
    """Return the figures and the digest of a dataset.

    Args:
        data: A DataFrame, or the path of a Parquet or CSV file.
        target: The column whose values are counted.

    Raises:
        ValueError: `data` is neither, has no rows, or has no column `target`.
        Missing: pandas is needed to read a file, and is not installed.

    """
    frame, digest = _read(data)
    if not len(frame):
        raise ValueError("the dataset has no rows")
    if target is not None and target not in frame:
        raise ValueError(
            f"the dataset has no column {target}; it has"
            f" {', '.join(map(str, list(frame.columns)[:20]))}"
        )
    pandas = need("pandas", "Looking at a dataset")
    counter = Counter(pandas, target)
    counter.add(frame)
    return Profile(**vars(counter.figures()), digest=digest or _content(pandas, frame))


def _read(data: Any) -> tuple[Any, str]:
    """Return a DataFrame, and the digest of its file; empty if `data` is a DataFrame already."""
    if hasattr(data, "columns") and hasattr(data, "isna"):
        return data, ""
    if not isinstance(data, str | Path):
        raise ValueError(  # noqa: TRY004
            f"a {type(data).__name__} is not a dataset: give a DataFrame, or the path of a Parquet"
            " or CSV file"
        )
    path = Path(data)
    readers = {".parquet": "read_parquet", ".csv": "read_csv"}
    if path.suffix.lower() not in readers:
        raise ValueError(f"{path} ends in neither .parquet nor .csv")
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    read = getattr(need("pandas", "Reading a dataset"), readers[path.suffix.lower()])
    return read(path), f"sha256:{digest}"


def _content(pandas: Any, frame: Any) -> str:
    head = json.dumps([[str(name), str(values.dtype)] for name, values in frame.items()]).encode()
    rows = row_hashes(pandas, frame).to_numpy().tobytes()
    return f"sha256:{hashlib.sha256(head + rows).hexdigest()}"


def entity(name: str, uri: str, found: Profile) -> dict[str, str | None]:
    """Return the fields of MLflow's `Dataset`; without a `uri` the data is a DataFrame."""
    source = {"uri": uri} if uri else {"tags": {"mlflow.source.name": "a DataFrame"}}
    return described(name, found.digest, found, "local" if uri else "code", source)
