"""Port-forwards to a Service, and requests through them."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from modelyard.client.errors import NotAllowed, NotFound, Unreachable
from modelyard.client.kube import Impersonation, Kube
from modelyard.client.kube.reach import Reach
from tests.client.kubelet import Kubelet, kubelet


class Echo(BaseHTTPRequestHandler):
    """Responds with the body of the request, twenty times."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"])) * 20
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def target() -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Echo) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


@pytest.fixture
def fake(target: int) -> Iterator[Kubelet]:
    with kubelet(target) as there:
        yield there


@pytest.fixture
def kube(fake: Kubelet, tmp_path: Path) -> Iterator[Kube]:
    with Kube("n", kubeconfig=fake.kubeconfig(tmp_path)) as there:
        yield there


def ask(address: str, body: bytes) -> bytes:
    connection = http.client.HTTPConnection(address, timeout=120)
    connection.request("POST", "/", body)
    found = connection.getresponse().read()
    connection.close()
    return found


def test_large_bodies_are_forwarded_completely_in_both_directions(kube: Kube):
    body = bytes(range(256)) * 2000
    with kube.forward("s", 80) as address:
        found = ask(address, body)
    assert hashlib.sha256(found).digest() == hashlib.sha256(body * 20).digest()


def test_a_connection_goes_to_the_pod_that_is_ready_when_it_is_opened(kube: Kube, fake: Kubelet):
    with kube.forward("s", 80) as address:
        ask(address, b"x")
        fake.ready = {"p-1": False, "p-2": True}
        ask(address, b"x")
    assert [path.split("/")[-2] for path in fake.asked] == ["p-1", "p-2"]


def test_parallel_connections(kube: Kube):
    found: list[bytes] = []
    with kube.forward("s", 80) as address:
        threads = [
            threading.Thread(target=lambda each=each: found.append(ask(address, each)))
            for each in (b"a", b"b", b"c")
        ]
        for each in threads:
            each.start()
        for each in threads:
            each.join(20)
    assert sorted(found) == [b"a" * 20, b"b" * 20, b"c" * 20]


def test_without_a_ready_pod_a_connection_is_closed(kube: Kube, fake: Kubelet):
    with kube.forward("s", 80) as address:
        fake.ready = {}
        with socket.create_connection(
            ("127.0.0.1", int(address.rpartition(":")[2])), timeout=120
        ) as there:
            there.sendall(b"x")
            with contextlib.suppress(ConnectionResetError):
                assert there.recv(1) == b""


def test_after_the_block_the_port_is_closed(kube: Kube):
    with kube.forward("s", 80) as address:
        ask(address, b"x")
    with pytest.raises(ConnectionRefusedError):
        ask(address, b"x")


def test_a_missing_port_or_right_is_reported_before_the_block(kube: Kube, fake: Kubelet):
    with pytest.raises(NotFound, match="has no port 81"), kube.forward("s", 81):
        pass
    fake.allowed = False
    with (
        pytest.raises(
            NotAllowed, match="Ask for the verb create on pods/portforward in the namespace n"
        ),
        kube.forward("s", 80),
    ):
        pass
    fake.ready = {}
    with pytest.raises(Unreachable, match="None of the 0 pods"), kube.forward("s", 80):
        pass


def test_an_address_of_pods_is_reached_by_a_port_forward(kube: Kube, fake: Kubelet, target: int):
    reach = Reach(kube)
    url = reach.url("http://s.n/v1?x=1")
    assert url == reach.url("http://s.n/v1?x=1")
    assert url.endswith("/v1?x=1")
    assert ask(url.split("/")[2], b"x") == b"x" * 20
    assert len(fake.asked) == 1
    assert reach.url(f"http://127.0.0.1:{target}") == f"http://127.0.0.1:{target}"
    with pytest.raises(Unreachable, match=r"Nothing answers at 127\.0\.0\.1:1"):
        reach.url("http://127.0.0.1:1")
    reach.close()


@pytest.mark.parametrize(
    "host", ["169.254.169.254", "[fe80::1]", "[::ffff:169.254.169.254]", "[fd00:ec2::254]"]
)
def test_no_request_is_sent_to_a_metadata_service(kube: Kube, host: str):
    """Another user may write the Secret; the credentials at that address are this machine's."""
    reach = Reach(kube)
    with pytest.raises(Unreachable, match="link-local address"):
        reach.url(f"http://{host}/latest/meta-data/")
    reach.close()


def test_each_request_names_the_impersonated_user(fake: Kubelet, tmp_path: Path):
    vera = Impersonation("vera", ("bé", "a"))
    with (
        Kube("n", kubeconfig=fake.kubeconfig(tmp_path), acting=vera) as kube,
        kube.forward("s", 80) as address,
    ):
        ask(address, b"x")
    named = ("impersonate-group: a", "impersonate-group: bé", "impersonate-user: vera")
    assert fake.acting == {("http", *named), ("websocket", *named)}
