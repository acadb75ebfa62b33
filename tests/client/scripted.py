"""An API server with scripted responses: watches that break or expire.

`test_kube` tests the client with a real API server.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.cluster.apiserver import kubeconfig

__all__ = ["Script", "listing", "obj", "scripted"]


def obj(name: str, version: int, kind: str = "Experiment") -> dict[str, Any]:
    return {
        "kind": kind,
        "metadata": {
            "name": name,
            "namespace": "n",
            "uid": f"uid-{name}",
            "resourceVersion": str(version),
        },
    }


def listing(version: int, *items: dict[str, Any]) -> dict[str, Any]:
    return {"metadata": {"resourceVersion": str(version)}, "items": list(items)}


class Script:
    """The responses, in order: a dict is an answer, a list of dicts a watch's lines, an int a
    status code, text a cut line.
    """

    def __init__(self, answers: Sequence[Any]) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []
        self.url = ""

    def kubeconfig(self, folder: Path) -> str:
        (folder / "config").write_text(
            kubeconfig(self.url, b"", "token").replace(
                '"certificate-authority-data": ""', '"x": ""'
            )
        )
        return str(folder / "config")


@contextmanager
def scripted(*answers: Any) -> Iterator[Script]:
    """Run one; when the script has ended, watches stay open without events."""
    script, over = Script(answers), threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            script.asked.append(self.path)
            answer = script.answers.pop(0) if script.answers else []
            self.send_response(answer if isinstance(answer, int) else 200)
            self.end_headers()
            if isinstance(answer, int):
                self.wfile.write(
                    json.dumps({"kind": "Status", "message": "scripted", "code": answer}).encode()
                )
            elif isinstance(answer, dict):
                self.wfile.write(json.dumps(answer).encode())
            else:
                for line in answer:
                    self.wfile.write(
                        line.encode()
                        if isinstance(line, str)
                        else json.dumps(line).encode() + b"\n"
                    )
                    self.wfile.flush()
                if not script.answers:
                    over.wait(60)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        script.url = f"http://127.0.0.1:{server.server_address[1]}"
        yield script
        over.set()
        server.shutdown()
        thread.join()
