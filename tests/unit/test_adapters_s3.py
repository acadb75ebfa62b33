"""Errors and credentials of S3; URIs and paths are in test_api_artifacts, what the store does in
tests/contract.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import botocore.exceptions
import pytest
import urllib3.exceptions

from modelyard.adapters.instrument import CallTimer, Missing
from modelyard.adapters.offload import Pool
from modelyard.adapters.s3 import S3, Deadlines
from modelyard.adapters.s3_client import BLOCKING_ERRORS, Clients, Keys, translate
from modelyard.api.artifacts import Location, Reach
from modelyard.errors import Ambiguous, Conflict, Forbidden, Invalid, ModelyardError, Unavailable
from tests.local import limits
from tests.servers import free_port


def answer(code: str, status: int) -> botocore.exceptions.ClientError:
    return botocore.exceptions.ClientError(
        {
            "Error": {"Code": code, "Message": "leaked"},
            "ResponseMetadata": {"HTTPStatusCode": status},
        },
        "GetObject",
    )  # type: ignore[typeddict-item]


@pytest.mark.parametrize(
    ("error", "on_read", "on_write"),
    [
        (answer("AccessDenied", 403), Forbidden, Forbidden),
        (answer("InvalidAccessKeyId", 403), Forbidden, Forbidden),
        (answer("SignatureDoesNotMatch", 403), Forbidden, Forbidden),
        (answer("RequestTimeTooSkewed", 403), Forbidden, Forbidden),
        (answer("403", 403), Forbidden, Forbidden),
        (answer("401", 401), Forbidden, Forbidden),
        (answer("NoSuchKey", 404), Missing, Missing),
        (answer("404", 404), Unavailable, Unavailable),
        (answer("NoSuchBucket", 404), Invalid, Invalid),
        (answer("BucketAlreadyExists", 409), Conflict, Conflict),
        (answer("PreconditionFailed", 412), Unavailable, Unavailable),
        (answer("InvalidRequest", 400), Invalid, Invalid),
        (answer("PermanentRedirect", 301), Invalid, Invalid),
        (answer("SlowDown", 503), Unavailable, Ambiguous),
        (answer("InternalError", 500), Unavailable, Ambiguous),
        (answer("RequestTimeout", 400), Unavailable, Ambiguous),
        (answer("XMinioServerNotInitialized", 503), Unavailable, Ambiguous),
        (answer("", 429), Unavailable, Ambiguous),
        (answer("", 502), Unavailable, Ambiguous),
        (answer("Unknown", 0), Unavailable, Ambiguous),
        (
            botocore.exceptions.EndpointConnectionError(endpoint_url="http://x"),
            Unavailable,
            Unavailable,
        ),
        (
            botocore.exceptions.ConnectTimeoutError(endpoint_url="http://x"),
            Unavailable,
            Unavailable,
        ),
        (
            botocore.exceptions.SSLError(endpoint_url="http://x", error="e"),
            Unavailable,
            Unavailable,
        ),
        (botocore.exceptions.ParamValidationError(report="r"), Invalid, Invalid),
        (botocore.exceptions.ReadTimeoutError(endpoint_url="http://x"), Unavailable, Ambiguous),
        (
            botocore.exceptions.ConnectionClosedError(endpoint_url="http://x"),
            Unavailable,
            Ambiguous,
        ),
        (
            botocore.exceptions.IncompleteReadError(actual_bytes=1, expected_bytes=2),
            Unavailable,
            Ambiguous,
        ),
        (botocore.exceptions.HTTPClientError(error="e"), Unavailable, Ambiguous),
        (urllib3.exceptions.ProtocolError("cut"), Unavailable, Ambiguous),
        (ConnectionResetError(), Unavailable, Ambiguous),
    ],
)
def test_errors_of_boto_are_translated(
    error: Exception, on_read: type[ModelyardError], on_write: type[ModelyardError]
):
    assert isinstance(error, BLOCKING_ERRORS)
    read, write = (
        translate(error, "read object", "s3://b/x", write=write) for write in (False, True)
    )
    assert (type(read), type(write)) == (on_read, on_write)
    assert str(read).startswith("S3: read object s3://b/x: ")
    assert "leaked" not in str(read)


CLIENTS = Clients(limits=limits())  # loads boto3's description of S3 once


def make(endpoint: str, deadlines: Deadlines | None = None) -> S3:
    keys = Keys(endpoint, "the-access-key", "the-secret-key", "the-session-token")
    reach = Reach("bucket", "risk", frozenset({Location("datasets", "")}))
    timer = CallTimer("S3", lambda *_: None)
    return S3(
        keys,
        reach,
        timer,
        clients=CLIENTS,
        pool=Pool("S3", 4),
        bulk=Pool("S3", 4),
        deadlines=deadlines,
    )


@pytest.mark.parametrize(
    "call",
    [
        lambda s3: s3.create_bucket("bucket"),
        lambda s3: s3.usage("s3://bucket/risk/"),
        lambda s3: s3.objects("s3://datasets/risk/"),
        lambda s3: s3.digest("s3://bucket/risk/x/"),
        lambda s3: s3.read("s3://bucket/risk/x", 5),
        lambda s3: s3.delete_prefix("s3://bucket/risk/x/"),
    ],
)
async def test_a_refused_connection_is_never_ambiguous(call: Callable):
    store = make(f"http://127.0.0.1:{free_port()}")
    with pytest.raises(Unavailable, match="nothing answers") as caught:
        await call(store)
    assert type(caught.value) is Unavailable
    await store.close()


async def test_a_silent_store_ends_with_the_deadline_and_does_not_block_the_loop():
    asked, release = asyncio.Event(), asyncio.Event()

    async def silent(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.set()
        await release.wait()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    # Three seconds, for the first client of a process loads boto3's description of S3.
    store = make(
        f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", deadlines=Deadlines(listing=3.0)
    )
    reading = asyncio.create_task(store.usage("s3://bucket/risk/"))
    await asked.wait()
    assert not reading.done()
    with pytest.raises(Unavailable, match="within 3 s"):
        await reading
    release.set()
    server.close()
    await server.wait_closed()
    await store.close()


@pytest.mark.parametrize(
    "uri",
    [
        "s3://bucket/other/x",
        "s3://bucket/riskier/x",
        "s3://bucket/x",
        "s3://bucket/",
        "s3://another/risk/x",
    ],
)
async def test_a_path_outside_the_folder_is_refused_before_a_request(uri: str):
    calls: list[object] = []
    keys = Keys("http://127.0.0.1:9", "a", "b")
    timer = CallTimer("S3", lambda *_: calls.append(1))
    store = S3(
        keys,
        Reach("bucket", "risk"),
        timer,
        clients=CLIENTS,
        pool=Pool("S3", 4),
        bulk=Pool("S3", 4),
    )
    for call in (store.usage(uri), store.objects(uri), store.read(uri, 10), store.digest(uri)):
        with pytest.raises(
            Forbidden, match="outside what this namespace may read: s3://bucket/risk/"
        ):
            await call
    assert calls == []
    await store.close()


def test_keys_are_not_shown():
    keys = Keys("http://minio:9000", "the-access-key", "the-secret-key", "the-session-token")
    assert "the-" not in repr(keys)
    assert "the-" not in repr(make("http://minio:9000").__dict__)
