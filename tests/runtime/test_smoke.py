"""The gate `smoke` against real model servers: what passes, what fails, and what is no verdict."""

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from modelyard_runtime.smoke import cases, difference
from tests.runtime.programs import Ended, Server, environment, program
from tests.runtime.test_invocations import ROWS
from tests.runtime.test_protocols import wide
from tests.servers import free_port

Serve = Callable[[str], Server]


def smoke(folder: Path, url: str, requests: Any, *more: str, digest: str | None = None, env: dict[str, str] | None = None) -> Ended:
    """Run the gate's program as its pod does; `requests` None: the ConfigMap is absent."""
    data = requests if isinstance(requests, bytes) else json.dumps(requests).encode()
    if requests is not None:
        (folder / "requests.json").write_bytes(data)
    pinned = digest or f"sha256:{hashlib.sha256(data).hexdigest()}"
    told = ("--name", "fraud", "--config-map", "cases", "--key", "cases.json", "--digest", pinned, "--folder", str(folder))
    return program(folder, "smoke", *told, *more, env={"MODELYARD_CANDIDATE_URL": url} | (env or {}))


def url(server: Server) -> str:
    return f"http://127.0.0.1:{server.port}"


@pytest.fixture
def server(served: Serve) -> Server:
    return served("classifier")


def test_requests_of_both_protocols_pass_with_expected_answers_and_the_message_has_the_latencies(server: Server, tmp_path: Path):
    v1, v2 = {"instances": ROWS}, {"inputs": [wide(ROWS)]}
    outputs = server.infer(wide(ROWS)).json["outputs"]
    asked = [
        {"request": v1, "expect": server.predict(ROWS).json},
        {"request": v2, "expect": {"model_name": "fraud", "outputs": outputs}},
        {"request": v1},
    ]
    ended = smoke(tmp_path, url(server), asked, "--max-latency", "60s")
    assert ended.code == 0, ended.log
    assert ended.said["message"].startswith("3 requests answered as expected, latency p50 ")
    assert ended.said["message"].endswith(" ms, at most 60000 ms")


def test_another_answer_fails_and_a_tolerance_lets_it_pass(server: Server, tmp_path: Path):
    right = server.predict(ROWS).json["predictions"]
    near = {"predictions": [value + 0.25 for value in right]}
    asked = [{"request": {"instances": ROWS}, "expect": near}]
    failing = smoke(tmp_path, url(server), asked)
    assert (failing.code, failing.said["reason"]) == (67, "RequestsFailed")
    said = f"request 1: the answer.predictions[0] is {right[0]}, not {right[0] + 0.25}"
    assert failing.said["message"] == f"1 of 1 requests were not answered as they should be: {said}"
    assert smoke(tmp_path, url(server), asked, "--tolerance", "0.3").code == 0


@pytest.mark.parametrize(
    ("asked", "more", "said"),
    [
        ([{"request": {"instances": [["text"]]}}], (), "request 1: status 4"),
        ([{"request": {"instances": ROWS}}], ("--max-latency", "0ms"), "request 1 takes longer than 0 ms: latency p50 "),
        ([{"request": {"rows": []}}], (), "entry 1 of the requests: a V1 body has instances, a V2 body has inputs"),
        ([{"body": {}}], (), "entry 1 of the requests must be an object with request"),
        ([], (), "must be a list of 1 to 1000 objects"),
        (b"[" * 100_000, (), "the file of requests is not JSON"),
    ],
)
def test_what_fails_says_why(server: Server, tmp_path: Path, asked: Any, more: tuple[str, ...], said: str):
    ended = smoke(tmp_path, url(server), asked, *more)
    assert (ended.code, ended.said["reason"]) == (67, "RequestsFailed"), ended.log
    assert said in ended.said["message"]


def test_other_bytes_fail_and_both_digests_are_named(server: Server, tmp_path: Path):
    pinned = "sha256:" + "0" * 64
    ended = smoke(tmp_path, url(server), [], digest=pinned)
    found = f"sha256:{hashlib.sha256(b'[]').hexdigest()}"
    assert (ended.code, ended.said["reason"]) == (65, "RequestsDigestMismatch")
    assert ended.said["message"] == f"the key cases.json of the ConfigMap cases is {found}, and the gate names {pinned}"


def test_an_absent_config_map_and_a_service_that_leads_nowhere_are_no_verdict(tmp_path: Path):
    absent = smoke(tmp_path, "http://127.0.0.1:1", None)
    assert (absent.code, absent.said["reason"]) == (66, "RequestsMissing")
    assert absent.said["message"] == "waits for the key cases.json of the ConfigMap cases"
    away = smoke(tmp_path, f"http://127.0.0.1:{free_port()}", [{"request": {"instances": ROWS}}], env={"MODELYARD_REACHED_SECONDS": "0"})
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
    ],
)
def test_an_answer_is_compared_in_what_is_expected(expect: Any, found: Any, said: str | None):
    assert difference(expect, found, 1e-6) == said


# --- the sample of a gate `job` -----------------------------------------------------------------------
SAMPLE = Path(__file__).parents[2] / "manifests" / "samples" / "integration" / "model.yaml"


def integration(folder: Path, server: Server, version: str) -> subprocess.CompletedProcess[str]:
    """Run the sample's integration test as its pod does."""
    model = yaml.safe_load(SAMPLE.read_text())
    (gate,) = model["spec"]["stages"]["staging"]["gates"]
    assert gate["job"]["command"] == ["python", "-c"]
    env = {"MODELYARD_CANDIDATE_URL": url(server), "MODELYARD_CANDIDATE_VERSION": version, "EVIDENCE": str(folder / "evidence")}
    told = environment(folder, env | {"MODELYARD_MODEL": "risk.fraud"})
    return subprocess.run([sys.executable, "-c", *gate["job"]["args"]], env=told, capture_output=True, text=True, check=False, timeout=120)


def test_the_sample_of_an_integration_test_asks_the_candidate_and_leaves_evidence(server: Server, tmp_path: Path):
    ended = integration(tmp_path, server, "v3")
    assert ended.returncode == 0, ended.stderr
    assert json.loads((tmp_path / "evidence").read_text()) == {"message": "100 rows of 20 columns answered by v3"}
    other = integration(tmp_path, server, "v4")
    assert other.returncode == 1
    assert "AssertionError: (200, 'v3'" in other.stderr


def test_the_page_of_the_gate_pins_the_requests_that_it_shows():
    page = Path(__file__).parents[2] / "docs" / "gates" / "smoke.md"
    config, model = yaml.safe_load_all(page.read_text().partition("```yaml\n")[2].partition("```")[0])
    asked = model["spec"]["stages"]["production"]["gates"][0]["smoke"]["requests"]
    data = config["data"][asked["key"]].encode()
    assert (config["metadata"]["name"], f"sha256:{hashlib.sha256(data).hexdigest()}") == (asked["configMap"], asked["digest"])
    assert [case.path for case in cases(data, "fraud")] == ["/v1/models/fraud:predict", "/v2/models/fraud/infer"]
