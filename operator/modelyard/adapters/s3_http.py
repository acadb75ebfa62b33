"""HTTP for boto3: permitted addresses only, within limits, on sockets that end with their call.

boto3 passes each request to a handler of its event `before-send`; the one here sends it by
botocore's own session, with our connections.
"""

import socket
import sys
import time
from collections.abc import Iterator
from typing import Any

import botocore.awsrequest
import botocore.httpsession
import urllib3.exceptions

from modelyard.adapters.bounds import MIB, TRIED, Bounds, TooLarge, check_xml
from modelyard.adapters.offload import current_token
from modelyard.api.addresses import Addresses

__all__ = ["STEP", "Denied", "Redirected", "Session"]

_CHUNK = 64 * 1024
STEP = 256 * 1024
"""Bytes that count as progress; fewer in `Bounds.stall` seconds is "almost nothing"."""


_REGION = "x-amz-bucket-region"


class Redirected(Exception):
    """The answer redirects elsewhere than to the bucket's region."""


class Denied(urllib3.exceptions.NewConnectionError):
    """The operator does not connect to this address; nothing was sent."""


class Session(botocore.httpsession.URLLib3Session):
    """Sends one tenant's requests; thread-safe."""

    _manager: Any

    def __init__(
        self, addresses: Addresses, bounds: Bounds, *, connect: float, read: float, **more: Any
    ) -> None:
        """Create a session without connecting.

        Args:
            addresses: The permitted addresses.
            bounds: The limits of answers other than objects.
            connect: Seconds to connect, for all addresses of a name together.
            read: Seconds without a byte.
            more: Arguments of botocore's session.

        """
        super().__init__(timeout=(connect, read), proxies={}, **more)  # type: ignore[arg-type] # the stubs miss it
        self._bounds = bounds
        self._manager.pool_classes_by_scheme = _pools(addresses, connect)

    def answer(self, request: Any, **_: object) -> Any:
        """Handle `before-send`: send the request; read and check all answers but objects."""
        stream, request.stream_output = request.stream_output, True
        response = self.send(request)
        if 300 <= response.status_code < 400:
            response.raw.close()
            if _REGION not in response.headers:
                # boto3 would ask for the bucket's region, be redirected, and ask again.
                raise Redirected
            # boto3 repeats the request in the region that the headers name. This connection is
            # closed, because the server may be closing it too, and the repeated request would break
            # on it and hide the answer.
            response.raw = _Nothing()
            return response
        if not stream or response.status_code >= 300:
            response.raw = _Bounded(response.raw, self._bounds.xml)
            check_xml(response.content, self._bounds)
        return response


class _Nothing:
    """The empty body of an answer that is not read."""

    def stream(self) -> Iterator[bytes]:
        """Yield nothing."""
        yield from ()


class _Bounded:
    """The body of an answer; reading it fails if it is too long."""

    def __init__(self, raw: Any, limit: int) -> None:
        self._raw, self._limit = raw, limit

    def stream(self) -> Iterator[bytes]:
        """Yield the body in chunks."""
        size = moved = 0
        for chunk in self._raw.stream(_CHUNK):
            size += len(chunk)
            if size - moved >= STEP:
                moved = size
                _step()
            if size > self._limit:
                self._raw.close()
                raise TooLarge(f"an answer is larger than {self._limit / MIB:g} MiB")
            yield chunk


def _pools(addresses: Addresses, seconds: float) -> dict[str, type]:
    """Return urllib3's connection pools by scheme, restricted to permitted addresses."""

    class Guarded:
        """Connects to permitted addresses, and registers its socket with the running call."""

        host: str
        port: int
        sock: socket.socket | None

        def _new_conn(self) -> socket.socket:
            return _connected(self, addresses, seconds)

        def request(self, *arguments: Any, **more: Any) -> Any:
            if self.sock is not None:
                _hold(self.sock)
            return super().request(*arguments, **more)  # type: ignore[misc] # of the class beside it

    class Http(Guarded, botocore.awsrequest.AWSHTTPConnection):  # type: ignore[misc] # it names fewer attributes
        pass

    class Https(Guarded, botocore.awsrequest.AWSHTTPSConnection):  # type: ignore[misc] # it names fewer attributes
        pass

    class HttpPool(botocore.awsrequest.AWSHTTPConnectionPool):
        ConnectionCls = Http

    class HttpsPool(botocore.awsrequest.AWSHTTPSConnectionPool):
        ConnectionCls = Https

    return {"http": HttpPool, "https": HttpsPool}


def _step() -> None:
    token = current_token()
    if token is not None:
        token.check()


def _hold(connection: socket.socket) -> None:
    token = current_token()
    if token is not None:
        token.hold(connection)


def _connected(connection: Any, addresses: Addresses, seconds: float) -> socket.socket:
    """Connect to the first permitted address that answers.

    Raises:
        urllib3.exceptions.NewConnectionError: None answers; `Denied` if none is permitted.

    """
    host, port, end = connection.host, connection.port, time.monotonic() + seconds
    try:
        found = socket.getaddrinfo(host.strip("[]"), port, socket.AF_UNSPEC, socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise urllib3.exceptions.NewConnectionError(
            connection, "the host name is not known"
        ) from None
    permitted = [each for each in found if addresses.permits(host.strip("[]"), str(each[4][0]))]
    if not permitted:
        raise Denied(connection, "the address is denied")
    for family, kind, protocol, _, address in permitted[:TRIED]:
        sock = socket.socket(family, kind, protocol)
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.settimeout(max(0.001, end - time.monotonic()))
            _hold(sock)
            sock.connect(address)
            sock.settimeout(
                connection.timeout if isinstance(connection.timeout, int | float) else seconds
            )
        except OSError:
            sock.close()
            continue
        sys.audit("http.client.connect", connection, host, port)
        return sock
    raise urllib3.exceptions.NewConnectionError(connection, "nothing answers")
