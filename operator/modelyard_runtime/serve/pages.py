"""What a Parquet file will become, read from the headers of its pages and not from what its footer claims.

A page of a kilobyte can hold a million rows, and a footer can say what it likes: Arrow allocates what each page's header
says. Reading the file belongs to `invocations`.

Source: parquet.thrift of the Parquet format (PageHeader), and Thrift's compact protocol.
"""

from typing import Any

from modelyard_runtime.outcome import one_line
from modelyard_runtime.serve.values import Refused
from modelyard_runtime.serve.weight import Weight

__all__ = ["opened", "texts", "weigh"]

_CELL = 120
"""Bytes of a cell: Arrow's, a Python object and its places in lists and arrays."""
_PAGES = 20_000
_FOOTER = 8 << 20
"""Bytes that describe some ten thousand columns; read, they become ten times as many."""
_COLUMNS = 100_000
_STRINGS = 16 << 20
_DEPTH = 16
_UNCOMPRESSED, _COMPRESSED = 2, 3
_DATA, _DICTIONARY, _DATA_V2 = 5, 7, 8
"""Fields of a PageHeader; the last three are structures whose first field counts values."""


def opened(body: bytes) -> Any:
    """Open a Parquet file; texts stay dictionaries, as they are stored.

    Raises:
        Refused: It is none.

    """
    import pyarrow as pa  # noqa: PLC0415 - 60 MB that few servers are asked for
    import pyarrow.parquet as pq  # noqa: PLC0415 - as above

    if (footer := int.from_bytes(body[-8:-4], "little")) > _FOOTER:
        raise Refused(f"the Parquet file's footer has {footer} bytes, {_FOOTER} are allowed; send fewer columns or row groups", 413)
    try:
        metadata = pq.ParquetFile(pa.BufferReader(body), thrift_container_size_limit=_COLUMNS, thrift_string_size_limit=_STRINGS).metadata
        return pq.ParquetFile(pa.BufferReader(body), metadata=metadata, read_dictionary=_texts(metadata))
    except (pa.ArrowException, OSError, ValueError) as error:
        raise Refused(f"the body is not a Parquet file: {one_line(error)}") from None


def weigh(body: bytes) -> Weight:
    """Weigh a Parquet file by its pages.

    Raises:
        Refused: It is none.

    """
    return _pages(body, opened(body).metadata)


def texts(body: bytes) -> int:
    """Return how many bytes its texts take when each row has its own, as pandas and Python have them; the file stores each once.

    Raises:
        Refused: The file cannot be read.

    """
    file = opened(body)
    names = _texts(file.metadata)
    return _written_out(file, names) if names else 0


def _texts(metadata: Any) -> list[str]:
    """Return the paths of columns of texts or bytes that are no part of a list or a structure."""
    columns = [metadata.schema.column(index) for index in range(metadata.num_columns)]
    return [each.path for each in columns if each.physical_type == "BYTE_ARRAY" and each.path == each.name]


def _written_out(file: Any, names: list[str]) -> int:
    import numpy as np  # noqa: PLC0415 - with pyarrow
    import pyarrow as pa  # noqa: PLC0415 - as in `opened`

    total = 0
    try:
        for group in range(file.num_row_groups):
            for column in file.read_row_group(group, columns=names).columns:
                for chunk in column.chunks:
                    values = chunk.dictionary if isinstance(chunk, pa.DictionaryArray) else chunk
                    lengths = np.array([len(each or "") for each in values.to_pylist()], np.int64)
                    if isinstance(chunk, pa.DictionaryArray):
                        lengths = lengths[chunk.indices.drop_null().to_numpy(zero_copy_only=False)]
                    total += 4 * int(lengths.sum())  # a character outside of Latin 1 has up to four bytes
    except (pa.ArrowException, OSError, ValueError, IndexError) as error:
        raise Refused(f"the body is not a Parquet file: {one_line(error)}") from None
    return total


def _pages(body: bytes, metadata: Any) -> Weight:
    """Add up what the headers of all pages say."""
    size, values, pages = len(body), metadata.num_rows * metadata.num_columns, 0
    for group in range(metadata.num_row_groups):
        for index in range(metadata.num_columns):
            column = metadata.row_group(group).column(index)
            at = column.data_page_offset
            if column.has_dictionary_page and 0 < column.dictionary_page_offset < at:
                at = column.dictionary_page_offset
            end = min(len(body), at + column.total_compressed_size)
            while at < end:
                page = _Header(body, at)
                at, pages = page.end, pages + 1
                size, values = size + page.uncompressed, values + page.values
                if pages > _PAGES:
                    raise Refused(f"the Parquet file has more than {_PAGES} pages; send fewer rows at a time", 413)
    return Weight(size + values * _CELL, values)


class _Header:
    """A page's header."""

    uncompressed = 0
    values = 0

    def __init__(self, body: bytes, start: int) -> None:
        """Read it.

        Raises:
            Refused: There is none at this place.

        """
        self._body, self._at = body, start
        compressed = -1
        try:
            for field, kind in self._fields():
                if field == _UNCOMPRESSED:
                    self.uncompressed = self._number()
                elif field == _COMPRESSED:
                    compressed = self._number()
                elif field in {_DATA, _DICTIONARY, _DATA_V2}:
                    self._counted()
                else:
                    self._skip(kind)
        except (IndexError, ValueError):
            compressed = -1
        if min(compressed, self.uncompressed, self.values) < 0:
            raise Refused("the body is not a Parquet file: a page has no header")
        self.end = self._at + compressed

    def _counted(self) -> None:
        for field, kind in self._fields():
            if field == 1:
                self.values = self._number()
            else:
                self._skip(kind)

    def _fields(self) -> Any:
        """Iterate over a structure's fields: number and type. The caller reads each value."""
        field = 0
        while (head := self._byte()) != 0:
            field = field + (head >> 4) if head >> 4 else self._number()
            yield field, head & 15

    def _skip(self, kind: int, depth: int = 0) -> None:
        if depth > _DEPTH:
            raise ValueError("too deep")
        if kind in {4, 5, 6}:  # whole numbers
            self._varint()
        elif kind == 3:  # a byte
            self._at += 1
        elif kind == 7:  # a float
            self._at += 8
        elif kind == 8:  # bytes
            length = self._varint()
            self._at += length
        elif kind in {9, 10}:  # lists and sets
            head = self._byte()
            size = self._varint() if head >> 4 == 15 else head >> 4
            if size > len(self._body) - self._at:
                raise ValueError("too long")
            for _ in range(size):
                self._skip(3 if head & 15 in {1, 2} else head & 15, depth + 1)
        elif kind == 12:  # structures
            for _, inner in self._fields():
                self._skip(inner, depth + 1)
        elif kind not in {1, 2}:  # true and false are their type
            raise ValueError("no type")

    def _byte(self) -> int:
        self._at += 1
        return self._body[self._at - 1]

    def _varint(self) -> int:
        value = shift = 0
        while shift < 70:
            byte = self._byte()
            value |= (byte & 127) << shift
            if byte < 128:
                return value
            shift += 7
        raise ValueError("too long")

    def _number(self) -> int:
        value = self._varint()
        return (value >> 1) ^ -(value & 1)
