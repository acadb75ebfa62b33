"""Addresses in the adapters: checked when the connection is made, whatever the name, without
revealing what listens there.

No rebinding name server is needed: each connection is checked by its peer's address
(`test_a_name_is_checked...`).
"""

from __future__ import annotations

import asyncio
import ssl
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from pydantic import ValidationError

from modelyard import compose
from modelyard.adapters.bounds import Limits
from modelyard.adapters.connection import Tenants
from modelyard.adapters.instrument import CallTimer
from modelyard.adapters.mlflow import Credentials, Mlflow
from modelyard.adapters.offload import Pool
from modelyard.adapters.s3 import S3, Deadlines
from modelyard.adapters.s3_client import Clients, Keys
from modelyard.api.addresses import DENIED, Addresses
from modelyard.api.artifacts import Reach
from modelyard.errors import Invalid, ModelyardError, Unavailable
from modelyard.settings import Settings
from tests.local import limits
from tests.servers import free_port


@dataclass
class Listener:
    """Counts connections and gives each request the same answer, then closes the connection unless
    told to keep it.
    """

    keeps: bool = field(default=False, kw_only=True)
    answer: bytes = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"
    port: int = 0
    seen: list[bytes] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.seen.append(b"")
        while said := await reader.read(65536):
            self.seen[-1] += said
            writer.write(self.answer)
            await writer.drain()
            if not self.keeps:
                break
        writer.close()


@asynccontextmanager
async def listening(listener: Listener, host: str = "127.0.0.1") -> AsyncIterator[Listener]:
    server = await asyncio.start_server(listener.serve, host, 0)
    listener.port = server.sockets[0].getsockname()[1]
    try:
        yield listener
    finally:
        server.close()


Ask = Callable[[str, Limits], Awaitable[object]]


async def mlflow(url: str, shared: Limits) -> object:
    client = Mlflow(url, Credentials(), CallTimer("MLflow", lambda *_: None), limits=shared)
    try:
        return await client.delete_run("r")
    finally:
        await client.close()


async def s3(url: str, shared: Limits) -> object:
    keys, pool = Keys(url, "a", "b"), Pool("S3", 4)
    client = S3(
        keys,
        Reach("bucket", "risk"),
        CallTimer("S3", lambda *_: None),
        clients=Clients(limits=shared),
        pool=pool,
        bulk=pool,
    )
    try:
        return await client.create_bucket("bucket")
    finally:
        await client.close()


async def told(ask: Ask, url: str, shared: Limits) -> str:
    with pytest.raises(Unavailable) as caught:
        await ask(url, shared)
    assert type(caught.value) is Unavailable, "nothing was sent: even a write is not ambiguous"
    return caught.value.detail


ASKS = pytest.mark.parametrize("ask", [mlflow, s3])


@ASKS
@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "0.0.0.0", "2130706433", "127.1"]
)
async def test_a_name_is_checked_by_the_address_that_is_connected_to(ask: Ask, host: str):
    async with listening(Listener()) as listener:
        detail = await told(ask, f"http://{host}:{listener.port}", Limits())
    assert detail == DENIED or (host[0].isdigit() and "host name is not known" in detail)
    assert listener.seen == []


@ASKS
async def test_a_denied_address_does_not_reveal_what_listens_there(ask: Ask):
    async with listening(Listener()) as listener:
        opened = await told(ask, f"http://127.0.0.1:{listener.port}", Limits())
    closed = await told(ask, f"http://127.0.0.1:{free_port()}", Limits())
    nowhere = await told(ask, "http://169.254.169.254:9", Limits())
    assert opened == closed == nowhere == DENIED


@ASKS
async def test_allowed_addresses_are_connected_to_and_failures_look_alike(ask: Ask):
    body = b"{}" if ask is mlflow else b"<a/>"
    async with listening(
        Listener(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body))
    ) as listener:
        await ask(f"http://127.0.0.1:{listener.port}", limits())
        await ask(f"http://localhost:{listener.port}", limits(allow=("localhost",)))
    assert len(listener.seen) == 2
    assert "nothing answers at its address" in await told(
        ask, f"http://127.0.0.1:{free_port()}", limits()
    )


@ASKS
@pytest.mark.parametrize(
    "status", [b"301 Moved", b"302 Found", b"307 Temporary Redirect", b"308 Permanent Redirect"]
)
async def test_no_redirect_leads_to_a_denied_address(ask: Ask, status: bytes):
    """Only our address is allowed; the other one also belongs to this machine."""
    async with listening(Listener(), "127.0.0.2") as other:
        there = b"http://127.0.0.2:%d/" % other.port
        headers = (
            b"location: %s\r\nx-amz-bucket-region: eu-west-1\r\ncontent-length: 0\r\n\r\n" % there
        )
        async with listening(Listener(b"HTTP/1.1 %s\r\n%s" % (status, headers))) as first:
            with pytest.raises(ModelyardError) as caught:
                await ask(f"http://127.0.0.1:{first.port}", limits(allow=("127.0.0.1",)))
        assert isinstance(caught.value, Invalid)
    assert first.seen
    assert other.seen == []


