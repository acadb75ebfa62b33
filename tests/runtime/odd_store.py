"""Failing S3 and MLflow: small HTTP servers with errors that the real ones rarely give."""

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

from tests.servers import Minio

__all__ = ["breaking_off", "holding", "listing", "nobody", "refusing", "refusing_twins"]


@contextmanager
def running(handler: type[BaseHTTPRequestHandler]) -> Iterator[Minio]:
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield Minio(f"http://127.0.0.1:{server.server_port}")
        finally:
            server.shutdown()
            thread.join()


class Quiet(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_request(self, code: object = "-", size: object = "-") -> None:
        pass

    def answer(self, status: int, body: bytes, length: int | None = None, **headers: str) -> None:
        self.send_response(status)
        self.send_header("content-length", str(len(body) if length is None else length))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def listing(key: str) -> Iterator[Minio]:
    """A store that has one object, of any name."""

    class Handler(Quiet):
        def do_GET(self) -> None:
            entry = f"<Contents><Key>{escape(key)}</Key><Size>1</Size></Contents>"
            self.answer(
                200,
                f"<ListBucketResult><IsTruncated>false</IsTruncated>{entry}</ListBucketResult>".encode(),
            )

    with running(Handler) as store:
        yield store


@contextmanager
def holding(objects: Mapping[str, bytes]) -> Iterator[Minio]:
    """A store of one bucket, with these objects by key."""

    class Handler(Quiet):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            key = unquote(parts.path).split("/", 2)[2] if parts.path.count("/") > 1 else ""
            prefix = parse_qs(parts.query).get("prefix", [""])[0]
            if key and key not in objects:
                self.answer(404, b"<Error><Code>NoSuchKey</Code></Error>")
            elif key:
                self.answer(200, objects[key], etag='"one"')
            else:
                found = [
                    f"<Contents><Key>{escape(k)}</Key><Size>{len(v)}</Size></Contents>"
                    for k, v in objects.items()
                    if k.startswith(prefix)
                ]
                self.answer(
                    200,
                    f"<ListBucketResult><IsTruncated>false</IsTruncated>{''.join(found)}</ListBucketResult>".encode(),
                )

    with running(Handler) as store:
        yield store


@contextmanager
def refusing(status: int) -> Iterator[Minio]:
    """An S3 or MLflow that answers every request with this status."""

    class Handler(Quiet):
        def do_GET(self) -> None:
            self.answer(status, b"<Error><Code>AccessDenied</Code></Error>")

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            word = "UNAUTHENTICATED" if status == 401 else "BAD_REQUEST"
            self.answer(status, json.dumps({"error_code": word, "message": "no such run"}).encode())

    with running(Handler) as store:
        yield store


@contextmanager
def nobody() -> Iterator[Minio]:
    """A gateway whose store is down."""

    class Handler(Quiet):
        def do_GET(self) -> None:
            self.answer(404, b"<html>default backend</html>")

    with running(Handler) as store:
        yield store


@contextmanager
def breaking_off(content: bytes, *, changes: bool) -> Iterator[Minio]:
    """A store with one object that breaks off every stream after 300 kB. With `changes`, the object
    changes after the first stream.
    """
    asked: list[str | None] = []

    class Handler(Quiet):
        def do_GET(self) -> None:
            asked.append(self.headers["range"])
            start = int((self.headers["range"] or "bytes=0-").removeprefix("bytes=").rstrip("-"))
            if start and (self.headers["if-match"] != '"one"' or changes):
                self.answer(412, b"<Error><Code>PreconditionFailed</Code></Error>")
                return
            rest = content[start:]
            self.answer(206 if start else 200, rest[:300_000], len(rest), etag='"one"')
            self.close_connection = True

    with running(Handler) as store:
        yield store
    assert asked[0] is None
    assert len(asked) > 1


@contextmanager
def refusing_twins(times: int) -> Iterator[tuple[str, list[str]]]:
    """An MLflow that answers a dataset this many times as if another run logged the same one at the
    same moment; yields the requests.
    """
    asked: list[str] = []

    class Handler(Quiet):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            call = self.path.rpartition("/")[2]
            asked.append(call)
            if call == "log-inputs" and asked.count(call) <= times:
                message = (
                    "(sqlite3.IntegrityError) UNIQUE constraint failed: datasets.experiment_id,"
                    " datasets.name, datasets.digest"
                )
                self.answer(
                    400, json.dumps({"error_code": "BAD_REQUEST", "message": message}).encode()
                )
            else:
                self.answer(200, b"{}")

    with running(Handler) as server:
        yield server.url, asked
