"""Requests that need far more memory than their size, with the measured growth of a server.

`python -m tests.bench --only hostile` measures again.
"""

import gzip
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from tests.runtime.programs import Answer, Server
from tests.runtime.test_deadlines import MIB, V1, V2
from tests.runtime.test_invocations import WIDE
from tests.runtime.test_weight import parquet, wrong_statistic

__all__ = ["HOSTILE", "Hostile"]

PARQUET = "application/vnd.apache.parquet"


@dataclass(frozen=True)
class Hostile:
    """A request that needs far more memory than its size."""

    model: str
    ask: Callable[[Server], Answer]
    status: int
    named: str
    figure: int
    """MiB by which the server grew when it was measured, or 10."""


def zeros() -> bytes:
    return parquet(pa.table({name: np.zeros(5_000_000) for name in WIDE}), compression="zstd")


def repeated() -> bytes:
    """A long text, stored once, for each of many rows."""
    index = pa.array(np.zeros(200_000, np.int32))
    return parquet(
        pa.table(
            {
                "amount": np.zeros(200_000),
                "city": pa.DictionaryArray.from_arrays(index, pa.array(["x" * 20_000])),
            }
        )
    )


def shaped(shape: list[int]) -> str:
    return json.dumps(
        {"inputs": [{"name": "x", "datatype": "FP64", "shape": shape, "data": [1.0]}]}
    )


def many(lists: int) -> bytes:
    return b'{"instances":[' + b",".join([b"[]"] * lists) + b"]}"


def lists(server: Server) -> Answer:
    return server.ask("POST", V1, many(22_000_000))


def lists_as_tensors(server: Server) -> Answer:
    return server.ask("POST", V1, many(5_000_000), inference_header_content_length="2")


def lists_as_csv(server: Server) -> Answer:
    return server.ask("POST", V1, many(5_000_000), "text/csv")


def keys(rows: int) -> bytes:
    """Objects with a separate key each: the table is the square of their number."""
    return b'{"instances":[' + b",".join(b'{"%x":1}' % row for row in range(rows)) + b"]}"


def keys_for_mlflow(server: Server) -> Answer:
    return server.ask("POST", V1, keys(20_000))


def frame(server: Server) -> Answer:
    """Send a DataFrame without data and with a large shape."""
    return server.invoke(
        {"dataframe_split": {"index": [*range(20_000)], "columns": [*range(20_000)], "data": []}}
    )


def without_values(server: Server) -> Answer:
    return server.infer(
        *({"name": name, "datatype": "FP64", "shape": [10**7, 0], "data": []} for name in WIDE)
    )


def nested(levels: int) -> bytes:
    array: pa.Array = pa.array(np.zeros(100_000))
    for _ in range(levels):
        array = pa.StructArray.from_arrays([array], names=["a"])
    return parquet(pa.table({"amount": array}), compression="zstd")


def repeated_in_lists() -> bytes:
    """Send values like `repeated`, each in a separate list."""
    index = pa.array(np.zeros(200_000, np.int32))
    texts = pa.DictionaryArray.from_arrays(index, pa.array(["x" * 20_000]))
    return parquet(
        pa.table(
            {"city": pa.ListArray.from_arrays(pa.array(np.arange(200_001, dtype=np.int32)), texts)}
        )
    )


def repeated_bytes() -> bytes:
    return parquet(
        pa.table({"city": pa.array([bytes(100_000)] * 2000, pa.binary(100_000))}),
        compression="zstd",
    )


def texts(server: Server) -> Answer:
    """Send texts with a NaN, which not every parser reads."""
    return server.invoke(
        {"inputs": {"amount": [float("nan")] * 60_000, "city": ["x" * 20_000, *["y"] * 59_999]}}
    )


def texts_among_numbers() -> list[Any]:
    return ["x" * 30_000, *[1] * 15_000]


