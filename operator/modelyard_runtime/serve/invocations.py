"""MLflow's scoring protocol for a table of numbers, in every form that `mlflow models serve` takes.

For models that are served through pyfunc, MLflow's own code answers instead. They differ on
purpose: this module refuses a value that does not fit an integer column, which MLflow truncates,
and a row that is too short, which MLflow fills; and a prediction is never the invalid JSON `NaN`.
"""

import csv
import io
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson

from modelyard.api.csv_texts import booleans, column_names
from modelyard.api.missing import MISSING_TEXTS
from modelyard_runtime.outcome import one_line
from modelyard_runtime.serve import pages
from modelyard_runtime.serve.parsing import decoded
from modelyard_runtime.serve.signature import Column
from modelyard_runtime.serve.values import Columns, Matrix, Records, Refused, Table

__all__ = ["refusal", "table"]

_FORMS = ("dataframe_split", "dataframe_records", "instances", "inputs")
_TYPES = ("text/csv", "application/json", "application/vnd.apache.parquet")


def refusal(message: str, status: int) -> bytes:
    """Return an error in MLflow's format."""
    if 400 <= status < 500:
        code = "BAD_REQUEST"
    else:
        code = "TEMPORARILY_UNAVAILABLE" if status == 503 else "INTERNAL_ERROR"
    return orjson.dumps({"error_code": code, "message": message})


def table(body: bytes, content_type: str, columns: Sequence[Column]) -> Table:
    """Parse a body of /invocations.

    Args:
        body: The body, uncompressed.
        content_type: The header, which decides the form.
        columns: The model's columns: only unnamed ones take rows without names.

    Raises:
        Refused: It has none of the forms.

    """
    kind, *parameters = (part.strip() for part in content_type.split(";"))
    for name, _, value in (parameter.partition("=") for parameter in parameters):
        if name.lower() != "charset" or value.lower().strip('"') != "utf-8":
            raise Refused(
                f"the content type {content_type} is not supported: the only parameter may be"
                " charset=utf-8, as the server takes only UTF-8",
                415,
            )
    if kind == "text/csv":
        return _csv(body)
    if kind == "application/json":
        return _json(decoded(body), columns)
    if kind == "application/vnd.apache.parquet":
        return _parquet(body)
    raise Refused(
        f"the content type {content_type or '(none)'} is not one of {', '.join(_TYPES)}", 415
    )


def _json(body: Mapping[str, Any], columns: Sequence[Column]) -> Table:
    forms = [form for form in _FORMS if form in body]
    if len(forms) != 1:
        raise Refused(
            f"the body must have exactly one of {', '.join(_FORMS)}; it has"
            f" {', '.join(body) or 'nothing'}"
        )
    form, data = forms[0], body[forms[0]]
    if form == "dataframe_split":
        return _split(data, columns)
    if isinstance(data, list) and data and all(isinstance(row, dict) for row in data):
        return Records(data)
    if form == "dataframe_records":
        raise Refused("dataframe_records must be a list of objects, one per row")
    if isinstance(data, dict):
        scalar = all(not isinstance(values, list) for values in data.values())
        given = {
            name: values if isinstance(values, list) else [values] for name, values in data.items()
        }
        if not scalar and any(not isinstance(values, list) for values in data.values()):
            raise Refused(f"{form} must give every column a list of values")
        return Columns(given)
    if not isinstance(data, list):
        data = [data]
    return _unnamed(data, columns)


def _unnamed(rows: Sequence[Any], columns: Sequence[Column]) -> Table:
    """Return rows without names; a signature takes them if it has one column, or only numbers."""
    if all(column.number == index for index, column in enumerate(columns)):
        return Matrix(rows)
    named = [column.name for column in columns if column.name is not None]
    if len(named) == 1 and not any(isinstance(row, list) for row in rows):
        return Columns({named[0]: rows})
    if named:
        shown = ", ".join(named[:5])
        raise Refused(
            f"the rows have no column names, but the model's columns do: {shown} ...; use"
            " dataframe_split with columns"
        )
    return Matrix(rows)


def _split(data: Any, columns: Sequence[Column]) -> Table:
    valid = isinstance(data, dict) and isinstance(data.get("data"), list)
    if not valid or data.keys() - {"columns", "data", "index"}:
        raise Refused(
            "dataframe_split must be an object with data and, optionally, columns and index"
        )
    if data.get("columns") is None:
        return _unnamed(data["data"], columns)
    names = data["columns"]
    if not isinstance(names, list) or any(
        not isinstance(row, list) or len(row) != len(names) for row in data["data"]
    ):
        raise Refused(
            "dataframe_split must have a list of columns, and one value per column in every row of"
            " data"
        )
    if names == [column.name for column in columns]:
        return Matrix(data["data"])
    _once([str(name) for name in names])
    return Columns(
        {str(name): [row[index] for row in data["data"]] for index, name in enumerate(names)}
    )


def _csv(body: bytes) -> Table:
    try:
        # Excel begins a file in UTF-8 with a byte order mark.
        lines = io.TextIOWrapper(io.BytesIO(body), encoding="utf-8-sig", newline="")
        rows = [row for row in csv.reader(lines, strict=True) if row]
    except (UnicodeDecodeError, csv.Error) as error:
        raise Refused(f"the body is not CSV in UTF-8: {error}") from None
    if not rows:
        raise Refused("the body is empty; its first line must name the columns")
    names = column_names(rows[0])
    if odd := next((number for number, row in enumerate(rows[1:], 1) if len(row) != len(names)), 0):
        raise Refused(
            f"row {odd} has {len(rows[odd])} values, but the first line names {len(names)} columns"
        )
    return Columns(
        {name: _cells(row[index].strip() for row in rows[1:]) for index, name in enumerate(names)}
    )


def _once(names: Sequence[str]) -> None:
    """Check that column names are unique.

    Raises:
        Refused: A name occurs twice.

    """
    if len(set(names)) < len(names):
        twice = next(name for name, count in Counter(names).items() if count > 1)
        raise Refused(f"there are several columns named {twice}; give each column its own name")


def _cells(texts: Iterable[str]) -> Sequence[str | bool | None]:
    """Return the values of a column of CSV; numbers stay strings."""
    found = [_cell(text) for text in texts]
    return found if (truths := booleans(found)) is None else truths


def _cell(text: str) -> str | None:
    return None if text in MISSING_TEXTS else text


def _parquet(body: bytes) -> Table:
    import pyarrow as pa  # noqa: PLC0415 - 60 MB that few servers need

    try:
        found = pages.opened(body).read()
        _once(found.column_names)
        return Columns({name: _column(found.column(name)) for name in found.column_names})
    except (pa.ArrowException, OSError, ValueError) as error:
        raise Refused(f"the body is not a Parquet file: {one_line(error)}") from None


def _column(column: Any) -> Any:
    """Return a column's values: an array of numbers, or else a list."""
    kind = str(column.type)
    numbers = kind in {"float", "double"} or (
        column.null_count == 0 and kind.lstrip("u").startswith("int")
    )
    return column.to_numpy() if numbers else list(pages.listed(column))
