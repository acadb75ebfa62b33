"""The gate `smoke` against real model servers: Pass, Fail and errors."""

import hashlib
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from modelyard.api.pod_end import PodReason
from modelyard_runtime.outcome import Failure
from modelyard_runtime.smoke import difference
from modelyard_runtime.smoke_requests import cases
from tests.runtime.candidate_side import Side, digest
from tests.runtime.programs import Server, environment
from tests.runtime.test_invocations import ROWS
from tests.runtime.test_protocols import wide
from tests.servers import free_port


def test_requests_of_both_protocols_pass_with_expected_answers_and_the_message_has_the_latencies(
    side: Side,
):
    server = side.server
    v1, v2 = {"instances": ROWS}, {"inputs": [wide(ROWS)]}
    outputs = server.infer(wide(ROWS)).json["outputs"]
    asked = [
        {"request": v1, "expect": server.predict(ROWS).json},
        {"request": v2, "expect": {"model_name": "fraud", "outputs": outputs}},
        {"request": v1},
    ]
    ended = side.asks(asked, "--max-latency", "60s")
    assert ended.code == 0, ended.log
    assert ended.said["message"].startswith(
        "3 requests and the input example answered as expected, latency p50 "
    )
    assert ended.said["message"].endswith(" ms, at most 60000 ms")


def test_another_answer_fails_and_a_tolerance_lets_it_pass(side: Side):
    right = side.server.predict(ROWS).json["predictions"]
    near = {"predictions": [value + 0.25 for value in right]}
    asked = [{"request": {"instances": ROWS}, "expect": near}]
    failing = side.asks(asked)
    assert (failing.code, failing.said["reason"]) == (67, "RequestsFailed")
    said = f"request 1: the answer.predictions[0] is {right[0]}, not {right[0] + 0.25}"
    assert failing.said["message"] == f"1 of 2 requests were not answered as expected: {said}"
    assert side.asks(asked, "--tolerance", "0.3").code == 0


@pytest.mark.parametrize(
    ("asked", "more", "said"),
    [
        ([{"request": {"instances": [["text"]]}}], (), "request 1: status 4"),
        (
            [{"request": {"instances": ROWS}}],
            ("--max-latency", "0ms"),
            " takes longer than 0 ms: latency p50 ",
        ),
    ],
)
def test_a_fail_has_its_reason(side: Side, asked: Any, more: tuple[str, ...], said: str):
    ended = side.asks(asked, *more)
    assert (ended.code, ended.said["reason"]) == (67, "RequestsFailed"), ended.log
    assert said in ended.said["message"]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (
            b'[{"request": {"rows": []}}]',
            "entry 1 of the requests is neither a V1 body (with instances) nor a V2 body (with",
        ),
        (b'[{"body": {}}]', "entry 1 of the requests must be an object with request"),
        (b"[]", "must be a list of 1 to 1000 objects"),
        (b"[" * 100_000, "the file of requests is not JSON"),
    ],
)
def test_an_invalid_requests_file_is_reported(data: bytes, said: str):
    with pytest.raises(Failure) as caught:
        cases(data, "fraud")
    assert caught.value.reason is PodReason.REQUESTS_FAILED
    assert said in caught.value.message


def test_other_bytes_fail_and_both_digests_are_named(side: Side):
    pinned = "sha256:" + "0" * 64
    ended = side.asks([], pinned=pinned)
    assert (ended.code, ended.said["reason"]) == (65, "RequestsDigestMismatch")
    assert (
        ended.said["message"]
        == f"the key cases.json of the ConfigMap cases has the digest {digest(b'[]')}, but the gate"
        f" names {pinned}"
    )


def test_a_missing_config_map_and_a_service_without_pods_are_no_verdict(side: Side):
    absent = side.asks(None)
    assert (absent.code, absent.said["reason"]) == (66, "RequestsMissing")
    assert absent.said["message"] == "waits for the key cases.json of the ConfigMap cases"
    nowhere = replace(side, server=replace(side.server, port=free_port()))
    away = nowhere.asks([{"request": {"instances": ROWS}}], MODELYARD_REACHED_SECONDS="0")
    assert (away.code, away.said["reason"]) == (69, "CandidateUnreachable")


@pytest.mark.parametrize(
    ("expect", "found", "said"),
    [
        ({"a": 1}, {"a": 1, "b": 2}, None),
        ({"a": 1}, {"b": 2}, "the answer.a is missing"),
        ({"a": 1}, [1], "the answer is [1], not an object"),
        ([1, 2], [1], "the answer is [1], not a list of 2"),
        ([1, 2.0], [1.0, 2], None),
        ([True], [1], "the answer[0] is 1, not true"),
        ("x", "y", 'the answer is "y", not "x"'),
        (None, None, None),
        (0.1 + 0.2, 0.3, None),
        (1.0, 1.1, "the answer is 1.1, not 1.0"),
        (1e308, float("nan"), "the answer is NaN, not 1e+308"),
        (0.5, 10**400, f"the answer is {'1' + '0' * 400}"[:60]),
    ],
)
def test_only_expected_fields_of_an_answer_are_compared(expect: Any, found: Any, said: str | None):
    answer = difference(expect, found, 1e-6)
    assert answer == said or (said is not None and answer is not None and answer.startswith(said))


# --- the sample of a gate `job` -------------------------------------------------------------------
SAMPLE = Path(__file__).parents[2] / "manifests" / "samples" / "integration" / "model.yaml"


def integration(folder: Path, server: Server, version: str) -> subprocess.CompletedProcess[str]:
    """Run the sample's integration test as its pod does."""
    model = yaml.safe_load(SAMPLE.read_text())
    (gate,) = model["spec"]["stages"]["staging"]["gates"]
    assert gate["job"]["command"] == ["python", "-c"]
    env = {
        "MODELYARD_CANDIDATE_URL": f"http://127.0.0.1:{server.port}",
        "MODELYARD_CANDIDATE_VERSION": version,
        "EVIDENCE": str(folder / "evidence"),
    }
    told = environment(folder, env | {"MODELYARD_MODEL": "risk.fraud"})
    return subprocess.run(
        [sys.executable, "-c", *gate["job"]["args"]],
        env=told,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_the_sample_integration_test_sends_requests_to_the_candidate_and_writes_evidence(
    side: Side, tmp_path: Path
):
    server = side.server
    ended = integration(tmp_path, server, "v3")
    assert ended.returncode == 0, ended.stderr
    assert json.loads((tmp_path / "evidence").read_text()) == {
        "message": "100 rows of 20 columns answered by v3"
    }
    other = integration(tmp_path, server, "v4")
    assert other.returncode == 1
    assert "AssertionError: (200, 'v3'" in other.stderr


def test_the_page_of_the_gate_pins_the_requests_that_it_shows():
    page = Path(__file__).parents[2] / "docs" / "gates" / "smoke.md"
    config, model = yaml.safe_load_all(
        page.read_text().partition("```yaml\n")[2].partition("```")[0]
    )
    asked = model["spec"]["stages"]["production"]["gates"][0]["smoke"]["requests"]
    data = config["data"][asked["key"]].encode()
    assert (config["metadata"]["name"], f"sha256:{hashlib.sha256(data).hexdigest()}") == (
        asked["configMap"],
        asked["digest"],
    )
    assert [case.path for case in cases(data, "fraud")] == [
        "/v1/models/fraud:predict",
        "/v2/models/fraud/infer",
    ]
