"""Estimate the memory of a Parquet file from the headers of its pages, not from its footer.

A page of a kilobyte can hold a million rows, and the footer may be wrong: Arrow allocates what each
page's header says.

Source: parquet.thrift of the Parquet format (FileMetaData, PageHeader); `thrift` reads them.
"""

from collections.abc import Iterator
from itertools import chain
from typing import Any

from modelyard_runtime.outcome import one_line
from modelyard_runtime.serve.thrift import LIST, STRUCTURE, Reader
from modelyard_runtime.serve.values import Refused
from modelyard_runtime.serve.weight import Weight

__all__ = ["listed", "opened", "texts", "weigh"]

_CELL = 120
"""Bytes of a cell: Arrow's, a Python object, and its slots in lists and arrays."""
_LISTS, _STRUCTURES = 100, 240
"""Bytes of a list, and of an object, of one value."""
_COPIES = 3
"""Copies of fixed-length bytes: decoded, as Arrow's array, as Python's value."""
_PAGES = 20_000
_FOOTER = 8 << 20
"""Bytes of a footer for about ten thousand columns; parsed, it takes ten times as many."""
_COLUMNS = 100_000
_STRINGS = 16 << 20
_AT_ONCE = 4096
_INT, _LONG = 5, 6
"""Thrift's types of 32 and of 64 bits."""
_LARGEST = (1 << 31) - 1
_GROUPS = 4
"""Field of a FileMetaData; a RowGroup's first one lists its columns."""
_METADATA, _SIZE, _DATA_AT, _DICTIONARY_AT = 3, 7, 9, 11
"""Field of a ColumnChunk, and fields of its ColumnMetaData."""
_UNCOMPRESSED, _COMPRESSED = 2, 3
_DATA, _DICTIONARY, _DATA_V2 = 5, 7, 8
"""Fields of a PageHeader; the last three are structures whose first field counts values."""


def opened(body: bytes) -> Any:
    """Open a Parquet file; strings stay dictionary-encoded, as they are stored.

    Raises:
        Refused: It is not a Parquet file.

    """
    import pyarrow as pa  # noqa: PLC0415 - 60 MB that few servers need
    import pyarrow.parquet as pq  # noqa: PLC0415 - as above

    if (footer := int.from_bytes(body[-8:-4], "little")) > _FOOTER:
        raise Refused(
            f"the Parquet file's footer has {footer} bytes, but {_FOOTER} are allowed; send fewer"
            " columns or row groups",
            413,
        )
    try:
        metadata = pq.ParquetFile(
            pa.BufferReader(body),
            thrift_container_size_limit=_COLUMNS,
            thrift_string_size_limit=_STRINGS,
        ).metadata
        return pq.ParquetFile(
            pa.BufferReader(body), metadata=metadata, read_dictionary=_texts(metadata)
        )
    except (pa.ArrowException, OSError, ValueError) as error:
        raise Refused(f"the body is not a Parquet file: {one_line(error)}") from None


def listed(values: Any) -> Iterator[Any]:
    """Iterate over an array's Python values in slices, because Arrow holds the GIL meanwhile."""
    for start in range(0, len(values), _AT_ONCE):
        yield from values.slice(start, _AT_ONCE).to_pylist()


def weigh(body: bytes) -> Weight:
    """Estimate the memory of a Parquet file by its pages.

    Raises:
        Refused: It is not a Parquet file.

    """
    return _pages(body, opened(body).metadata)


def texts(body: bytes) -> int:
    """Return the bytes of a file's strings with one copy per row, as pandas and Python keep them.

    Raises:
        Refused: The file cannot be read.

    """
    file = opened(body)
    names = _texts(file.metadata)
    return _written_out(file, names) if names else 0


def _texts(metadata: Any) -> list[str]:
    """Return the paths of columns of strings or bytes."""
    columns = [metadata.schema.column(index) for index in range(metadata.num_columns)]
    return [each.path for each in columns if each.physical_type == "BYTE_ARRAY"]


def _written_out(file: Any, names: list[str]) -> int:
    import numpy as np  # noqa: PLC0415 - with pyarrow
    import pyarrow as pa  # noqa: PLC0415 - as in `opened`

    total = 0
    try:
        for group in range(file.num_row_groups):
            for column in file.read_row_group(group, columns=names).columns:
                for chunk in chain.from_iterable(map(_leaves, column.chunks)):
                    values = chunk.dictionary if isinstance(chunk, pa.DictionaryArray) else chunk
                    lengths = np.fromiter(
                        (len(each or "") for each in listed(values)), np.int64, len(values)
                    )
                    if isinstance(chunk, pa.DictionaryArray):
                        lengths = lengths[chunk.indices.drop_null().to_numpy(zero_copy_only=False)]
                    # A character outside Latin-1 takes up to four bytes.
                    total += 4 * int(lengths.sum())
    except (pa.ArrowException, OSError, ValueError, IndexError) as error:
        raise Refused(f"the body is not a Parquet file: {one_line(error)}") from None
    return total


