"""A canary with real processes and sockets: stable servers that split, and a candidate.

This file and test_odd_candidates send 20,000 requests, most of them during failures, and none is
lost or fails.
"""

import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.harness import until
from tests.runtime.canary import CANDIDATE, PREDICT, Stable, Told, ask, band, splitting, who
from tests.runtime.mixture import answers, requests
from tests.runtime.programs import Server, serving
from tests.runtime.test_deadlines import V1
from tests.runtime.test_invocations import ROWS

ALLOWED = {"MODELYARD_ALLOW_CODE_MODELS": "true"}
OWN = "/v2/models/fraud/versions/v3/infer"


@pytest.fixture(scope="module")
def candidate(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The candidate serves another model than stable, so that its answers differ."""
    with serving(tmp_path_factory.mktemp("candidate"), models / "linear", who=CANDIDATE) as server:
        yield server


@pytest.fixture(scope="module")
def three(
    models: Path, candidate: Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[Stable]]:
    """Stable servers of two workers each."""
    folder = tmp_path_factory.mktemp("three")
    with ExitStack() as stack:
        env = {"MODELYARD_WORKERS": "2"}
        yield [
            stack.enter_context(
                splitting(folder / str(n), models / "classifier", candidate.port, env)
            )
            for n in range(3)
        ]


@pytest.fixture(scope="module", params=["quick", "plain"])
def stable(
    request: pytest.FixtureRequest,
    models: Path,
    candidate: Server,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Stable]:
    """A stable server of one worker; once with the shortcut for small requests and once without
    it.
    """
    env = {"MODELYARD_QUICK": str(request.param == "quick").lower()}
    with splitting(
        tmp_path_factory.mktemp(request.param) / "stable",
        models / "classifier",
        candidate.port,
        env,
    ) as found:
        yield found


def with_header(wire: bytes, *lines: str) -> bytes:
    first, rest = wire.split(b"\r\n", 1)
    return b"\r\n".join([first, *(line.encode() for line in lines), rest])


# --- weights --------------------------------------------------------------------------------------
@pytest.mark.parametrize("weight", [1, 5, 25, 50])
@pytest.mark.parametrize("count", [1, 3])
def test_the_weight_is_kept_and_counted(
    three: list[Stable], candidate: Server, weight: int, count: int
):
    used = three[:count]
    for each in used:
        each.tell(weight)
    number = 1200 if count == 1 else 1800
    found = ask([each.server.port for each in used], [PREDICT] * number, 16)
    by = who(found)
    assert by["v4"] in band(number, weight)
    assert {(each.version, each.body) for each in found} == {
        (each, predicted(each, three[0].server, candidate)) for each in by
    }
    arms = [[each.arm(name) for each in used] for name in ("stable", "candidate", "invited")]
    assert [[sum(column) for column in zip(*arm, strict=True)] for arm in arms] == [
        [by["v3"], 0, 0],
        [by["v4"], 0, 0],
        [0, 0, 0],
    ]


def predicted(version: str, stable: Server, candidate: Server) -> bytes:
    """Return what a version predicts, requested directly and not counted."""
    server = stable if version == "v3" else candidate
    answer = server.ask("POST", V1, {"instances": ROWS[:1]}, modelyard_forwarded="test")
    return answer.text.encode()


def test_a_stable_server_is_replaced_in_the_middle(models: Path, candidate: Server, tmp_path: Path):
    """A draining server answers all requests itself, and a new one does until it has a rule."""
    env = {"MODELYARD_WORKERS": "2", "MODELYARD_DRAIN_SECONDS": "1"}
    with ExitStack() as stack:
        first, second = (
            stack.enter_context(
                splitting(tmp_path / name, models / "classifier", candidate.port, env)
            )
            for name in "ab"
        )
        ports = [first.server.port, second.server.port]
        for each in (first, second):
            each.tell(50)
        found: list[Told] = []
        load = Load(ports, found)
        with load:
            until(lambda: len(found) > 200, "there is load")
            third = stack.enter_context(
                splitting(tmp_path / "c", models / "classifier", candidate.port, env)
            )
            ports.append(third.server.port)
            ports.remove(first.server.port)  # as the Service does
            first.server.stop()
            third.tell(50)
            assert first.server.end().code == 0
            until(lambda: third.arm("candidate")[0] > 100, "the new one splits")
        assert len(found) > 500
        assert who(found).keys() == {"v3", "v4"}


def test_a_candidate_dies_in_the_middle_and_comes_back(models: Path, tmp_path: Path):
    with ExitStack() as stack:
        dies = stack.enter_context(serving(tmp_path / "dies", models / "linear", who=CANDIDATE))
        stable = stack.enter_context(
            splitting(tmp_path / "stable", models / "classifier", dies.port, host="{name}")
        )
        stable.tell(50, candidate="localhost")
        found: list[Told] = []
        with Load([stable.server.port], found):
            until(lambda: stable.arm("candidate")[0] > 100, "there is load")
            dies.process.kill()
            dies.process.wait()
            until(lambda: stable.arm("candidate")[1] > 100, "its requests fail")
            back = ("--port", str(dies.port))
            stack.enter_context(
                serving(tmp_path / "back", models / "linear", who=CANDIDATE, more=back)
            )
            good = stable.arm("candidate")
            until(
                lambda: (
                    stable.arm("candidate")[0] - stable.arm("candidate")[1]
                    > good[0] - good[1] + 100
                ),
                "it answers again",
            )
        answered = who(found)
        requests_, failures, refusals = stable.arm("candidate")
        assert (requests_ - failures, refusals, stable.arm("stable")) == (
            answered["v4"],
            0,
            (answered["v3"] - failures, 0, 0),
        )


class Load:
    """Sends requests in another thread until the block ends."""

    def __init__(self, ports: list[int], found: list[Told]) -> None:
        self._ports, self._found = ports, found
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._error: BaseException | None = None

    def _run(self) -> None:
        try:
            while not self._stopped.is_set():
                self._found += ask(self._ports, [PREDICT] * 100)
        except BaseException as error:  # noqa: BLE001 - raised where the load is left
            self._error = error

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()
        if self._error is not None:
            raise self._error


# --- with and without the shortcut, all protocols
# ----------------------------------------------------------------------
POSTS = [
    each
    for each in requests(400)
    if each.startswith(b"POST") and b" /nothing " not in each and b"/versions/" not in each
]


@pytest.mark.parametrize("pipelined", [1, 5])
def test_every_answer_equals_that_of_one_of_the_versions(
    stable: Stable, candidate: Server, pipelined: int
):
    """Valid and invalid requests of all protocols: status, header names and body are those of the
    drawn version.

    Where the candidate's model fails, as for numbers that are too large for it, they are the stable
    version's.
    """
    stable.tell(0)
    own, theirs = (
        answers(port, POSTS, 8, pipelined) for port in (stable.server.port, candidate.port)
    )
    failed = [each[0].startswith(b"http/1.1 500") for each in theirs]
    assert 0 < sum(failed) < len(POSTS) / 4
    others = [
        mine if fails else their for mine, their, fails in zip(own, theirs, failed, strict=True)
    ]
    stable.tell(100)
    assert answers(stable.server.port, POSTS, 8, pipelined) == others
    refusals = sum(each[0].startswith(b"http/1.1 4") for each in theirs)
    assert (stable.arm("stable"), stable.arm("candidate")) == (
        (0, 0, 0),
        (len(POSTS), sum(failed), refusals),
    )
    stable.tell(50)
    mixed = answers(stable.server.port, POSTS, 8, pipelined)
    assert all(each in pair for each, *pair in zip(mixed, own, others, strict=True))
    assert own != mixed != others
    assert stable.arm("stable")[0] + stable.arm("candidate")[0] == len(POSTS)


def test_an_answer_names_the_version_that_gave_it(stable: Stable):
    stable.tell(100)
    answer = stable.server.infer(
        {"name": "x", "datatype": "FP64", "shape": [1, 20], "data": ROWS[0]}
    )
    headers = [answer.headers[f"modelyard-{name}"] for name in ("version", "runtime", "model")]
    assert (headers, answer.json["model_version"]) == ([*CANDIDATE, "risk.fraud"], "v4")
    assert "modelyard-seconds" not in answer.headers
    stable.tell(0)
    answer = stable.server.predict(ROWS)
    assert (answer.headers["modelyard-version"], answer.headers["modelyard-runtime"]) == (
        "v3",
        "1f2e3d4c",
    )


def test_only_predictions_are_split_and_not_those_of_a_version_by_its_path(stable: Stable):
    stable.tell(100)
    paths = ["/v2/health/ready", "/v2/models/fraud", "/v2", "/v1/models/fraud", "/ping", "/nothing"]
    assert {stable.server.get(path).headers["modelyard-version"] for path in paths} == {"v3"}
    assert stable.server.ask("PUT", V1, {}).headers["modelyard-version"] == "v3"
    tensor = {"name": "x", "datatype": "FP64", "shape": [1, 20], "data": ROWS[0]}
    for _ in range(5):
        answer = stable.server.ask("POST", OWN, {"inputs": [tensor]})
        assert (answer.status, answer.headers["modelyard-version"]) == (200, "v3")
    assert stable.arm("stable") == stable.arm("candidate") == (0, 0, 0)


def test_a_forwarded_request_is_answered_with_its_duration(stable: Stable):
    stable.tell(100)
    for body, status in ({"instances": ROWS}, 200), ("{", 400):
        answer = stable.server.ask("POST", V1, body, modelyard_forwarded="v2")
        assert (answer.status, answer.headers["modelyard-version"]) == (status, "v3")
        assert 0 < float(answer.headers["modelyard-seconds"]) < 60
    both = [with_header(PREDICT, "Modelyard-Forwarded: x"), PREDICT] * 5
    said = [
        b"modelyard-seconds" in names for _, names, _ in answers(stable.server.port, both, 1, 10)
    ]
    assert said == [True, False] * 5
    assert (stable.arm("stable"), stable.arm("candidate")) == ((0, 0, 0), (5, 0, 0))


def test_a_server_s_own_metrics_count_only_its_own_answers(stable: Stable, candidate: Server):
    stable.tell(100)
    before = stable.traffic["requests"], candidate.traffic()["requests"]
    assert who(ask([stable.server.port], [PREDICT] * 20)) == {"v4": 20}
    assert (stable.traffic["requests"], candidate.traffic()["requests"]) == (
        before[0],
        before[1] + 20,
    )
    page = stable.server.metrics()
    assert 'modelyard_traffic_weight{model="risk.fraud",version="v3"} 100.0' in page
    assert (
        'modelyard_traffic_requests_total{arm="candidate",model="risk.fraud",outcome="ok",version="v3"}'
        in page
    )


def test_a_draining_server_answers_all_requests_itself(
    models: Path, candidate: Server, tmp_path: Path
):
    """It has its rule from the start, like a restarted container."""
    with splitting(tmp_path / "stable", models / "classifier", candidate.port, first=100) as stable:
        assert stable.traffic["revision"] == 1
        assert who(ask([stable.server.port], [PREDICT] * 20)) == {"v4": 20}
        stable.server.stop()
        until(lambda: stable.server.get("/v2/health/ready").status == 503, "it drains")
        assert who(ask([stable.server.port], [PREDICT] * 20)) == {"v3": 20}
        assert stable.arm("candidate") == (20, 0, 0)


def test_requests_to_models_served_through_mlflow_are_split_too(models: Path, tmp_path: Path):
    people = [{"amount": 1.5, "city": "bonn"}]
    with ExitStack() as stack:
        other = stack.enter_context(
            serving(tmp_path / "candidate", models / "scaled", ALLOWED, who=CANDIDATE, ready=False)
        )
        stable = stack.enter_context(
            splitting(tmp_path / "stable", models / "scaled", other.port, ALLOWED)
        )
        until(lambda: other.get("/v2/health/ready").status == 200, "the candidate is ready")
        body = {"dataframe_records": people, "params": {"factor": 4.0}}
        for weight, version in (100, "v4"), (0, "v3"):
            stable.tell(weight)
            answer = stable.server.invoke(body)
            assert (answer.status, answer.headers["modelyard-version"]) == (200, version)
            assert answer.json == {"predictions": [{"score": 6.0, "label": "BONN"}]}
            assert stable.server.predict(people).headers["modelyard-version"] == version
        assert stable.arm("stable") == (2, 0, 0)
        stable.tell(0, timeoutMs=1)
        assert stable.server.invoke(body).status == 200
        assert stable.arm("stable") == (1, 1, 0), (
            "pandas takes longer than the candidate would be allowed"
        )


# --- sticky and invite ----------------------------------------------------------------------------
def test_users_keep_their_version_while_the_weight_grows(stable: Stable):
    def at_candidate(weight: int, **sticky: Any) -> set[int]:
        stable.tell(weight, sticky=sticky)
        line = "x-user: {}" if "header" in sticky else "Cookie: a=b; uid={}"
        found = set()
        for user in range(100):
            versions = who(
                ask([stable.server.port], [with_header(PREDICT, line.format(user))] * 2, 1)
            )
            assert len(versions) == 1
            found |= {user} if "v4" in versions else set()
        return found

    small, large = at_candidate(20, header="X-User"), at_candidate(60, header="X-User")
    assert len(small) in band(100, 20)
    assert len(large) in band(100, 60)
    assert small < large
    assert at_candidate(20, cookie="uid") == small


def test_an_invitation_is_honoured_and_counted_separately(stable: Stable):
    invite = {"header": "X-Modelyard-Version"}
    for weight, word, version in [
        (0, "v4", "v4"),
        (0, "candidate", "v4"),
        (100, "v3", "v3"),
        (100, "stable", "v3"),
        (100, "v9", "v4"),
    ]:
        stable.tell(weight, invite=invite)
        assert who(
            ask([stable.server.port], [with_header(PREDICT, f"x-modelyard-version: {word}")] * 5)
        ) == {version: 5}
        drawn = 5 if word == "v9" else 0
        assert (stable.arm("invited"), stable.arm("candidate"), stable.arm("stable")) == (
            (5 - drawn, 0, 0),
            (drawn, 0, 0),
            (0, 0, 0),
        )
