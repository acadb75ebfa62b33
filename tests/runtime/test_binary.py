"""Binary tensors and compressed bodies, sent by Triton's own client; and invalid ones, as bytes."""

import gzip
import json
import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

from tests.runtime.programs import Server
from tests.runtime.test_deadlines import V1, V2
from tests.runtime.test_invocations import MIXED, PEOPLE, ROWS, WIDE, columns, split

Serve = Callable[[str], Server]


@contextmanager
def client(server: Server) -> Iterator[triton.InferenceServerClient]:
    asking = triton.InferenceServerClient(f"127.0.0.1:{server.port}")
    try:
        yield asking
    finally:
        asking.close()


def given(name: str, array: np.ndarray, datatype: str, *, binary: bool = True) -> triton.InferInput:
    tensor = triton.InferInput(name, list(array.shape), datatype)
    tensor.set_data_from_numpy(array, binary_data=binary)
    return tensor


def test_triton_s_client_works_with_its_defaults(served: Serve):
    server = served("classifier")
    expected = server.predict(ROWS).json["predictions"]
    with client(server) as asking:
        assert asking.is_server_live()
        assert asking.is_server_ready()
        assert asking.is_model_ready("fraud", "v3")
        assert "binary_tensor_data" in asking.get_server_metadata()["extensions"]
        rows = given("rows", np.array(ROWS), "FP64")
        answer = asking.infer("fraud", [rows], request_id="7")
        assert answer.get_response()["id"] == "7"
        assert answer.get_output("output-0")["parameters"]["binary_data_size"] == 8 * len(ROWS)
        assert answer.as_numpy("output-0").tolist() == expected
        for wanted in (
            triton.InferRequestedOutput("output-0"),
            triton.InferRequestedOutput("output-0", binary_data=False),
        ):
            assert (
                asking.infer("fraud", [rows], "v3", outputs=[wanted]).as_numpy("output-0").tolist()
                == expected
            )
        as_json = given("rows", np.array(ROWS), "FP64", binary=False)
        assert asking.infer("fraud", [as_json]).as_numpy("output-0").tolist() == expected


def test_triton_s_client_sends_a_tensor_of_each_type(served: Serve):
    server = served("regressor")
    expected = server.invoke(split(MIXED, PEOPLE)).json["predictions"]
    types = {
        "amount": (np.float64, "FP64"),
        "age": (np.int64, "INT64"),
        "visits": (np.int32, "INT32"),
    }
    types |= {"member": (np.bool_, "BOOL"), "rate": (np.float32, "FP32")}
    with client(server) as asking:
        for halves in (0, 2):  # some of them in the JSON, the others after it
            tensors = [
                given(name, np.array(values, types[name][0]), types[name][1], binary=at >= halves)
                for at, (name, values) in enumerate(columns(MIXED, PEOPLE).items())
            ]
            assert asking.infer("fraud", tensors).as_numpy("output-0").tolist() == pytest.approx(
                expected
            )


def test_triton_s_client_sends_and_gets_texts(served: Serve):
    with client(served("scaled")) as asking:
        amount = given("amount", np.array([1.5, 2.0]), "FP64")
        city = given("city", np.array(["bonn", "köln"], object), "BYTES")
        answer = asking.infer("fraud", [amount, city])
        assert answer.as_numpy("score").tolist() == [1.5, 2.0]
        assert [text.decode() for text in answer.as_numpy("label")] == ["BONN", "KÖLN"]
        label = triton.InferRequestedOutput("label", binary_data=False)
        mixed = asking.infer(
            "fraud", [amount, city], outputs=[triton.InferRequestedOutput("score"), label]
        )
        assert mixed.as_numpy("score").tolist() == [1.5, 2.0]
        assert mixed.get_output("label")["data"] == ["BONN", "KÖLN"]


@pytest.mark.parametrize("algorithm", ["gzip", "deflate"])
def test_triton_s_client_compresses(served: Serve, algorithm: str):
    server = served("classifier")
    expected = server.predict(ROWS).json["predictions"]
    with client(server) as asking:
        rows = given("rows", np.array(ROWS), "FP64")
        answer = asking.infer(
            "fraud",
            [rows],
            request_compression_algorithm=algorithm,
            response_compression_algorithm=algorithm,
        )
        assert answer.as_numpy("output-0").tolist() == expected


def test_an_invalid_request_is_an_error_for_triton_s_client(served: Serve):
    with client(served("classifier")) as asking:
        rows = given("rows", np.array(ROWS), "FP64")
        with pytest.raises(InferenceServerException, match="classification is not supported"):
            asking.infer(
                "fraud", [rows], outputs=[triton.InferRequestedOutput("output-0", class_count=2)]
            )
        with pytest.raises(InferenceServerException, match="takes 20 columns"):
            asking.infer("fraud", [given("rows", np.zeros((2, 3)), "FP64")])