async def test_a_request_after_a_redirect_uses_a_new_connection():
    """A store that redirects may close the connection at any moment: the next request on it would
    fail, and hide the store's answer.
    """
    headers = b"x-amz-bucket-region: eu-west-1\r\ncontent-length: 2\r\n\r\n{}"
    async with listening(
        Listener(b"HTTP/1.1 307 Temporary Redirect\r\n%s" % headers, keeps=True)
    ) as store:
        with pytest.raises(Invalid, match="answers with a redirect"):
            await s3(f"http://127.0.0.1:{store.port}", limits())
    assert [said.count(b"PUT /bucket ") for said in store.seen] == [1, 1]
    assert [b"/us-east-1/s3/" in said for said in store.seen] == [True, False]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return a self-signed certificate for this machine, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    words = (
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=here"
        " -addext subjectAltName=IP:127.0.0.1"
    )
    subprocess.run(
        ["openssl", *words.split(), "-keyout", "key", "-out", "cert"],
        check=True,
        capture_output=True,
        cwd=folder,
    )
    return folder / "cert", folder / "key"


async def test_with_tls_a_connection_is_checked_reused_and_ended_at_the_deadline(
    authority: tuple[Path, Path],
):
    certificate, key = authority
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    connections: list[asyncio.StreamWriter] = []
    requests: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(writer)
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while len(requests) < 2:
                requests.append(await reader.readuntil(b"\r\n\r\n"))
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 21\r\n\r\n<ListBucketResult />\n")
            await reader.read()  # the third request gets no answer; then the connection closes
            await reader.read()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    keys = Keys(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}", "a", "b")

    def store(shared: Limits) -> S3:
        clients, pool = Clients(str(certificate), limits=shared), Pool("S3", 4)
        deadlines = Deadlines(listing=2.0)
        reach, timer = Reach("bucket", "risk"), CallTimer("S3", lambda *_: None)
        return S3(keys, reach, timer, clients=clients, pool=pool, bulk=pool, deadlines=deadlines)

    denied, allowed = store(Limits()), store(limits())
    with pytest.raises(Unavailable) as caught:
        await denied.objects("s3://bucket/risk/m/")
    assert caught.value.detail == DENIED
    for _ in range(2):
        assert await allowed.objects("s3://bucket/risk/m/") == ()
    assert (len(connections), len(requests)) == (1, 2)
    with pytest.raises(Unavailable, match="within 2 s"):
        await allowed.objects("s3://bucket/risk/m/")
    async with asyncio.timeout(5):  # boto3 alone waits ten seconds for a byte
        await allowed.close()
    await denied.close()
    server.close()
    for each in connections:
        each.transport.abort()


SECRET = {
    "MLFLOW_TRACKING_URI": "http://127.0.0.1:{port}",
    "MLFLOW_S3_ENDPOINT_URL": "http://127.0.0.1:{port}",
    "AWS_ACCESS_KEY_ID": "a",
    "AWS_SECRET_ACCESS_KEY": "b",
    "MODELYARD_BUCKET": "bucket",
}


async def test_the_api_server_is_denied_before_the_first_connection():
    """The API server gives its own address; until then no tenant is opened."""
    answers: list[tuple[str, ...] | Unavailable] = [
        Unavailable("Kubernetes", "find", "the API server"),
        ("127.0.0.1",),
    ]
    asked: list[str] = []

    async def denied() -> tuple[str, ...]:
        asked.append("where are you?")
        answer = answers[len(asked) - 1]
        if isinstance(answer, Unavailable):
            raise answer
        return answer

    async with listening(Listener()) as listener:
        values = {key: value.format(port=listener.port) for key, value in SECRET.items()}

        async def secret(_: str, name: str) -> dict[str, str] | None:
            return values if name == "modelyard-connection" else None

        tenants = Tenants(
            secret,
            lambda *_: None,
            limits=Limits(addresses=Addresses(allow=("127.0.0.0/8",))),
            denied=denied,
        )
        with pytest.raises(Unavailable, match="find the API server"):
            await tenants.tenant("risk")
        for namespace in ("risk", "credit"):
            tenant = await tenants.tenant(namespace)
            for call in (tenant.tracking.run("r"), tenant.store.create_bucket("bucket")):
                with pytest.raises(Unavailable) as caught:
                    await call
                assert caught.value.detail == DENIED
        await tenants.close()
    assert len(asked) == 2
    assert listener.seen == []


def test_the_administrator_s_settings_are_respected():
    told = {"connections_allow": "127.0.0.1, minio.storage", "connections_deny": "10.0.0.5"}
    rule = compose._limits(Settings(**told, connections_only="10.0.0.0/8")).addresses
    assert rule.permits("minio.storage", "127.0.0.1")
    assert rule.permits("mlflow.risk", "10.0.0.4")
    assert not rule.permits("mlflow.risk", "10.0.0.5")
    assert not rule.permits("mlflow.risk", "192.168.0.1")
    with pytest.raises(ValidationError, match="is not a host name, an address or a network"):
        Settings(connections_only="10.0.0.0/8/8")
