"""Decompress bodies, up to a limit."""

import zlib

from modelyard_runtime.serve.values import Refused

__all__ = ["most", "unpacked"]

_KNOWN = ("gzip", "x-gzip", "deflate")
_RATIO = 1032
"""Most bytes that DEFLATE makes of one byte."""
_CHUNK = 1 << 18
_MEMBERS = 2000
"""Twice the number of members of 64 MiB in blocks of 64 KiB."""
_AUTOMATIC = 32 + zlib.MAX_WBITS
"""Detect a gzip or zlib header."""


def most(size: int, limit: int) -> int:
    """Return the most bytes that a compressed body may become."""
    return min(size * _RATIO, limit + 1)


def unpacked(body: bytes, encoding: str, limit: int) -> bytes:
    """Return a decompressed body.

    Raises:
        Refused: The encoding is unknown, the body does not have it, or the body is larger than
            `limit` bytes.

    """
    if encoding not in _KNOWN:
        raise Refused(
            f"the content encoding {encoding} is not gzip or deflate; send the body uncompressed",
            415,
        )
    pieces, size, at, whole = list[bytes](), 0, 0, memoryview(body)
    stream = zlib.decompressobj(_AUTOMATIC)
    members = 1
    try:
        while at < len(whole):
            if stream.eof:  # gzip allows several members in a row
                stream, members = zlib.decompressobj(_AUTOMATIC), members + 1
            part = whole[at : at + _CHUNK]
            pieces.append(stream.decompress(part, limit + 1 - size))
            at += len(part) - len(stream.unused_data)
            size += len(pieces[-1])
            if size > limit:
                raise Refused(
                    f"the body has more than {limit} bytes uncompressed; send fewer rows at a time",
                    413,
                )
            if members > _MEMBERS:
                raise Refused(f"the body has more than {_MEMBERS} gzip members; compress it as one")
    except zlib.error as error:
        raise Refused(f"the body is not {encoding}: {error}") from None
    if not stream.eof:
        raise Refused(f"the body is not {encoding}: it is truncated")
    return b"".join(pieces)
