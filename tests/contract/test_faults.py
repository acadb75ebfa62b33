"""R3, R4 and R11 at the adapters: the request arrives and the answer is spoiled. The guarantee of
each error, on real servers.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass

import pytest

from modelyard.adapters.instrument import CallTimer
from modelyard.adapters.mlflow import Credentials, Mlflow
from modelyard.adapters.offload import Pool
from modelyard.adapters.s3 import S3, Deadlines
from modelyard.adapters.s3_client import Clients, Keys
from modelyard.api.artifacts import Reach
from modelyard.errors import Ambiguous, Forbidden, Invalid, ModelyardError, Unavailable
from tests import servers
from tests.contract.conftest import Mlflows
from tests.contract.stranger import stranger
from tests.faults import Fault, FaultProxy, fault_proxy
from tests.local import limits

pytestmark = pytest.mark.contract

CLIENTS = Clients(limits=limits())
SPOILED = {
    "503": Fault("answer", status=503),
    "500 of MLflow": Fault(
        "answer",
        status=500,
        body=b'{"error_code": "INTERNAL_ERROR", "message": "database is locked"}',
    ),
    "504": Fault("answer", status=504),
    "429": Fault("answer", status=429, headers={"Retry-After": "1"}),
    "login page": Fault("answer", status=200, body=b"<html>Please log in</html>"),
    "reset": Fault("reset"),
    "closed": Fault("close"),
    "truncated": Fault("truncate"),
    "silence": Fault("hang"),
}


def patience(request: pytest.FixtureRequest) -> float:
    """Return the seconds for a call: only silence uses them up; every other answer comes, late on a
    busy machine.
    """
    parameters = request.node.callspec.params if hasattr(request.node, "callspec") else {}
    return 5.0 if parameters.get("fault") == "silence" else 60.0


@dataclass
class World:
    """A client behind the proxy, and one that connects directly to the server."""

    proxy: FaultProxy
    client: Mlflow
    straight: Mlflow
    observed: list[tuple[str, str]]


@pytest.fixture
async def mlflow(mlflows: Mlflows, request: pytest.FixtureRequest) -> AsyncIterator[World]:
    observed: list[tuple[str, str]] = []
    async with fault_proxy(mlflows.sqlite) as proxy, AsyncExitStack() as stack:
        timer = CallTimer(
            "MLflow", lambda _, operation, outcome, __: observed.append((operation, outcome))
        )
        client = Mlflow(
            proxy.url, Credentials(), timer, limits=limits(), deadline=patience(request)
        )
        straight = Mlflow(
            mlflows.sqlite,
            Credentials(),
            CallTimer("MLflow", lambda *_: None),
            limits=limits(),
            deadline=60.0,
        )
        stack.push_async_callback(client.close)
        stack.push_async_callback(straight.close)
        yield World(proxy, client, straight, observed)


@pytest.mark.parametrize("fault", SPOILED)
async def test_a_write_that_was_done_is_ambiguous_and_is_found(
    mlflow: World, name: str, fault: str
):
    """R3: no duplicate, and the search after it finds the created object."""
    mlflow.proxy.next(SPOILED[fault])
    with pytest.raises(Ambiguous) as caught:
        await mlflow.client.create_experiment(
            name, "s3://mlflow-artifacts/x", {"modelyard.io/uid": "u1"}
        )
    assert (caught.value.dependency, caught.value.operation, caught.value.subject) == (
        "MLflow",
        "create experiment",
        name,
    )
    assert "locked" not in str(caught.value)
    assert "html" not in str(caught.value)
    found = await mlflow.client.experiment(name)
    assert found is not None
    assert found.tags == {"modelyard.io/uid": "u1"}
    assert [seen.method for seen in mlflow.proxy.seen] == ["POST", "GET"], "nothing is retried"
    assert mlflow.observed == [("create experiment", "ambiguous"), ("read experiment", "ok")]


@pytest.mark.parametrize("fault", SPOILED)
async def test_a_read_is_unavailable_and_never_none(mlflow: World, name: str, fault: str):
    await mlflow.straight.create_experiment(name, "s3://mlflow-artifacts/x", {})
    mlflow.proxy.next(SPOILED[fault], SPOILED[fault])
    with pytest.raises(Unavailable) as caught:
        await mlflow.client.experiment(name)
    assert type(caught.value) is Unavailable
    stumbled = SPOILED[fault].status == 500
    assert len(mlflow.proxy.seen) == 1 + stumbled, (
        "nothing is retried, but once what MLflow itself failed at"
    )
    mlflow.proxy.next()
    assert await mlflow.client.experiment(name) is not None


WRITES: dict[str, Callable[[Mlflow, str, str], Awaitable[object]]] = {
    "create_run": lambda client, experiment, _: client.create_run(experiment, "r", {}),
    "restore_experiment": lambda client, experiment, _: client.restore_experiment(experiment),
    "delete_experiment": lambda client, experiment, _: client.delete_experiment(experiment),
    "set_experiment_tags": lambda client, experiment, _: client.set_experiment_tags(
        experiment, {"a": "b"}
    ),
    "log_parameters": lambda client, _, run: client.log_parameters(run, {"a": "b"}),
    "set_run_tags": lambda client, _, run: client.set_run_tags(run, {"a": "b"}),
    "finish_run": lambda client, _, run: client.finish_run(run, "FAILED"),
    "reopen_run": lambda client, _, run: client.reopen_run(run),
    "delete_run": lambda client, _, run: client.delete_run(run),
    "restore_run": lambda client, _, run: client.restore_run(run),
    "create_model": lambda client, _, run: client.create_model(f"m.{run}", "", {}),
    "set_model_tags": lambda client, _, run: client.set_model_tags(f"m.{run}", {"a": "b"}, None),
    "describe": lambda client, _, run: client.set_model_tags(f"m.{run}", {}, "text"),
    "create_version": lambda client, _, run: client.create_version(
        f"m.{run}", "s3://b/x", run, {}, None
    ),
    "set_version_tags": lambda client, _, run: client.set_version_tags(f"m.{run}", "1", {"a": "b"}),
    "transition": lambda client, _, run: client.transition(f"m.{run}", "1", "Production"),
    "set_alias": lambda client, _, run: client.set_alias(f"m.{run}", "production", "1"),
    "delete_alias": lambda client, _, run: client.delete_alias(f"m.{run}", "production"),
    "delete_version": lambda client, _, run: client.delete_version(f"m.{run}", "1"),
    "delete_model": lambda client, _, run: client.delete_model(f"m.{run}"),
}


async def test_every_write_is_ambiguous_when_its_answer_is_lost(mlflow: World, name: str):
    experiment = await mlflow.straight.create_experiment(name, "s3://mlflow-artifacts/x", {})
    run = await mlflow.straight.create_run(experiment, "r", {})
    for write in WRITES.values():
        mlflow.proxy.next(Fault("answer", status=503, forward=False))
        with pytest.raises(Ambiguous):
            await write(mlflow.client, experiment, run)


@pytest.mark.parametrize(
    ("status", "kind"),
    [(401, Forbidden), (403, Forbidden), (302, Invalid), (404, Unavailable), (400, Invalid)],
)
async def test_a_gateway_s_refusals(mlflow: World, status: int, kind: type[ModelyardError]):
    mlflow.proxy.choose = lambda _: Fault(
        "answer", status=status, headers={"Location": "http://elsewhere.invalid/"}, forward=False
    )
    for call in (mlflow.client.experiment("x"), mlflow.client.create_run("1", "r", {})):
        with pytest.raises(kind) as caught:
            await call
        assert type(caught.value) is kind


async def test_an_mlflow_outage_and_its_end(mlflow: World, name: str):
    await mlflow.proxy.refuse()
    for call in (
        mlflow.client.experiment(name),
        mlflow.client.create_experiment(name, "s3://b/", {}),
    ):
        with pytest.raises(Unavailable, match="nothing answers") as caught:
            await call
        assert type(caught.value) is Unavailable
    await mlflow.proxy.listen()
    assert await mlflow.client.experiment(name) is None


async def test_mlflow_refuses_a_host_that_it_does_not_allow(mlflow: World, mlflows: Mlflows):
    client = Mlflow(
        mlflows.sqlite.replace("127.0.0.1", "mlflow.localhost"),
        Credentials(),
        CallTimer("MLflow", lambda *_: None),
        limits=limits(),
    )
    with pytest.raises(ModelyardError) as caught:
        await client.experiment("x")
    await client.close()
    if isinstance(caught.value, Forbidden):  # a machine that resolves *.localhost
        assert "--allowed-hosts" in caught.value.detail
    else:
        assert "host name" in caught.value.detail


# --- S3 -------------------------------------------------------------------------------------------
@dataclass
class StoreWorld:
    proxy: FaultProxy
    store: S3
    bucket: str
    keys: Callable[[], set[str]]


@pytest.fixture
async def s3(
    minio: servers.Minio, name: str, request: pytest.FixtureRequest
) -> AsyncIterator[StoreWorld]:
    hand, most = minio.s3(), patience(request)
    bucket = f"faults-{name}"
    hand.create_bucket(Bucket=bucket)
    for path in ("a", "b", "c"):
        hand.put_object(Bucket=bucket, Key=f"risk/fraud/{path}", Body=path.encode() * 200_000)

    def keys() -> set[str]:
        return {found["Key"] for found in hand.list_objects_v2(Bucket=bucket).get("Contents", ())}

    async with fault_proxy(minio.url) as proxy:
        store = S3(
            Keys(proxy.url, minio.access_key, minio.secret_key),
            Reach(bucket, "risk"),
            CallTimer("S3", lambda *_: None),
            clients=CLIENTS,
            pool=Pool("S3", 8),
            bulk=Pool("S3", 4),
            deadlines=Deadlines(call=most, listing=most, digest=most),
        )
        yield StoreWorld(proxy, store, bucket, keys)
        proxy.choose = lambda _: None
        await proxy.refuse()
        await store.close()
    hand.close()


@pytest.mark.parametrize("fault", [each for each in SPOILED if each != "login page"])
async def test_reads_of_s3_are_unavailable(s3: StoreWorld, fault: str):
    for call in (
        lambda: s3.store.usage(f"s3://{s3.bucket}/risk/"),
        lambda: s3.store.read(f"s3://{s3.bucket}/risk/fraud/a", 1_000_000),
        lambda: s3.store.digest(f"s3://{s3.bucket}/risk/fraud/"),
    ):
        s3.proxy.seen.clear()
        s3.proxy.next(SPOILED[fault])
        with pytest.raises(Unavailable) as caught:
            await call()
        assert type(caught.value) is Unavailable
        assert len(s3.proxy.seen) == 1, "nothing is retried"
    assert (await s3.store.usage(f"s3://{s3.bucket}/risk/")).objects == 3


NOBODY = Fault("answer", status=404, body=b"", forward=False)


async def test_not_found_from_a_foreign_server_is_not_believed(s3: StoreWorld):
    """A proxy without its backend: if its answers counted as S3's, models and buckets would seem
    deleted.
    """
    for call in (
        lambda: s3.store.usage(f"s3://{s3.bucket}/risk/"),
        lambda: s3.store.create_bucket(s3.bucket),
        lambda: s3.store.objects(f"s3://{s3.bucket}/risk/"),
        lambda: s3.store.read(f"s3://{s3.bucket}/risk/fraud/a", 1_000_000),
        lambda: s3.store.digest(f"s3://{s3.bucket}/risk/fraud/"),
        lambda: s3.store.delete_prefix(f"s3://{s3.bucket}/risk/fraud/"),
    ):
        s3.proxy.next(NOBODY)
        with pytest.raises(Unavailable, match="no S3 answers"):
            await call()
    assert (await s3.store.usage(f"s3://{s3.bucket}/risk/")).objects == 3
    assert len(s3.keys()) == 3


async def test_a_connection_to_a_foreign_server_is_not_reused(minio: servers.Minio, name: str):
    """The foreign server keeps connections open; the same address now leads to the right server.
    (Connections to MLflow are closed after 2 s.)
    """
    async with stranger() as door:
        keys, reach = (
            Keys(door.url, minio.access_key, minio.secret_key),
            Reach(f"none-{name}", "risk"),
        )
        store = S3(
            keys,
            reach,
            CallTimer("S3", lambda *_: None),
            clients=CLIENTS,
            pool=Pool("S3", 4),
            bulk=Pool("S3", 4),
        )
        with pytest.raises(Unavailable):
            await store.usage(f"s3://none-{name}/risk/")
        door.leads_to = minio.url
        assert await store.usage(f"s3://none-{name}/risk/") is None
        await store.close()


async def test_half_an_object_gives_no_digest(s3: StoreWorld):
    for fault in (
        Fault("truncate"),
        Fault("reset"),
        Fault("answer", status=503),
        Fault("answer", status=200, body=b"short"),
    ):
        s3.proxy.choose = lambda seen, fault=fault: (
            fault if seen.target.startswith(f"/{s3.bucket}/risk/fraud/b") else None
        )
        with pytest.raises(Unavailable) as caught:
            await s3.store.digest(f"s3://{s3.bucket}/risk/fraud/")
        assert type(caught.value) is Unavailable


async def test_an_object_that_changes_or_is_deleted_while_a_tree_is_read(
    s3: StoreWorld, minio: servers.Minio
):
    hand = minio.s3()

    def change(seen):
        if seen.target.startswith(f"/{s3.bucket}/risk/fraud/b"):
            hand.put_object(Bucket=s3.bucket, Key="risk/fraud/b", Body=b"other")

    def drop(seen):
        if seen.target.startswith(f"/{s3.bucket}/risk/fraud/b"):
            hand.delete_object(Bucket=s3.bucket, Key="risk/fraud/b")

    for act in (change, drop):
        s3.proxy.choose = act
        with pytest.raises(Unavailable, match="changed while it was read"):
            await s3.store.digest(f"s3://{s3.bucket}/risk/fraud/")
    hand.close()


@pytest.mark.parametrize(
    "fault", [each for each in SPOILED if each not in {"login page", "truncated"}]
)
async def test_a_deletion_whose_answer_is_lost_is_ambiguous_and_can_be_continued(
    s3: StoreWorld, fault: str
):
    s3.proxy.choose = lambda seen: SPOILED[fault] if seen.method == "POST" else None
    with pytest.raises(Ambiguous):
        await s3.store.delete_prefix(f"s3://{s3.bucket}/risk/fraud/")
    s3.proxy.choose = lambda _: None
    await s3.store.delete_prefix(f"s3://{s3.bucket}/risk/fraud/")
    assert s3.keys() == set()


async def test_a_store_that_refuses_to_delete_objects_is_reported(s3: StoreWorld):
    kept = (
        '<?xml version="1.0"?><DeleteResult><Error>'
        "<Key>risk/fraud/a</Key><Code>{}</Code></Error></DeleteResult>"
    )
    for code, kind in (("AccessDenied", Forbidden), ("InternalError", Unavailable)):
        answer = Fault(
            "answer",
            status=200,
            headers={"content-type": "application/xml"},
            body=kept.format(code).encode(),
            forward=False,
        )
        s3.proxy.choose = lambda seen, answer=answer: answer if seen.method == "POST" else None
        with pytest.raises(kind):
            await s3.store.delete_prefix(f"s3://{s3.bucket}/risk/fraud/")
    assert len(s3.keys()) == 3


async def test_wrong_keys_are_distinguished_from_a_missing_bucket(minio: servers.Minio, name: str):
    def store(access: str, secret: str) -> S3:
        reach = Reach(f"none-{name}", "risk")
        return S3(
            Keys(minio.url, access, secret),
            reach,
            CallTimer("S3", lambda *_: None),
            clients=CLIENTS,
            pool=Pool("S3", 4),
            bulk=Pool("S3", 4),
        )

    right = store(minio.access_key, minio.secret_key)
    assert await right.usage(f"s3://none-{name}/risk/") is None
    for access, secret, said in (
        (minio.access_key, "wrong-secret", "SECRET"),
        ("nobody", minio.secret_key, "AWS_ACCESS_KEY_ID"),
    ):
        wrong = store(access, secret)
        with pytest.raises(Forbidden, match=said):
            await wrong.usage(f"s3://none-{name}/risk/")
        with pytest.raises(Forbidden):
            await wrong.create_bucket(f"none-{name}")
        await wrong.close()
    await right.close()
