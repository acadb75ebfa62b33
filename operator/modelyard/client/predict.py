"""A table as a request in a model server's protocol, and the response as a table. Pure.

    given = table([[0.1, 2.0]])
    body = request("v2", given)
    predictions = answer("v2", response, given)

Arrays and DataFrames are recognized by the name of their class, so that numpy and pandas are needed
only if they are used.
"""

import base64
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Literal

__all__ = ["Protocol", "Table", "answer", "path", "request", "table"]

Protocol = Literal["v2", "v1", "invocations"]


@dataclass(frozen=True)
class Table:
    """Rows of input.

    Attributes:
        names: Names of the columns; empty if they have none, and the model takes them in its own
            order.
        rows: The rows, each with one value per column.
        arrays: Whether the input was an array or a DataFrame, so that the answer is an array too.
        written: Whether the values are texts of a CSV file, which `typed` has yet to convert.
        types: V2 datatypes that the model declares, by column. A type that the values have
            themselves takes precedence.

    """

    names: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    arrays: bool = False
    written: bool = False
    types: Mapping[str, str] = field(default_factory=dict)


def table(data: Any) -> Table:
    """Return rows of input as a Table.

    Args:
        data: A list of lists, of dicts or of numbers (one row); a dict of columns; a numpy array,
            of which all dimensions but the first become columns; a DataFrame; a Series (one row);
            or a Table, which is returned as it is.

    Raises:
        ValueError: It is none of these, it has no rows, rows or columns differ in length, two
            columns have the same name, or JSON cannot represent a value.

    """
    if isinstance(data, Table):
        return _checked(data)
    kind = f"{type(data).__module__.partition('.')[0]}.{type(data).__name__}"
    if kind == "pandas.DataFrame":
        names, rows = (
            tuple(str(name) for name in data.columns),
            data.to_numpy(dtype=object).tolist(),
        )
    elif kind == "pandas.Series":
        names, rows = tuple(str(name) for name in data.index), [data.tolist()]
    elif kind.startswith("numpy.") and data.ndim:
        array = data.reshape(1, -1) if data.ndim == 1 else data
        names, rows = (), _list(array.reshape(len(array), -1))
    elif isinstance(data, Mapping):
        columns = [_list(values) for values in data.values()]
        if len({len(column) for column in columns}) > 1:
            raise ValueError("the columns differ in length")
        return _checked(
            Table(
                tuple(str(name) for name in data),
                tuple(tuple(map(_plain, row)) for row in zip(*columns, strict=True)),
            )
        )
    elif isinstance(data, Sequence) and not isinstance(data, str | bytes) and data:
        names, rows = _listed(data)
    else:
        raise ValueError(
            f"a {kind} is not a table: give rows as a list of lists, a dict of columns, a numpy"
            " array or a DataFrame"
        )
    whole = tuple(tuple(_plain(value) for value in row) for row in rows)
    if len({len(row) for row in whole}) > 1:
        raise ValueError("the rows differ in length")
    return _checked(Table(names, whole, arrays=kind.startswith(("pandas.", "numpy."))))


def _checked(found: Table) -> Table:
    """Return the table if it has rows, and no two columns of one name."""
    if not found.rows:
        raise ValueError("the table has no rows")
    if len(set(found.names)) < len(found.names):
        twice = next(name for at, name in enumerate(found.names) if name in found.names[:at])
        raise ValueError(f"there are several columns {twice}; give each column a name of its own")
    return found


def _listed(data: Sequence[Any]) -> tuple[tuple[str, ...], list[Any]]:
    if all(isinstance(row, Mapping) for row in data):
        names = tuple(dict.fromkeys(str(name) for row in data for name in row))
        return names, [[row.get(name) for name in names] for row in data]
    if any(
        (isinstance(row, Sequence) and not isinstance(row, str)) or hasattr(row, "tolist")
        for row in data
    ):
        return (), [_list(row) for row in data]
    return (), [list(data)]


def _list(values: Any) -> list[Any]:
    if hasattr(values, "tolist"):
        if type(values).__module__ == "numpy" and values.dtype.kind == "M":
            values = values.astype("datetime64[us]")  # tolist() turns finer units into integers
        values = values.tolist()
    return (
        list(values) if isinstance(values, Sequence) and not isinstance(values, str) else [values]
    )