# --- as bytes -------------------------------------------------------------------------------------
def binary(
    tail: bytes, size: Any = None, *, datatype: str = "FP64", shape: Any = (3, 20), **more: Any
) -> tuple[bytes, dict[str, str]]:
    """A body and its header."""
    size = len(tail) if size is None else size
    tensor = {
        "name": "rows",
        "datatype": datatype,
        "shape": shape,
        "parameters": {"binary_data_size": size},
        **more,
    }
    head = json.dumps({"inputs": [tensor]}).encode()
    return head + tail, {"inference_header_content_length": str(len(head))}


GOOD = np.array(ROWS).tobytes()
REFUSED = {
    "no header": (binary(GOOD)[0], {}, "not JSON"),
    "a header that is too long": (
        binary(GOOD)[0],
        {"inference_header_content_length": "100000"},
        "Inference-Header-Content-Length",
    ),
    "a header that is none": (
        binary(GOOD)[0],
        {"inference_header_content_length": "-1"},
        "Inference-Header-Content-Length",
    ),
    "fewer bytes than promised": (*binary(GOOD, len(GOOD) + 1), "480 bytes are left"),
    "more bytes than promised": (*binary(GOOD + b"x", len(GOOD)), "1 bytes after the JSON"),
    "another shape": (*binary(GOOD, shape=[3, 19]), "the shape has 57 FP64 values of 8 bytes"),
    "a shape of too many": (*binary(GOOD, shape=[10**18] * 20), "more values"),
    "a size that is none": (*binary(GOOD, "all"), "number of bytes"),
    "data twice": (*binary(GOOD, data=[1.0]), "both data and binary_data_size"),
    "neither true nor false": (*binary(b"\x02", datatype="BOOL", shape=[1]), "0 or 1"),
    "a text without its length": (
        *binary(b"abc", datatype="BYTES", shape=[1]),
        "preceded by its length",
    ),
    "a text that is too long": (
        *binary(struct.pack("<I", 2**32 - 1) + b"a", datatype="BYTES", shape=[1]),
        "preceded by its length",
    ),
    "a text too many": (
        *binary(struct.pack("<I", 1) + b"ab", datatype="BYTES", shape=[1]),
        "preceded by its length",
    ),
    "texts that are not there": (*binary(b"", datatype="BYTES", shape=[10**6]), "more values"),
    "no UTF-8": (*binary(struct.pack("<I", 1) + b"\xff", datatype="BYTES", shape=[1]), "not UTF-8"),
    "parameters that are none": (
        b'{"inputs":[{"name":"rows","datatype":"FP64","shape":[1],"parameters":[1]}]}',
        {},
        "parameters",
    ),
}


@pytest.mark.parametrize(("body", "header", "named"), REFUSED.values(), ids=REFUSED)
def test_bytes_that_are_no_tensors_are_refused(
    served: Serve, body: bytes, header: dict[str, str], named: str
):
    answer = served("classifier").ask("POST", V2, body, **header)
    assert (answer.status, named in answer.json["error"]) == (400, True), answer.text


def test_a_compressed_body_is_a_body_of_any_protocol(served: Serve):
    server = served("classifier")
    expected = server.predict(ROWS).json["predictions"]
    plain = json.dumps({"instances": ROWS}).encode()
    twice = gzip.compress(plain[:100]) + gzip.compress(plain[100:])
    for packed, encoding in (
        (gzip.compress(plain), "gzip"),
        (gzip.compress(plain), "GZIP"),
        (twice, "x-gzip"),
        (zlib.compress(plain), "deflate"),
        (plain, "identity"),
    ):
        assert (
            server.ask("POST", V1, packed, content_encoding=encoding).json["predictions"]
            == expected
        )
    framed = gzip.compress(json.dumps(split(WIDE, ROWS)).encode())
    assert server.invoke(framed, content_encoding="gzip").json["predictions"] == expected


@pytest.mark.parametrize(
    ("body", "encoding", "status", "named"),
    [
        (b"{}", "br", 415, "gzip or deflate"),
        (b"{}", "gzip, gzip", 415, "gzip or deflate"),
        (b"{}", "gzip", 400, "not gzip"),
        (gzip.compress(b"{}" * 1000)[:-4], "gzip", 400, "it is truncated"),
        (b"", "gzip", 400, "it is truncated"),
        (gzip.compress(b"{}") + b"more", "gzip", 400, "not gzip"),
        (gzip.compress(b" ") * 2001, "gzip", 400, "members"),
    ],
    ids=[
        "another encoding",
        "twice",
        "none",
        "half",
        "nothing",
        "something behind it",
        "in too many pieces",
    ],
)
def test_a_body_that_cannot_be_decompressed_is_refused(
    served: Serve, body: bytes, encoding: str, status: int, named: str
):
    answer = served("classifier").ask(
        "POST", V1, body or b"", content_encoding=encoding, content_length=str(len(body))
    )
    assert (answer.status, named in answer.json["error"]) == (status, True), answer.text
