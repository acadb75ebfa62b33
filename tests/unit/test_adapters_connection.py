"""The Secret `modelyard-connection`: its keys, when it is read again, and the life of its
clients.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field, replace

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from modelyard.adapters.connection import Tenants, Timing
from modelyard.adapters.connection_secret import REQUIRED, parse_connection
from modelyard.adapters.mlflow import Credentials
from modelyard.api.artifacts import Location, Reach
from modelyard.errors import Forbidden, Invalid, Unavailable
from tests.local import limits

GOOD = {
    "MLFLOW_TRACKING_URI": "http://mlflow.modelyard:5050",
    "MLFLOW_TRACKING_USERNAME": "anna",
    "MLFLOW_TRACKING_PASSWORD": "the-password",
    "MLFLOW_S3_ENDPOINT_URL": "http://minio.modelyard:9000",
    "AWS_ACCESS_KEY_ID": "the-access-key",
    "AWS_SECRET_ACCESS_KEY": "the-secret-key",
    "MODELYARD_BUCKET": "mlflow-artifacts",
}
SECRETS = ("the-password", "the-access-key", "the-secret-key", "the-token", "the-session-token")


@dataclass
class Kubernetes:
    """Secrets by namespace, and the reads of them."""

    secrets: dict[str, Mapping[str, str] | None] = field(default_factory=dict, repr=False)
    asked: list[tuple[str, str]] = field(default_factory=list)
    error: Exception | None = None
    gate: asyncio.Event | None = None
    for_pods: set[str] = field(default_factory=set)
    pods: dict[str, Mapping[str, str]] = field(default_factory=dict, repr=False)

    async def read(self, namespace: str, name: str) -> Mapping[str, str] | None:
        self.asked.append((namespace, name))
        if self.gate is not None:
            await self.gate.wait()
        if self.error is not None:
            raise self.error
        if name == "modelyard-connection-pods":
            return (
                self.pods.get(namespace, {}) if namespace in {*self.for_pods, *self.pods} else None
            )
        return self.secrets.get(namespace)

    @property
    def readings(self) -> int:
        """Return how often the Secret `modelyard-connection` was read."""
        return sum(name == "modelyard-connection" for _, name in self.asked)


class World:
    """Tenants on secrets, with a fake clock."""

    def __init__(self) -> None:
        self.kubernetes = Kubernetes({"risk": GOOD})
        self.now = 1000.0
        self.tenants = Tenants(
            self.kubernetes.read, lambda *_: None, limits=limits(), clock=lambda: self.now
        )


@pytest.fixture
async def world() -> AsyncIterator[World]:
    made = World()
    yield made
    await made.tenants.close()


# --- its keys -------------------------------------------------------------------------------------
def test_a_valid_secret_is_read():
    found = parse_connection(
        "risk",
        {
            **GOOD,
            "MODELYARD_READ_BUCKETS": "datasets, raw-data/cards",
            "AWS_DEFAULT_REGION": "eu-central-1",
        },
    )
    assert found.tracking_url == "http://mlflow.modelyard:5050"
    assert found.credentials == Credentials("anna", "the-password", "")
    assert (found.keys.endpoint, found.keys.region) == (
        "http://minio.modelyard:9000",
        "eu-central-1",
    )
    assert found.reach == Reach(
        "mlflow-artifacts",
        "risk",
        frozenset({Location("datasets", ""), Location("raw-data", "cards")}),
    )


def test_a_missing_secret_says_what_to_create():
    with pytest.raises(Invalid) as caught:
        parse_connection("risk", None)
    assert (caught.value.dependency, caught.value.operation, caught.value.subject) == (
        "Kubernetes",
        "read connection",
        "risk/modelyard-connection",
    )
    assert caught.value.detail.startswith("create this Secret")
    assert all(key in caught.value.detail for key in REQUIRED)


@pytest.mark.parametrize("key", REQUIRED)
@pytest.mark.parametrize("value", [None, ""])
def test_missing_keys_are_named(key: str, value: str | None):
    with pytest.raises(Invalid, match=f"lacks {key}$"):
        parse_connection(
            "risk", {name: text for name, text in {**GOOD, key: value}.items() if text is not None}
        )


@pytest.mark.parametrize(
    ("key", "value", "complaint"),
    [
        ("MLFLOW_TRACKING_URI", "mlflow:5050", "not an address"),
        ("MLFLOW_TRACKING_URI", "sqlite:///mlflow.db", "not an address"),
        ("MLFLOW_TRACKING_URI", "file:///tmp", "not an address"),
        ("MLFLOW_TRACKING_URI", "http://", "not an address"),
        ("MLFLOW_TRACKING_URI", "http://host:port", "not an address"),
        ("MLFLOW_TRACKING_URI", "http://[::1", "not an address"),
        ("MLFLOW_TRACKING_URI", "http://anna:the-password@mlflow", "must not contain a user"),
        ("MLFLOW_TRACKING_URI", "http://mlflow?x=the-token", "query"),
        ("MLFLOW_TRACKING_URI", "http://mlflow/#x", "fragment"),
        ("MLFLOW_TRACKING_URI", "http://mlflow/a b", "spaces"),
        ("MLFLOW_S3_ENDPOINT_URL", "minio:9000", "not an address"),
        ("MLFLOW_S3_ENDPOINT_URL", "http://minio_store:9000", "letters, digits, dots and dashes"),
        (
            "MLFLOW_S3_ENDPOINT_URL",
            "http://%31%32%37.0.0.1:9000",
            "letters, digits, dots and dashes",
        ),
        ("MLFLOW_S3_ENDPOINT_URL", "https://k:the-secret-key@minio", "must not contain a user"),
        ("MODELYARD_BUCKET", "Bucket", "not a bucket name"),
        ("MODELYARD_BUCKET", "bucket/folder", "not a bucket name"),
        ("MODELYARD_BUCKET", "s3://bucket", "not a bucket name"),
        ("MODELYARD_READ_BUCKETS", "datasets,../x", "its bucket must be"),
        ("MODELYARD_READ_BUCKETS", "datasets,shared/../risk", "must not hold empty, . or .."),
        ("MODELYARD_READ_BUCKETS", "anna:the-password@datasets", "must not hold a user"),
        ("AWS_DEFAULT_REGION", "eu central", "not a region"),
        ("AWS_SECRET_ACCESS_KEY", "the-secret-key\n", "line break"),
        ("MLFLOW_TRACKING_PASSWORD", " the-password", "begins or ends"),
        ("MLFLOW_TRACKING_USERNAME", "", "must be set together"),
        ("MLFLOW_TRACKING_USERNAME", "an:na", "an HTTP header"),
        ("MLFLOW_TRACKING_PASSWORD", "a\nb", "an HTTP header"),
        ("MLFLOW_TRACKING_TOKEN", "the-tokän", "an HTTP header"),
    ],
)
def test_invalid_values_are_refused_and_not_repeated(key: str, value: str, complaint: str):
    with pytest.raises(Invalid, match=complaint) as caught:
        parse_connection("risk", {**GOOD, key: value})
    assert key.rsplit("_", 1)[0] in caught.value.detail
    assert not any(secret in str(caught.value) for secret in SECRETS)


@pytest.mark.parametrize(
    "url", ["https://mlflow.example/tools/mlflow/", "http://[::1]:5050", "http://127.0.0.1:5050"]
)
def test_good_addresses(url: str):
    connection = parse_connection(
        "risk", {**GOOD, "MLFLOW_TRACKING_URI": url, "MLFLOW_S3_ENDPOINT_URL": url}
    )
    assert connection.tracking_url == connection.keys.endpoint == url.rstrip("/")


# --- how long it is cached ------------------------------------------------------------------------
async def test_a_tenant_is_opened_once_and_its_secret_read_once_a_minute(world: World):
    first = await world.tenants.tenant("risk")
    assert (first.reach.bucket, first.tracking_url) == (
        "mlflow-artifacts",
        "http://mlflow.modelyard:5050",
    )
    for world.now in (1000.0, 1030.0, 1059.9):
        assert await world.tenants.tenant("risk") is first
    assert world.kubernetes.asked == [
        ("risk", "modelyard-connection"),
        ("risk", "modelyard-connection-pods"),
    ]
    world.now = 1060.0
    assert await world.tenants.tenant("risk") is first
    assert world.kubernetes.readings == 2


async def test_pods_get_their_own_secret_if_it_exists(world: World):
    assert (await world.tenants.tenant("risk")).pods_secret == "modelyard-connection"
    world.kubernetes.for_pods.add("risk")
    world.now += 60
    assert (await world.tenants.tenant("risk")).pods_secret == "modelyard-connection-pods"
    world.kubernetes.for_pods.clear()
    world.now += 60
    assert (await world.tenants.tenant("risk")).pods_secret == "modelyard-connection"


async def test_a_secret_that_pods_lack_is_read_again_within_a_minute(world: World):
    world.kubernetes.for_pods.add("risk")
    assert (await world.tenants.tenant("risk")).pods_secret == "modelyard-connection-pods"
    world.kubernetes.for_pods.clear()
    world.now += 2
    assert (await world.tenants.tenant("risk")).pods_secret == "modelyard-connection-pods", (
        "no pod has lacked it yet"
    )
    world.tenants.reread_secrets("risk")
    world.tenants.reread_secrets("unknown")
    assert (await world.tenants.tenant("risk")).pods_secret == "modelyard-connection"
    # Not in every round while a pod waits.
    readings = world.kubernetes.readings
    world.now += 1
    world.tenants.reread_secrets("risk")
    await world.tenants.tenant("risk")
    assert world.kubernetes.readings == readings


async def test_namespaces_share_nothing(world: World):
    world.kubernetes.secrets["cards"] = GOOD
    risk, cards = await world.tenants.tenant("risk"), await world.tenants.tenant("cards")
    assert risk.tracking is not cards.tracking
    assert risk.store is not cards.store


async def test_a_changed_secret_opens_new_clients_and_closes_the_old_ones(world: World):
    old = await world.tenants.tenant("risk")
    world.kubernetes.secrets["risk"] = {**GOOD, "AWS_SECRET_ACCESS_KEY": "another"}
    world.now += 60
    new = await world.tenants.tenant("risk")
    assert new.tracking is not old.tracking
    assert new.store is not old.store
    await world.tenants.close()
    with pytest.raises(Unavailable, match="replaced"):
        await old.tracking.experiment("x")


async def test_concurrent_callers_read_the_secret_once(world: World):
    world.kubernetes.gate = asyncio.Event()
    waiting = [asyncio.create_task(world.tenants.tenant("risk")) for _ in range(20)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    world.kubernetes.gate.set()
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert isinstance(results[0], asyncio.CancelledError)
    assert len({id(each) for each in results[1:]}) == 1
    assert world.kubernetes.readings <= 2, "the cancelled reader's, and one for all others"


async def test_a_new_secret_is_found_soon(world: World):
    for _ in range(3):
        with pytest.raises(Invalid, match="create this Secret"):
            await world.tenants.tenant("cards")
    assert len(world.kubernetes.asked) == 1, (
        "five thousand objects must not read it five thousand times"
    )
    world.kubernetes.secrets["cards"] = GOOD
    world.now += 2
    assert (await world.tenants.tenant("cards")).reach.bucket == "mlflow-artifacts"


async def test_a_secret_that_becomes_invalid_closes_its_clients(world: World):
    await world.tenants.tenant("risk")
    world.kubernetes.secrets["risk"] = None
    world.now += 60
    with pytest.raises(Invalid, match="create this Secret"):
        await world.tenants.tenant("risk")
    world.kubernetes.secrets["risk"] = GOOD
    world.now += 2
    assert (await world.tenants.tenant("risk")).reach.bucket == "mlflow-artifacts"


async def test_an_outage_of_kubernetes_is_reported_and_recovers(world: World):
    world.kubernetes.error = Unavailable("Kubernetes", "read secret", "risk/modelyard-connection")
    for _ in range(2):
        with pytest.raises(Unavailable):
            await world.tenants.tenant("risk")
    world.kubernetes.error = None
    assert (await world.tenants.tenant("risk")).reach.bucket == "mlflow-artifacts"


async def test_idle_namespaces_lose_their_clients(world: World):
    idle = await world.tenants.tenant("risk")
    world.kubernetes.secrets["cards"] = GOOD
    world.now += 3601
    await world.tenants.tenant("cards")
    assert await world.tenants.tenant("risk") is not idle


# --- on the wire ----------------------------------------------------------------------------------
class Gateway:
    """A gateway in front of MLflow that accepts one password."""

    def __init__(self, password: str) -> None:
        self.expected = {"Authorization": Credentials("anna", password).headers()["Authorization"]}
        self.asked, self.release = asyncio.Event(), asyncio.Event()
        self.release.set()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        allowed = request.headers.get("Authorization") == self.expected["Authorization"]
        self.asked.set()
        await self.release.wait()
        return web.json_response(
            {"error_code": "RESOURCE_DOES_NOT_EXIST"}, status=404 if allowed else 401
        )


@pytest.fixture
async def gateway() -> AsyncIterator[tuple[Gateway, str]]:
    made = Gateway("new-password")
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", made.answer)
    async with TestServer(app) as server:
        yield made, f"http://127.0.0.1:{server.port}"


async def test_corrected_credentials_are_used_soon_after_a_refusal(
    world: World, gateway: tuple[Gateway, str]
):
    world.kubernetes.secrets["risk"] = {**GOOD, "MLFLOW_TRACKING_URI": gateway[1]}
    old = await world.tenants.tenant("risk")
    with pytest.raises(Forbidden):
        await old.tracking.experiment("x")
    assert await world.tenants.tenant("risk") is old, (
        "not at once: refusals must not hammer Kubernetes"
    )
    world.now += 2
    assert await world.tenants.tenant("risk") is old, "the same keys make the same clients"
    with pytest.raises(Forbidden):
        await old.tracking.experiment("x")
    world.kubernetes.secrets["risk"] = {
        **GOOD,
        "MLFLOW_TRACKING_URI": gateway[1],
        "MLFLOW_TRACKING_PASSWORD": "new-password",
    }
    world.now += 2
    new = await world.tenants.tenant("risk")
    assert await new.tracking.experiment("x") is None


async def test_a_request_that_we_refuse_ourselves_does_not_reread_the_secret(world: World):
    tenant = await world.tenants.tenant("risk")
    with pytest.raises(Forbidden):
        await tenant.store.usage("s3://elsewhere/x/")
    world.now += 30
    await world.tenants.tenant("risk")
    assert world.kubernetes.readings == 1


async def test_calls_in_flight_end_before_their_client_is_closed(
    world: World, gateway: tuple[Gateway, str]
):
    gate, url = gateway
    gate.release.clear()
    world.kubernetes.secrets["risk"] = {
        **GOOD,
        "MLFLOW_TRACKING_URI": url,
        "MLFLOW_TRACKING_PASSWORD": "new-password",
    }
    old = await world.tenants.tenant("risk")
    call = asyncio.create_task(old.tracking.experiment("x"))
    await gate.asked.wait()
    world.kubernetes.secrets["risk"] = GOOD
    world.now += 60
    assert (await world.tenants.tenant("risk")).tracking is not old.tracking
    assert not call.done()
    gate.release.set()
    assert await call is None


async def test_closing_does_not_wait_for_an_endless_call(gateway: tuple[Gateway, str]):
    gate, url = gateway
    gate.release.clear()
    kubernetes = Kubernetes({"risk": {**GOOD, "MLFLOW_TRACKING_URI": url}})
    tenants = Tenants(kubernetes.read, lambda *_: None, limits=limits(), timing=Timing(close=0.05))
    call = asyncio.create_task((await tenants.tenant("risk")).tracking.experiment("x"))
    await gate.asked.wait()
    await tenants.close()
    with pytest.raises(Unavailable):
        await call
    gate.release.set()


async def test_no_credential_is_shown_or_logged(
    world: World, gateway: tuple[Gateway, str], caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.DEBUG)
    secret = {
        **GOOD,
        "MLFLOW_TRACKING_URI": gateway[1],
        "MLFLOW_S3_ENDPOINT_URL": gateway[1],
        "MLFLOW_TRACKING_TOKEN": "the-token",
    }
    world.kubernetes.secrets["risk"] = {**secret, "AWS_SESSION_TOKEN": "the-session-token"}
    tenant = await world.tenants.tenant("risk")
    errors: list[str] = []
    for call in (
        tenant.tracking.experiment("x"),
        tenant.store.usage("s3://mlflow-artifacts/risk/"),
        tenant.store.create_bucket("mlflow-artifacts"),
    ):
        try:
            await call
        except Invalid as error:
            errors.append(f"{error!r} {error}")
    assert errors
    shown = [
        repr(tenant),
        str(tenant),
        repr(world.tenants.__dict__),
        repr(parse_connection("risk", world.kubernetes.secrets["risk"])),
        *errors,
    ]
    shown += [repr(replace(tenant)), repr(vars(tenant.tracking)), repr(vars(tenant.store))]
    for text in shown:
        assert not any(value in text for value in SECRETS), text
    for record in caplog.records:
        assert not any(value in record.getMessage() for value in SECRETS), record


async def test_no_request_carries_another_namespace_s_credential(world: World):
    """I9, under load: each namespace's calls carry its own keys, whatever the others do
    meanwhile.
    """
    seen: list[tuple[str, str]] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        name = request.query.get("experiment_name")
        seen.append((name or request.path.strip("/"), request.headers["Authorization"]))
        if name is None:
            return web.Response(
                text="<Error><Code>NoSuchBucket</Code></Error>",
                content_type="application/xml",
                status=404,
            )
        return web.json_response({"error_code": "RESOURCE_DOES_NOT_EXIST"}, status=404)

    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", answer)
    async with TestServer(app) as server:
        url = f"http://127.0.0.1:{server.port}"
        for number in range(5):
            own = {
                "MLFLOW_TRACKING_PASSWORD": f"pw-{number}",
                "AWS_ACCESS_KEY_ID": f"key-{number}",
                "MODELYARD_BUCKET": f"bucket-{number}",
            }
            world.kubernetes.secrets[f"ns-{number}"] = {
                **GOOD,
                "MLFLOW_TRACKING_URI": url,
                "MLFLOW_S3_ENDPOINT_URL": url,
                **own,
            }

        async def work(number: int) -> None:
            tenant = await world.tenants.tenant(f"ns-{number}")
            assert await tenant.tracking.experiment(f"ns-{number}") is None
            assert await tenant.store.usage(f"s3://bucket-{number}/ns-{number}/x/") is None

        await asyncio.gather(*(work(number) for _ in range(8) for number in range(5)))
    assert len(seen) == 80
    for what, authorization in seen:
        number = what[-1]
        expected = Credentials("anna", f"pw-{number}").headers()["Authorization"]
        assert (
            authorization == expected
            if what.startswith("ns-")
            else f"Credential=key-{number}/" in authorization
        )