def _plain(value: Any) -> Any:
    """Return a value as JSON: missing values as null, bytes as base64, as the server reads them."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, Decimal):
        value = float(value)  # JSON has no decimals
    if isinstance(value, float) and math.isnan(value):
        return None
    if value is None or isinstance(value, str | int | float | bool):
        return value
    if type(value).__name__ in {"NaTType", "NAType"}:
        return None
    if isinstance(value, bytes | bytearray):
        return base64.b64encode(value).decode()
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if hasattr(value, "isoformat"):
        return value.isoformat()
    raise ValueError(
        f"JSON cannot represent a {type(value).__name__}: give numbers, texts, dates or bytes"
    )


def path(protocol: Protocol, model: str) -> str:
    """Return the URL path of a protocol's requests."""
    return {
        "v2": f"/v2/models/{model}/infer",
        "v1": f"/v1/models/{model}:predict",
        "invocations": "/invocations",
    }[protocol]


def request(protocol: Protocol, given: Table) -> dict[str, Any]:
    """Return the body of a request, as JSON."""
    if protocol == "v1":
        return {
            "instances": [dict(zip(given.names, row, strict=True)) for row in given.rows]
            if given.names
            else _rows(given)
        }
    if protocol == "invocations":
        if given.names:
            return {"dataframe_split": {"columns": list(given.names), "data": _rows(given)}}
        return {"instances": _rows(given)}
    if given.names:
        columns = zip(given.names, zip(*given.rows, strict=True), strict=True)
        return {
            "inputs": [
                _tensor(name, [len(given.rows)], list(values), given.types.get(name))
                for name, values in columns
            ]
        }
    flat = [value for row in given.rows for value in row]
    return {
        "inputs": [
            _tensor("input-0", [len(given.rows), len(given.rows[0]) if given.rows else 0], flat)
        ]
    }


def _rows(given: Table) -> list[list[Any]]:
    return [list(row) for row in given.rows]


def _tensor(
    name: str, shape: list[int], values: list[Any], declared: str | None = None
) -> dict[str, Any]:
    """Return a V2 tensor with the type of its values, or the declared type if all are missing."""
    there = [value for value in values if value is not None]
    if declared == "BYTES" and not there:
        datatype = "BYTES"
    elif there and all(isinstance(value, bool) for value in there) and len(there) == len(values):
        datatype = "BOOL"
    elif (
        there
        and all(isinstance(value, int) and not isinstance(value, bool) for value in there)
        and len(there) == len(values)
    ):
        datatype = "INT64"
    elif all(isinstance(value, int | float) for value in there):
        datatype = "FP64"
    else:
        datatype = "BYTES"
        values = [
            value if value is None or isinstance(value, str) else json.dumps(value)
            for value in values
        ]
    return {"name": name, "datatype": datatype, "shape": shape, "data": values}


def answer(protocol: Protocol, body: bytes, given: Table) -> Any:
    """Return the predictions in a response: one entry per row.

    Args:
        protocol: The protocol of the request.
        body: The response.
        given: The request's table.

    Returns:
        A list, or a numpy array if the input was an array or a DataFrame. A dict of them by name
        if the model has several outputs.

    Raises:
        ValueError: The response is not JSON.

    """
    content = json.loads(body)
    if protocol != "v2":
        return _as_given(content["predictions"], given)
    outputs = {
        output["name"]: _shaped(output["data"], output["shape"]) for output in content["outputs"]
    }
    if len(outputs) == 1:
        return _as_given(next(iter(outputs.values())), given)
    return {name: _as_given(values, given) for name, values in outputs.items()}


def _shaped(data: list[Any], shape: list[int]) -> list[Any]:
    if len(shape) < 2:
        return data
    step = math.prod(shape[1:])
    return [
        _shaped(data[index * step : (index + 1) * step], shape[1:]) for index in range(shape[0])
    ]


def _as_given(values: Any, given: Table) -> Any:
    if not given.arrays:
        return values
    from modelyard.client.packages import need  # noqa: PLC0415 - only for arrays

    return need("numpy", "Predicting from arrays").array(values)
