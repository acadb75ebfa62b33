"""Estimates of a request's memory before it is parsed, and the limits for it."""

import io
import json
import random
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from modelyard_runtime.serve import intake, pages, weight
from modelyard_runtime.serve.limits import limits, memory
from modelyard_runtime.serve.predictor import Request
from modelyard_runtime.serve.signature import Column, Signature
from modelyard_runtime.serve.thrift import Reader
from modelyard_runtime.serve.values import Refused

GIB, MIB = 1 << 30, 1 << 20
CELL = 40
"""Bytes of a cell that pandas fills in."""


def parquet(table: pa.Table, **options: Any) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(table, buffer, **options)
    return buffer.getvalue()


def test_the_memory_is_the_container_s(tmp_path: Path):
    machine = memory(tmp_path)
    assert machine > 0
    (tmp_path / "memory").mkdir()
    (tmp_path / "memory" / "limit_in_bytes").write_text("1\n")
    (tmp_path / "memory.max").write_text("max\n")
    assert memory(tmp_path) == machine
    (tmp_path / "memory.max").write_text(f"{64 * MIB}\n")
    assert memory(tmp_path) == 64 * MIB
    (tmp_path / "memory.max").unlink()
    (tmp_path / "memory" / "memory.limit_in_bytes").write_text(f"{32 * MIB}\n")
    assert memory(tmp_path) == 32 * MIB


def test_limits_are_in_proportion_to_the_memory_and_shared_by_the_processes():
    whole = limits(2 * GIB, 1, body=None, headers=10, timeout=60)
    assert (whole.body, whole.one, whole.work, whole.held) == (
        64 * MIB,
        512 * MIB,
        512 * MIB,
        256 * MIB,
    )
    shared = limits(2 * GIB, 4, body=None, headers=10, timeout=60)
    assert (shared.body, shared.one, shared.held) == (32 * MIB, 128 * MIB, 64 * MIB)
    assert limits(2 * GIB, 1, body=200 * MIB, headers=10, timeout=60).held == 400 * MIB


def measured(document: bytes) -> int:
    """Return the memory that a parsed document's values take in Python."""
    tracemalloc.start()
    try:
        kept = json.loads(document)
        size = tracemalloc.get_traced_memory()[0]
        del kept
    finally:
        tracemalloc.stop()
    return size


@pytest.mark.parametrize("seed", range(30))
def test_no_json_takes_more_memory_than_estimated(seed: int):
    rng = random.Random(seed)

    def value(depth: int) -> Any:
        kind = rng.randrange(8 if depth < 4 else 5)
        if kind < 5:
            return rng.choice(
                [1.5, 12345678901, "é", "ab", "\U0001f600" * 9, None, True, "x" * 40, rng.random()]
            )
        size = rng.randrange(12)
        return (
            [value(depth + 1) for _ in range(size)]
            if kind < 7
            else {str(rng.random()): value(depth + 1) for _ in range(size)}
        )

    document = json.dumps([value(0) for _ in range(300)], ensure_ascii=bool(seed % 2)).encode()
    assert weight.json(document).size >= measured(document)


WRITTEN = [
    {"compression": "zstd"},
    {"compression": "gzip", "data_page_version": "2.0"},
    {"compression": "none", "use_dictionary": False, "write_statistics": False},
    {"compression": "snappy", "row_group_size": 100, "data_page_size": 512},
]


@pytest.mark.parametrize("options", WRITTEN, ids=str)
def test_the_pages_of_a_file_determine_its_estimate(options: dict[str, Any]):
    rows = 5000
    rng = np.random.default_rng(1)
    table = pa.table(
        {
            "number": rng.normal(size=rows),
            "whole": pa.array([None if row % 3 else row for row in range(rows)]),
            "text": [f"text {row % 40}" for row in range(rows)],
            "lists": [[1.5] * (row % 5) for row in range(rows)],
        }
    )
    written = parquet(table, **options)
    found = pages.weigh(written)
    file = pq.ParquetFile(io.BytesIO(written)).metadata
    groups = [
        file.row_group(group).column(index)
        for group in range(file.num_row_groups)
        for index in range(4)
    ]
    assert found.values >= sum(each.num_values for each in groups)
    assert found.size >= sum(each.total_uncompressed_size for each in groups)
    assert found.size < 40 * table.nbytes
    assert pages.texts(written) == 4 * sum(len(text) for text in table.column("text").to_pylist())


def test_a_false_footer_is_not_believed():
    """The footer's sizes are replaced by small ones; Arrow would allocate the sizes of the
    pages.
    """
    written = parquet(pa.table({"a": ["x" * 8_000_000]}), compression="zstd", use_dictionary=False)
    honest = (
        pq.ParquetFile(io.BytesIO(written)).metadata.row_group(0).column(0).total_uncompressed_size
    )
    lying = written.replace(varint(2 * honest), varint(2 * 100, len(varint(2 * honest))))
    assert (
        pq.ParquetFile(io.BytesIO(lying)).metadata.row_group(0).column(0).total_uncompressed_size
        == 100
    )
    assert pages.weigh(lying).size > honest


def refooted(written: bytes, old: bytes, new: bytes) -> bytes:
    """Replace a part of the footer."""
    size = int.from_bytes(written[-8:-4], "little")
    data, footer = written[: -8 - size], written[-8 - size : -8]
    assert old in footer
    footer = footer.replace(old, new, 1)
    return data + footer + len(footer).to_bytes(4, "little") + b"PAR1"


def wrong_statistic() -> bytes:
    """Return a file whose statistics count the rows with a value, but not those without."""
    return refooted(
        parquet(pa.table({"a": [1.5, None, 2.5]})), b"\x19\x26\x02\x04", b"\x19\x16\x02"
    )


