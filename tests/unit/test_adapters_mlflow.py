"""Answers of MLflow, or of a proxy in front of it, and the errors that they become."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from modelyard.adapters.instrument import CallTimer
from modelyard.adapters.mlflow import Credentials, Mlflow
from modelyard.adapters.mlflow_shapes import quoted
from modelyard.api.run_status import RunStatus
from modelyard.errors import Ambiguous, Conflict, Forbidden, Invalid, ModelyardError, Unavailable
from tests.local import limits
from tests.servers import free_port

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
SECRET = "hunter2-and-more"
ANONYMOUS = Credentials()


@asynccontextmanager
async def mlflow(
    handler: Handler,
    credentials: Credentials = ANONYMOUS,
    *,
    deadline: float = 10.0,
    path: str = "",
) -> AsyncIterator[Mlflow]:
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", handler)
    async with TestServer(app) as server:
        client = Mlflow(
            f"http://127.0.0.1:{server.port}{path}",
            credentials,
            CallTimer("MLflow", lambda *_: None),
            limits=limits(),
            deadline=deadline,
        )
        yield client
        await client.close()


def answering(
    status: int, body: str, content_type: str = "application/json", **headers: str
) -> Handler:
    async def handler(_: web.Request) -> web.StreamResponse:
        return web.Response(status=status, text=body, content_type=content_type, headers=headers)

    return handler


def error(code: str) -> str:
    return json.dumps({"error_code": code, "message": f"the body says {SECRET}"})


REFUSALS = [
    (400, error("INVALID_PARAMETER_VALUE"), Invalid, Invalid),
    (400, error("BAD_REQUEST"), Invalid, Invalid),
    (400, error("RESOURCE_ALREADY_EXISTS"), Conflict, Conflict),
    (409, error("ALREADY_EXISTS"), Conflict, Conflict),
    (409, "no JSON", Conflict, Conflict),
    (401, "Unauthorized", Forbidden, Forbidden),
    (401, error("UNAUTHENTICATED"), Forbidden, Forbidden),
    (403, "Invalid Host header", Forbidden, Forbidden),
    (403, error("PERMISSION_DENIED"), Forbidden, Forbidden),
    (404, "<html>default backend - 404</html>", Unavailable, Unavailable),
    (404, error("ENDPOINT_NOT_FOUND"), Invalid, Invalid),
    (405, "", Invalid, Invalid),
    (413, "", Invalid, Invalid),
    (408, "", Unavailable, Ambiguous),
    (429, error("REQUEST_LIMIT_EXCEEDED"), Unavailable, Ambiguous),
    (500, error("INTERNAL_ERROR"), Unavailable, Ambiguous),
    (500, error("INVALID_STATE"), Invalid, Invalid),
    (501, error("NOT_IMPLEMENTED"), Invalid, Invalid),
    (502, "<html>", Unavailable, Ambiguous),
    (503, error("TEMPORARILY_UNAVAILABLE"), Unavailable, Ambiguous),
    (504, "", Unavailable, Ambiguous),
    (200, "<html>Please log in</html>", Unavailable, Ambiguous),
    (200, "", Unavailable, Ambiguous),
    (200, "[]", Unavailable, Ambiguous),
    (200, '{"experiment": {"experiment_id": "1"', Unavailable, Ambiguous),
    (200, '{"ok": true}', Unavailable, Ambiguous),
    (200, '{"experiment": null, "experiment_id_": 1}', Unavailable, Ambiguous),
]


@pytest.mark.parametrize(("status", "body", "on_read", "on_write"), REFUSALS)
async def test_answers_are_translated_and_not_repeated(
    status: int, body: str, on_read: type[ModelyardError], on_write: type[ModelyardError]
):
    async with mlflow(answering(status, body)) as client:
        with pytest.raises(ModelyardError) as read:
            await client.experiment("risk/fraud")
        with pytest.raises(ModelyardError) as write:
            await client.create_experiment("risk/fraud", "s3://b/", {})
    assert (type(read.value), type(write.value)) == (on_read, on_write)
    for caught, operation in ((read.value, "read experiment"), (write.value, "create experiment")):
        assert (caught.dependency, caught.operation, caught.subject) == (
            "MLflow",
            operation,
            "risk/fraud",
        )
        assert caught.detail
        assert SECRET not in str(caught)
        assert caught.__cause__ is None


async def test_a_missing_object_is_none_or_invalid():
    async with mlflow(answering(404, error("RESOURCE_DOES_NOT_EXIST"))) as client:
        assert await client.experiment("x") is None
        assert await client.run("x") is None
        assert await client.model("x") is None
        await client.delete_run("x")
        with pytest.raises(Invalid):
            await client.create_run("x", "r", {})


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_no_redirect_is_followed(status: int):
    asked: list[str] = []

    async def handler(request: web.Request) -> web.StreamResponse:
        asked.append(request.path)
        return web.Response(status=status, headers={"Location": "/elsewhere"})

    async with mlflow(handler) as client:
        with pytest.raises(Invalid, match="redirect"):
            await client.experiment("x")
    assert asked == ["/api/2.0/mlflow/experiments/get-by-name"]


async def test_a_huge_answer_is_cut_short():
    sent = 0

    async def handler(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            for _ in range(200):
                await response.write(b" " * 1024 * 1024)
                sent += 1
        except ConnectionError:
            pass
        return response

    async with mlflow(handler) as client:
        with pytest.raises(Invalid, match="16 MiB"):
            await client.experiment("x")
    assert sent < 200


async def test_silence_ends_with_the_deadline():
    release = asyncio.Event()

    async def handler(_: web.Request) -> web.StreamResponse:
        await release.wait()
        return web.Response()

    async with mlflow(handler, deadline=0.2) as client:
        with pytest.raises(Unavailable, match=r"within 0\.2 s") as read:
            await client.experiment("x")
        with pytest.raises(Ambiguous, match=r"within 0\.2 s"):
            await client.create_run("1", "r", {})
        assert type(read.value) is Unavailable
        release.set()


async def test_dripping_ends_with_the_deadline():
    done = asyncio.Event()

    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while not done.is_set():
            try:
                await response.write(b" ")
                await asyncio.wait_for(done.wait(), 0.02)
            except TimeoutError:
                continue
            except ConnectionError:
                break
        return response

    async with mlflow(handler, deadline=0.3) as client:
        with pytest.raises(Unavailable, match=r"within 0\.3 s"):
            await client.experiment("x")
        done.set()


async def test_a_refused_connection_is_never_ambiguous():
    client = Mlflow(
        f"http://127.0.0.1:{free_port()}",
        Credentials(),
        CallTimer("MLflow", lambda *_: None),
        limits=limits(),
    )
    with pytest.raises(Unavailable, match="nothing answers") as caught:
        await client.create_run("1", "r", {})
    assert type(caught.value) is Unavailable
    await client.close()
    with pytest.raises(Unavailable, match="replaced"):
        await client.create_run("1", "r", {})


async def test_a_server_without_tls_at_an_https_address():
    async def handler(_: web.Request) -> web.StreamResponse:
        return web.Response()

    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", handler)
    async with TestServer(app) as server:
        client = Mlflow(
            f"https://127.0.0.1:{server.port}",
            Credentials(),
            CallTimer("MLflow", lambda *_: None),
            limits=limits(),
        )
        with pytest.raises(Unavailable) as caught:
            await client.create_run("1", "r", {})
        assert type(caught.value) is Unavailable
        await client.close()


@pytest.mark.parametrize("status", [*RunStatus, "PAUSED"])
async def test_a_run_status_that_mlflow_does_not_have_is_an_error(status: str):
    info = {"run_id": "r1", "experiment_id": "1", "status": status, "lifecycle_stage": "active"}
    async with mlflow(answering(200, json.dumps({"run": {"info": info}}))) as client:
        if status == "PAUSED":
            with pytest.raises(Unavailable):
                await client.run("r1")
        else:
            found = await client.run("r1")
            assert found is not None
            assert (found.is_open, found.has_finished, found.has_failed).count(True) == 1


@pytest.mark.parametrize(
    ("credentials", "expected"),
    [
        (Credentials(), None),
        (Credentials(username="anna", password="pä:ss"), "Basic YW5uYTpww6Q6c3M="),
        (Credentials(token="t0k3n"), "Bearer t0k3n"),
        (Credentials(username="anna", password="x", token="t0k3n"), "Basic YW5uYTp4"),
    ],
)
async def test_each_request_carries_its_own_credentials(
    credentials: Credentials, expected: str | None
):
    seen: list[str | None] = []

    async def handler(request: web.Request) -> web.StreamResponse:
        seen.append(request.headers.get("Authorization"))
        return web.json_response({}, headers={"Set-Cookie": "session=other"})

    async with mlflow(handler, credentials) as client:
        await client.delete_run("x")
        await client.delete_run("y")
    assert seen == [expected, expected]


async def test_an_address_below_a_path_and_odd_names_arrive_as_they_are():
    seen: list[tuple[str, str]] = []

    async def handler(request: web.Request) -> web.StreamResponse:
        seen.append((request.path, request.query["experiment_name"]))
        return web.json_response({"error_code": "RESOURCE_DOES_NOT_EXIST"}, status=404)

    async with mlflow(handler, path="/tools/mlflow/") as client:
        assert await client.experiment("a/b?c=d&e #%2F+ü") is None
    assert seen == [("/tools/mlflow/api/2.0/mlflow/experiments/get-by-name", "a/b?c=d&e #%2F+ü")]


async def test_closing_waits_for_calls_in_flight():
    asked, release = asyncio.Event(), asyncio.Event()

    async def handler(_: web.Request) -> web.StreamResponse:
        asked.set()
        await release.wait()
        return web.json_response({})

    async with mlflow(handler) as client:
        call = asyncio.create_task(client.delete_run("x"))
        await asked.wait()
        closing = asyncio.create_task(client.close())
        await asyncio.sleep(0)
        assert not closing.done()
        release.set()
        await call
        await closing


async def test_every_request_is_measured():
    seen: list[tuple[str, str, str]] = []
    refused: list[bool] = []
    answers = iter(
        [
            (200, "{}"),
            (404, error("RESOURCE_DOES_NOT_EXIST")),
            (403, error("PERMISSION_DENIED")),
            (503, ""),
        ]
    )

    async def handler(_: web.Request) -> web.StreamResponse:
        status, body = next(answers)
        return web.Response(status=status, text=body)

    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", handler)

    def observe(dependency: str, operation: str, outcome: str, seconds: float) -> None:
        assert seconds >= 0
        seen.append((dependency, operation, outcome))

    async with TestServer(app) as server:
        timer = CallTimer("MLflow", observe, lambda: refused.append(True))
        client = Mlflow(f"http://127.0.0.1:{server.port}", Credentials(), timer, limits=limits())
        await client.delete_run("x")
        await client.delete_run("x")
        for _ in range(2):
            with pytest.raises(ModelyardError):
                await client.delete_run("x")
        await client.close()
    assert seen == [
        ("MLflow", "delete run", outcome) for outcome in ("ok", "missing", "forbidden", "ambiguous")
    ]
    assert refused == [True]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("x", "'x'"),
        ("it's", '"it\'s"'),
        ('"', "'\"'"),
        ("'\"", None),
        ("a\\", None),
        ("a\n", None),
        ("", "''"),
        ("%_", "'%_'"),
    ],
)
def test_values_are_quoted_or_not_searched_for(value: str, expected: str | None):
    assert quoted(value) == expected


async def test_pages_are_joined_until_the_last():
    asked: list[tuple[str, str | None]] = []

    async def handler(request: web.Request) -> web.StreamResponse:
        token = request.query.get("page_token")
        asked.append((request.query["filter"], token))
        first = {"name": "m", "version": "2", "current_stage": "None"}, "more"
        last = {"name": "m", "version": "1", "current_stage": "Production", "run_id": "r"}, ""
        version, following = last if token else first
        return web.json_response({"model_versions": [version], "next_page_token": following})

    async with mlflow(handler) as client:
        assert [(each.version, each.stage, each.run) for each in await client.versions("m")] == [
            ("1", "Production", "r"),
            ("2", "None", None),
        ]
    assert asked == [("name = 'm'", None), ("name = 'm'", "more")]


async def test_a_lost_page_is_an_error_not_a_short_result():
    pages = iter([({"runs": [], "next_page_token": "more"}, 200), ({}, 503)])

    async def handler(_: web.Request) -> web.StreamResponse:
        body, status = next(pages)
        return web.json_response(body, status=status)

    async with mlflow(handler) as client:
        with pytest.raises(Unavailable):
            await client.runs("1")


async def test_a_read_is_retried_once_after_an_internal_error_and_a_write_is_not():
    asked: list[str] = []

    async def handler(request: web.Request) -> web.StreamResponse:
        asked.append(request.path.rpartition("mlflow/")[2])
        again = asked.count(asked[-1]) > 1
        return web.json_response(
            {"runs": []} if again else {"error_code": "INTERNAL_ERROR"},
            status=200 if again else 500,
        )

    async with mlflow(handler) as client:
        assert await client.runs("1") == ()
        with pytest.raises(Ambiguous):
            await client.create_run("1", "r", {})
    assert asked == ["runs/search", "runs/search", "runs/create"]


async def test_operations_are_few_fixed_texts():
    """They are labels of metrics."""
    operations: dict[str, set[str]] = {"a": set(), "b": set()}

    async def handler(_: web.Request) -> web.StreamResponse:
        return web.json_response({})

    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", handler)
    async with TestServer(app) as server:
        for name, seen in operations.items():
            timer = CallTimer("MLflow", lambda _, operation, *__, seen=seen: seen.add(operation))
            client = Mlflow(f"http://127.0.0.1:{server.port}", ANONYMOUS, timer, limits=limits())
            await client.set_alias(name, name, "1")
            await client.delete_alias(name, name)
            await client.transition(name, "1", "Staging" if name == "a" else "Production")
            await client.set_version_tags(name, name, {name: name})
            await client.set_model_tags(name, {name: name}, name)
            await client.versions(name)
            await client.versions_of_run(name)
            await client.runs(name)
            await client.close()
    assert operations["a"] == operations["b"]


async def test_a_name_that_cannot_be_searched_for_is_refused_without_a_request():
    async with mlflow(answering(200, "{}")) as client:
        with pytest.raises(Invalid, match="cannot be searched"):
            await client.versions('it\'s "both"')
