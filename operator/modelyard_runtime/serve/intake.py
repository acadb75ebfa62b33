"""A request before it is parsed: decompress its body, and estimate the memory that it will take.

The functions are called in this order: `request_of`, `unpacked`, `weighed`, `looked_into`. None
takes more memory than the previous one has allowed.
"""

from collections.abc import Sequence

from modelyard_runtime.serve import binary, encoding, pages, weight
from modelyard_runtime.serve.limits import Limits
from modelyard_runtime.serve.predictor import Predictor, Request
from modelyard_runtime.serve.weight import Weight

__all__ = ["is_slow", "looked_into", "request_of", "unpacked", "weighed"]

_PARQUET, _CSV = "application/vnd.apache.parquet", "text/csv"
_HEADERS = frozenset({b"content-type", b"content-encoding", binary.HEADER})
_PYFUNC = 3
"""Copies in MLflow: a body becomes Python values, a DataFrame, and one of the model's types."""
_CELLS = 1 << 16
"""Number of cells, present or filled in, that take the event loop some milliseconds to parse."""
_FEW = 8 << 10
"""Bytes of a body that stays small in memory, whatever it contains."""


def request_of(
    protocol: str, headers: Sequence[tuple[bytes, bytes]], body: bytes
) -> tuple[Request, str]:
    """Return a request with the headers that its protocol uses, and its content encoding."""
    given = {name: value.decode("latin-1") for name, value in headers if name in _HEADERS}
    compressed = given.get(b"content-encoding", "").strip().lower().replace("identity", "")
    if protocol == "mlflow":
        return Request(body, given.get(b"content-type", "")), compressed
    return Request(body, head=given.get(binary.HEADER) if protocol == "v2" else None), compressed


def is_slow(model: Predictor, request: Request, compressed: str) -> bool:
    """Return whether a request may take long or much memory although its body is short."""
    return (
        bool(compressed)
        or _kind(request) == _PARQUET
        or request.body.count(b"{") * _columns(model) > _CELLS
    )


def unpacked(request: Request, compressed: str, limits: Limits) -> Request:
    """Return the request with its body uncompressed.

    Args:
        request: The request as received.
        compressed: The header Content-Encoding, in lower case; empty: none.
        limits: The limits.

    Raises:
        Refused: It is too large, or not compressed in this way.

    """
    if not compressed:
        return request
    return Request(
        encoding.unpacked(request.body, compressed, limits.body), request.content_type, request.head
    )


def weighed(model: Predictor, request: Request, limits: Limits) -> int:
    """Return the most bytes that a request will take, without parsing it.

    Raises:
        Refused: It is too many, or the body is not what its header says.

    """
    kind = _kind(request)
    if kind == _PARQUET:
        found = pages.weigh(request.body)
    elif kind == _CSV:
        found = weight.csv(request.body)
    elif request.head is not None:
        head = binary.parts(request)[0]
        found = weight.tensors(head, len(request.body) - len(head))
    else:
        found = weight.json(request.body, _columns(model))
    return (found if model.quick else found.times(_PYFUNC)).within(limits.one).size


def looked_into(model: Predictor, request: Request, size: int, limits: Limits) -> int:
    """Return the estimate of `weighed`, increased by what the strings of the request may take.

    Some readers copy a string for every row, or reserve the length of the longest string for each;
    some fill in values that rows lack.

    Raises:
        Refused: It is too many.

    """
    kind, texts = _kind(request), 0
    if kind == _PARQUET:
        texts = pages.texts(request.body)
    elif request.head is None and not model.quick and len(request.body) > _FEW:
        texts = weight.filled_up(request.body) if kind == _CSV else weight.written_out(request.body)
    return Weight(size + texts, texts // 4).within(limits.one).size if texts else size


def _columns(model: Predictor) -> int:
    return len(model.signature.inputs) if model.signature else 0


def _kind(request: Request) -> str:
    return request.content_type.partition(";")[0].strip().lower()
