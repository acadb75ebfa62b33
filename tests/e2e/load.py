"""A steady load from inside of the cluster: a fixed number of requests per second, whatever the
answers. Runs in a pod, on the standard library.

    python load.py URL BODY [RATE]

It sends requests until SIGTERM, and prints a line of JSON every second and a last one with
everything. Requests are sent by the clock, not after the previous answer: a hanging server loses
them all. Every second request has a new connection, the others keep theirs. A request without a 200
within five seconds is lost.
"""

import http.client
import json
import queue
import select
import signal
import socket
import sys
import threading
import time
import urllib.parse
from collections import Counter
from typing import Any

WORKERS = 24
PATIENCE = 5.0
KEPT_ERRORS = 20


class Load:
    """The sent requests and their results."""

    def __init__(self, url: str, body: bytes) -> None:
        parts = urllib.parse.urlsplit(url)
        self.host, self.port, self.path, self.body = (
            parts.hostname or "",
            parts.port or 80,
            parts.path,
            body,
        )
        self.sent = 0
        self.versions: Counter[str] = Counter()
        self.answers: dict[str, set[str]] = {}
        self.spans: dict[str, list[float]] = {}
        self.errors: list[dict[str, Any]] = []
        self.lost = 0
        self.slowest = 0.0
        self.lock = threading.Lock()
        self.start = time.monotonic()

    def work(self, todo: "queue.SimpleQueue[int | None]") -> None:
        """Send requests from the queue, until it yields None."""
        kept: http.client.HTTPConnection | None = None
        while (number := todo.get()) is not None:
            fresh = number % 2 == 0
            connection = (
                http.client.HTTPConnection(self.host, self.port, timeout=PATIENCE)
                if fresh or kept is None
                else kept
            )
            if connection.sock is not None and select.select([connection.sock], [], [], 0)[0]:
                # the server closed it: a client that keeps connections would not use it
                connection.close()
            begun = time.monotonic()
            try:
                connection.request(
                    "POST", self.path, body=self.body, headers={"Content-Type": "application/json"}
                )
                answer = connection.getresponse()
                text = answer.read().decode(errors="replace")
                if answer.status != 200:
                    raise RuntimeError(f"{answer.status} {text[:200]}")
            except Exception as error:  # noqa: BLE001 - whatever it is, the request is lost
                self.note_loss(error, begun, fresh=fresh)
                connection.close()
                kept = kept if fresh else None
                continue
            self.note(answer.getheader("modelyard-version") or "none", text, begun)
            if fresh:
                connection.close()
            else:
                kept = connection

    def note(self, version: str, text: str, begun: float) -> None:
        now = time.monotonic()
        with self.lock:
            self.versions[version] += 1
            self.answers.setdefault(version, set()).add(text)
            self.spans.setdefault(version, [round(begun - self.start, 3), 0])[1] = round(
                now - self.start, 3
            )
            self.slowest = max(self.slowest, now - begun)

    def note_loss(self, error: Exception, begun: float, *, fresh: bool) -> None:
        with self.lock:
            self.lost += 1
            if len(self.errors) < KEPT_ERRORS:
                what = f"{type(error).__name__}: {error}"[:300]
                connection = "new" if fresh else "kept"
                self.errors.append(
                    {
                        "at": round(begun - self.start, 3),
                        "after": round(time.monotonic() - begun, 3),
                        "connection": connection,
                        "error": what,
                    }
                )

    def says(self) -> dict[str, Any]:
        with self.lock:
            return {"sent": self.sent, "answered": dict(self.versions), "lost": self.lost}

    def ends(self) -> dict[str, Any]:
        answers = {version: sorted(texts)[:5] for version, texts in self.answers.items()}
        seconds = round(time.monotonic() - self.start, 1)
        more = {
            "done": True,
            "seconds": seconds,
            "slowest": round(self.slowest, 3),
            "spans": self.spans,
            "answers": answers,
            "errors": self.errors,
        }
        return self.says() | more


def wait_for(host: str, port: int) -> None:
    """Wait until a Service takes connections: nodes learn of a new one a moment after its first
    pods are ready. The load is about later.
    """
    end = time.monotonic() + 30
    while time.monotonic() < end:
        try:
            socket.create_connection((host, port), PATIENCE).close()
        except OSError:
            time.sleep(0.05)
        else:
            return


def main() -> None:
    """Send until SIGTERM, then print the results."""
    url, body, rate = (
        sys.argv[1],
        sys.argv[2].encode(),
        float(sys.argv[3]) if len(sys.argv) > 3 else 50.0,
    )
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    load = Load(url, body)
    wait_for(load.host, load.port)
    load.start = time.monotonic()
    todo: queue.SimpleQueue[int | None] = queue.SimpleQueue()
    workers = [threading.Thread(target=load.work, args=(todo,)) for _ in range(WORKERS)]
    for worker in workers:
        worker.start()
    told = 0.0
    while not stop.is_set():
        due = load.start + load.sent / rate
        if (early := due - time.monotonic()) > 0:
            stop.wait(early)
        todo.put(load.sent)
        load.sent += 1
        if due - told > 1:
            told = due
            print(json.dumps(load.says()), flush=True)
    for _ in workers:
        todo.put(None)
    for worker in workers:
        worker.join()
    print(json.dumps(load.ends()), flush=True)


if __name__ == "__main__":
    main()