def deep() -> dict[str, Any]:
    data: list[Any] = ["x"]
    for _ in range(900):
        data = [data]
    return {"name": "feature_00", "datatype": "BYTES", "shape": [1], "data": data}


def wide() -> dict[str, Any]:
    return {"name": "x", "datatype": "FP64", "shape": [1, 15_001], "data": texts_among_numbers()}


def packed(server: Server) -> Answer:
    return server.invoke(gzip.compress(bytes(300 * MIB)), content_encoding="gzip")


def posting(path: str, body: Callable[[], str]) -> Callable[[Server], Answer]:
    return lambda server: server.ask("POST", path, body())


FEWER = "fewer rows"
SHORT = "," * 60_000 + "\n" + "1\n" * 60_000
HOSTILE = {
    "a shape of a million sizes": Hostile(
        "classifier", posting(V2, lambda: shaped([9] * 1_000_000)), 400, "dimensions", 30
    ),
    "a shape of sizes that are too large": Hostile(
        "classifier", posting(V2, lambda: shaped([10**18] * 20)), 400, "shape", 10
    ),
    "millions of lists": Hostile("classifier", lists, 413, FEWER, 110),
    "millions of lists, as if they were tensors": Hostile(
        "classifier", lists_as_tensors, 413, FEWER, 110
    ),
    "millions of lists, as if they were CSV": Hostile("classifier", lists_as_csv, 413, FEWER, 110),
    "objects with a key of their own each": Hostile(
        "classifier", posting(V1, lambda: keys(5500).decode()), 400, "lacks the column", 10
    ),
    "rows without values": Hostile("classifier", without_values, 400, "no values", 10),
    "deep lists": Hostile(
        "classifier", posting(V1, lambda: '{"instances":' + "[" * 500_000), 400, "JSON", 10
    ),
    "deep lists of texts": Hostile(
        "classifier", lambda server: server.infer(deep()), 400, "lacks the column", 10
    ),
    "Parquet of zeros": Hostile(
        "classifier", lambda server: server.invoke(zeros(), PARQUET), 413, FEWER, 60
    ),
    "Parquet of structures in structures": Hostile(
        "classifier", lambda server: server.invoke(nested(60), PARQUET), 413, FEWER, 10
    ),
    "Parquet of one long text, in lists": Hostile(
        "classifier", lambda server: server.invoke(repeated_in_lists(), PARQUET), 413, FEWER, 60
    ),
    "Parquet of bytes of one length": Hostile(
        "classifier", lambda server: server.invoke(repeated_bytes(), PARQUET), 413, FEWER, 10
    ),
    "Parquet with a wrong statistic": Hostile(
        "classifier",
        lambda server: server.invoke(wrong_statistic(), PARQUET),
        400,
        "not a Parquet file",
        60,
    ),
    "gzip of nothing": Hostile("classifier", packed, 413, "uncompressed", 130),
    "a long text among numbers": Hostile(
        "classifier", lambda server: server.predict([texts_among_numbers()]), 400, "20 columns", 10
    ),
    "a long text in a tensor": Hostile(
        "classifier", lambda server: server.infer(wide()), 400, "FP64", 10
    ),
    "CSV of commas": Hostile(
        "classifier", lambda server: server.invoke("," * 20_000_000, "text/csv"), 413, FEWER, 60
    ),
    "texts of one long one, through MLflow": Hostile("scaled", texts, 413, FEWER, 30),
    "objects with a key of their own each, through MLflow": Hostile(
        "scaled", keys_for_mlflow, 413, FEWER, 20
    ),
    "a table without data, through MLflow": Hostile("scaled", frame, 413, FEWER, 10),
    "CSV of short lines, through MLflow": Hostile(
        "scaled", lambda server: server.invoke(SHORT, "text/csv"), 413, FEWER, 10
    ),
    "Parquet of one long text, through MLflow": Hostile(
        "scaled", lambda server: server.invoke(repeated(), PARQUET), 413, FEWER, 60
    ),
}