def _leaves(array: Any) -> Iterator[Any]:
    """Iterate over the flat arrays in a nested one."""
    import pyarrow as pa  # noqa: PLC0415 - as in `opened`

    if isinstance(array, pa.StructArray):
        for inner in array.flatten():
            yield from _leaves(inner)
    elif isinstance(array, pa.MapArray):
        yield from chain(_leaves(array.keys), _leaves(array.items))
    elif isinstance(array, pa.ListArray | pa.LargeListArray | pa.FixedSizeListArray):
        yield from _leaves(array.flatten())
    else:
        yield array


def _pages(body: bytes, metadata: Any) -> Weight:
    """Add up what the headers of all pages say."""
    cells = [_cell(metadata.schema.column(index)) for index in range(metadata.num_columns)]
    size, values, pages = len(body), 0, 0
    try:
        for index, chunk in _chunks(body):
            end = min(len(body), chunk.start + chunk.size)
            at = chunk.start
            while at < end:
                page = _Page(body, at)
                at, pages = page.end, pages + 1
                size += page.uncompressed + page.values * cells[index]
                values += page.values
                if pages > _PAGES:
                    raise Refused(
                        f"the Parquet file has more than {_PAGES} pages; send fewer rows at a time",
                        413,
                    )
    except (IndexError, ValueError):
        raise Refused(
            "the body is not a Parquet file: its footer or the header of a page cannot be read"
        ) from None
    rows = max(0, metadata.num_rows)
    return Weight(max(size, len(body) + rows * sum(cells)), max(values, rows * len(cells)))


def _cell(column: Any) -> int:
    """Return the most bytes of a column's value, with one of each list and structure around it."""
    lists, length = int(column.max_repetition_level), int(column.length or 0)
    around: int = _LISTS * lists + _STRUCTURES * max(0, column.path.count(".") - lists)
    return _CELL + around + _COPIES * max(0, length)


def _chunks(body: bytes) -> Iterator[tuple[int, "_Chunk"]]:
    """Iterate over the column chunks in the footer, each with its column's index.

    Arrow's Python API has them too, but crashes the process if a statistic in the footer is wrong.
    """
    reader = Reader(body, len(body) - 8 - int.from_bytes(body[-8:-4], "little"))
    groups: list[list[_Chunk]] = []
    for field, kind in reader.fields():
        if (field, kind) == (_GROUPS, LIST):
            groups = [_group(reader) for _ in reader.elements()]
        else:
            reader.skip(kind)
    for group in groups:
        yield from enumerate(group)


def _group(reader: Reader) -> list["_Chunk"]:
    found: list[_Chunk] = []
    for field, kind in reader.fields():
        if (field, kind) == (1, LIST):
            found = [_Chunk(reader) for _ in reader.elements()]
        else:
            reader.skip(kind)
    return found


class _Chunk:
    """The position of a column of a row group in the file."""

    size = 0

    def __init__(self, reader: Reader) -> None:
        """Read a ColumnChunk."""
        data = dictionary = 0
        for field, kind in reader.fields():
            if (field, kind) != (_METADATA, STRUCTURE):
                reader.skip(kind)
                continue
            for inner, type_ in reader.fields():
                if type_ != _LONG or inner not in {_SIZE, _DATA_AT, _DICTIONARY_AT}:
                    reader.skip(type_)
                elif inner == _SIZE:
                    self.size = reader.number()
                elif inner == _DATA_AT:
                    data = reader.number()
                else:
                    dictionary = reader.number()
        self.start = dictionary if 0 < dictionary < data else data


class _Page:
    """The header of a page."""

    def __init__(self, body: bytes, start: int) -> None:
        """Read its header.

        Raises:
            IndexError, ValueError: There is no header at this position.

        """
        reader = Reader(body, start)
        self.uncompressed = self.values = 0
        compressed = -1
        for field, kind in reader.fields():
            if (field, kind) == (_UNCOMPRESSED, _INT):
                self.uncompressed = reader.number()
            elif (field, kind) == (_COMPRESSED, _INT):
                compressed = reader.number()
            elif kind == STRUCTURE and field in {_DATA, _DICTIONARY, _DATA_V2}:
                # There may be several; another field says which is valid, so take the largest.
                self.values = max(self.values, _counted(reader))
            else:
                reader.skip(kind)
        least = min(compressed, self.uncompressed)
        most = max(compressed, self.uncompressed, self.values)
        if least < 0 or most > _LARGEST:
            raise ValueError("no page has such a size")
        self.end = reader.at + compressed


def _counted(reader: Reader) -> int:
    values = 0
    for field, kind in reader.fields():
        if (field, kind) == (1, _INT):
            values = reader.number()
        else:
            reader.skip(kind)
    if values < 0:
        raise ValueError("the number of values is negative")
    return values