def test_a_footer_with_negative_counts_does_not_lower_the_estimate():
    rows = 100_000
    written = parquet(pa.table({"a": np.zeros(rows)}), compression="zstd")
    lying = refooted(written, b"\x16" + varint(2 * rows), b"\x16" + varint(2 * 10**9 - 1))
    assert pq.ParquetFile(io.BytesIO(lying)).metadata.num_rows == -(10**9)
    assert pages.weigh(lying).size > rows * 8


@pytest.mark.parametrize("more", [2**32, 2**31, -(2**20)])
def test_a_page_that_hides_the_next_ones_is_refused(more: int):
    """Arrow's numbers have 32 bits: it continues where those end."""
    written = parquet(pa.table({"a": np.zeros(1000)}), compression="none", use_dictionary=False)
    size = written[7:9]  # of 8007 bytes, twice: uncompressed and compressed
    assert written[4:12] == b"\x15\x00\x15" + size + b"\x15" + size
    lying = written[:10] + varint(2 * (8007 + more) if more > 0 else -2 * more - 1) + written[12:]
    with pytest.raises(Refused, match="the header of a page cannot be read"):
        pages.weigh(lying)


def test_numbers_of_thrift_have_64_bits():
    assert Reader(varint((1 << 65) + 10), 0).number() == 5
    with pytest.raises(IndexError):
        Reader(b"abc", -1)


def varint(value: int, length: int = 0) -> bytes:
    """Return a number as Thrift writes it, padded with zero bits if needed."""
    found = bytearray()
    while value > 127 or len(found) < length - 1:
        found.append(value & 127 | 128)
        value >>= 7
    return bytes([*found, value])


NO_PARQUET = {"nothing": b"", "a word": b"PAR1", "no footer": b"PAR1" + bytes(100) + b"PAR1"}


@pytest.mark.parametrize("body", NO_PARQUET.values(), ids=NO_PARQUET)
def test_invalid_parquet_is_refused(body: bytes):
    with pytest.raises(Refused, match="not a Parquet file"):
        pages.weigh(body)


def test_a_footer_of_too_many_columns_is_not_read():
    with pytest.raises(Refused, match="footer"):
        pages.weigh(b"PAR1" + bytes(9 * MIB) + (9 * MIB).to_bytes(4, "little") + b"PAR1")


def test_texts_are_found_wherever_mlflow_makes_an_array_of_them():
    long, rows = "x" * 1000, 500
    lists = {"a": [1.0] * rows, "b": [long, *["y"] * (rows - 1)]}
    records = [{"a": 1.0, "b": long if row == 0 else "y"} for row in range(rows)]
    for body in (
        {"inputs": lists},
        {"instances": records},
        {"inputs": [[[long], ["y"] * (rows - 1)]]},
    ):
        for document in (body, body | {"params": {"a": float("nan")}}):
            found = weight.written_out(json.dumps(document).encode())
            assert 4 * 1000 * rows <= found <= 4 * 1000 * rows + CELL * (2 * rows + 1)


def test_texts_are_looked_for_in_one_pass():
    """A hundred thousand rows, each with a separate key, must not take ten thousand million
    look-ups, though they are as many cells.
    """
    found = weight.written_out(
        json.dumps({"instances": [{str(row): "x"} for row in range(100_000)]}).encode()
    )
    assert found == 400_000 + CELL * 100_000**2


TABLES: dict[str, Any] = {
    "rows that lack values": [[1] * 50, *[[1]] * 49],
    "objects with a key of their own each": [{str(row): 1} for row in range(50)],
    "columns with a key of their own each": {str(column): {str(column): 1} for column in range(50)},
    "no data": {"index": [1] * 50, "columns": ["a"] * 50, "data": []},
    "one value for each": {"index": [1] * 50, "data": {str(column): 1 for column in range(50)}},
    "objects without the columns": {"columns": ["a"] * 50, "data": [{}] * 50},
}


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_values_that_pandas_fills_in_are_weighed(table: Any):
    assert weight.written_out(json.dumps({"dataframe_split": table}).encode()) >= CELL * 50 * 50


@pytest.mark.parametrize("line", ["," * 49, '"\n",' * 49])
def test_the_lines_of_csv_are_as_long_as_the_longest(line: str):
    assert weight.filled_up((line + "\n" + "1\n" * 49).encode()) == CELL * 50 * 50
    long = "x" * 200_000  # more than Python's reader accepts
    assert weight.filled_up((line + long + "\n" + "1\n" * 49).encode()) >= CELL * 50 * 50


class Wide:
    """The part of a model that is needed to weigh a request."""

    quick = True
    platform = "xgboost"
    signature = Signature(tuple(Column(f"c{index}", "double") for index in range(900)), ())


def test_objects_count_as_rows_of_all_columns():
    """64 KB of empty objects are 20,000 rows: with 900 columns, half a gigabyte."""
    rows = Request(b'{"instances":[' + b",".join([b"{}"] * 20_000) + b"]}")
    assert intake.is_slow(Wide, rows, "")
    with pytest.raises(Refused, match="fewer rows"):
        intake.weighed(Wide, rows, limits(GIB, 1, body=None, headers=10, timeout=60))
    assert not intake.is_slow(Wide, Request(b'{"instances":[{}]}'), "")


def test_the_product_of_a_shape_is_multiplied_no_further_than_needed():
    assert weight.product([3, 4], 12, "x") == 12
    assert weight.product([0, 20], 12, "x") == 0
    for shape in ([3, 5], [10**4000], [1] * 33, [0, 10**4000], [100_000, 0]):
        with pytest.raises(Refused):
            weight.product(shape, 12, "x")
