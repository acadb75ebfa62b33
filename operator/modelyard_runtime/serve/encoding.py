"""Bodies that come compressed, unpacked no further than they may be. What they hold does not
matter here.
"""

import zlib

from modelyard_runtime.serve.values import Refused

__all__ = ["most", "unpacked"]

_KNOWN = ("gzip", "x-gzip", "deflate")
_RATIO = 1032
"""The most that DEFLATE makes of a byte."""
_CHUNK = 1 << 18
_MEMBERS = 2000
"""As many as 64 MiB have in blocks of 64 KiB, and twice that."""
_AUTOMATIC = 32 + zlib.MAX_WBITS
"""Take gzip's and zlib's head, whichever there is."""


def most(size: int, limit: int) -> int:
    """Return how many bytes a compressed body may become, at most."""
    return min(size * _RATIO, limit + 1)


def unpacked(body: bytes, encoding: str, limit: int) -> bytes:
    """Return the body that a header Content-Encoding speaks of.

    Raises:
        Refused: The encoding is not known, the body is not of it, or it has more than `limit`
            bytes.

    """
    if encoding not in _KNOWN:
        raise Refused(
            f"the content encoding {encoding} is not one of gzip, deflate; send the body as it is",
            415,
        )
    pieces, size, at, whole = list[bytes](), 0, 0, memoryview(body)
    stream = zlib.decompressobj(_AUTOMATIC)
    members = 1
    try:
        while at < len(whole):
            if stream.eof:  # gzip files may stand one behind the other
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
                raise Refused(f"the body has more than {_MEMBERS} gzip members; compress it in one")
    except zlib.error as error:
        raise Refused(f"the body is not {encoding}: {error}") from None
    if not stream.eof:
        raise Refused(f"the body is not {encoding}: it ends in the middle")
    return b"".join(pieces)
