"""A proxy that forwards nothing: it records each request with its headers, and answers 502."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

__all__ = ["Recorder", "recorder"]


class Recorder:
    """A running recorder.

    Attributes:
        url: Its address, for HTTP_PROXY.
        heads: The head of each request, unchanged.

    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.heads: list[str] = []

    @property
    def asked(self) -> list[str]:
        """Return the requested addresses, or `host:port` of a tunnel."""
        return [head.split()[1] for head in self.heads]

    @property
    def environment(self) -> Mapping[str, str]:
        """Return the environment of a user whose HTTP goes through this proxy, without
        exemptions.
        """
        return {"HTTP_PROXY": self.url, "http_proxy": self.url, "NO_PROXY": "", "no_proxy": ""}


@contextmanager
def recorder() -> Iterator[Recorder]:
    """Run a recorder on this machine."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            lines = []
            while (line := self.rfile.readline().decode("latin-1").strip()) != "":
                lines.append(line)
            if lines:
                there.heads.append("\n".join(lines))
                self.wfile.write(
                    b"HTTP/1.1 502 Bad Gateway\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
                )

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), Handler) as server:
        there = Recorder(f"http://127.0.0.1:{server.server_address[1]}")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield there
        finally:
            server.shutdown()
            thread.join()
