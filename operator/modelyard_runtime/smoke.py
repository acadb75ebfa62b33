"""Send requests to a candidate and compare its answers: the pod of the gate `smoke`.

    python -m modelyard_runtime.smoke --name fraud --config-map cases --key cases.json --digest sha256:... --max-latency 50ms

The candidate's address is in the environment (`modelyard.api.wire`), the requests are a mounted file. What an answer
must be is here; what becomes of the version is the operator's to decide.
"""

import argparse
import hashlib
import http.client
import json
import math
import os
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from modelyard.api import wire
from modelyard.api.pod_end import PodReason
from modelyard.api.text import printable
from modelyard_runtime.outcome import Failure, one_line, report, run_until_stopped

__all__ = ["Candidate", "Case", "cases", "difference", "main"]

_MOST_CASES, _MOST_DIFFERENCES = 1000, 5
_WARM_UPS, _TIMES = 2, 5
_REACHED_SECONDS, _ANSWER_SECONDS = 60.0, 60.0
_ANSWER_BYTES = 16 * 1024 * 1024
_SHOWN = 160


@dataclass(frozen=True)
class Case:
    """One request.

    Attributes:
        body: What is sent.
        path: Where to, by the protocol that the body is of, below the server's address.
        expect: What the answer must hold; None: any answer will do.

    """

    body: bytes
    path: str
    expect: Any = None


def cases(data: bytes, name: str) -> list[Case]:
    """Read the file of requests.

    Raises:
        Failure: RequestsFailed, with what is wrong and in which entry.

    """
    try:
        listed = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise _failure(f"the file of requests is not JSON: {one_line(error, _SHOWN)}") from None
    if not isinstance(listed, list) or not 0 < len(listed) <= _MOST_CASES:
        raise _failure(f"the file of requests must be a list of 1 to {_MOST_CASES} objects such as {{request: ..., expect: ...}}")
    return [_case(number, each, name) for number, each in enumerate(listed, 1)]


def _case(number: int, given: Any, name: str) -> Case:
    if not isinstance(given, dict) or not isinstance(given.get("request"), dict) or given.keys() - {"request", "expect"}:
        raise _failure(f"entry {number} of the requests must be an object with request, the body, and expect, the answer, where it matters")
    request = given["request"]
    if "instances" in request:
        path = f"/v1/models/{name}:predict"
    elif "inputs" in request:
        path = f"/v2/models/{name}/infer"
    else:
        raise _failure(f"entry {number} of the requests: a V1 body has instances, a V2 body has inputs")
    return Case(json.dumps(request).encode(), path, given.get("expect"))


def difference(expect: Any, found: Any, tolerance: float, where: str = "the answer") -> str | None:
    """Return the first difference between what is expected and an answer; None when there is none.

    Of an object only the fields that are expected are compared. Numbers may be `tolerance` apart.
    """
    if isinstance(expect, dict):
        if not isinstance(found, dict):
            return f"{where} is {_shown(found)}, not an object"
        each = (
            difference(value, found[key], tolerance, f"{where}.{key}") if key in found else f"{where}.{key} is missing"
            for key, value in expect.items()
        )
        return next(filter(None, each), None)
    if isinstance(expect, list):
        if not isinstance(found, list) or len(found) != len(expect):
            return f"{where} is {_shown(found)}, not a list of {len(expect)}"
        pairs = enumerate(zip(expect, found, strict=True))
        return next(filter(None, (difference(mine, theirs, tolerance, f"{where}[{i}]") for i, (mine, theirs) in pairs)), None)
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in (expect, found))
    same = abs(expect - found) <= tolerance or expect == found if numbers else type(expect) is type(found) and expect == found
    return None if same else f"{where} is {_shown(found)}, not {_shown(expect)}"


class Candidate:
    """The candidate's server, on one kept connection."""

    def __init__(self, url: str) -> None:
        """Keep the address; nothing is sent yet."""
        place = urlsplit(url)
        self._connection = http.client.HTTPConnection(str(place.hostname), place.port or 80, timeout=_ANSWER_SECONDS)

    def reach(self) -> None:
        """Wait until the server says that it is ready: a node may learn late where a new Service leads.

        Raises:
            Failure: CandidateUnreachable.

        """
        end = time.monotonic() + float(os.environ.get("MODELYARD_REACHED_SECONDS", _REACHED_SECONDS))
        why = ""
        while True:
            try:
                self._connection.request("GET", wire.READY_PATH)
                answer = self._connection.getresponse()
                answer.read(_ANSWER_BYTES)
                if answer.status == http.HTTPStatus.OK:
                    return
                why = f"{wire.READY_PATH} answers {answer.status}"
            except (OSError, http.client.HTTPException) as error:
                why = one_line(error, _SHOWN)
            self._connection.close()
            if time.monotonic() >= end:
                raise Failure(PodReason.CANDIDATE_UNREACHABLE, f"the candidate's Service does not answer: {why}")
            time.sleep(0.2)

    def ask(self, case: Case) -> tuple[int, bytes, float]:
        """Send one request; return status, body and seconds.

        Raises:
            OSError: There is no answer.
            http.client.HTTPException: It is no HTTP.

        """
        began = time.perf_counter()
        self._connection.request("POST", case.path, case.body, {"content-type": "application/json"})
        answer = self._connection.getresponse()
        body = answer.read(_ANSWER_BYTES)
        took = time.perf_counter() - began
        if not answer.isclosed():
            self._connection.close()
        return answer.status, body, took


def _wrong(case: Case, candidate: Candidate, tolerance: float) -> str | None:
    """Ask once and say what is wrong with the answer."""
    try:
        status, body, _ = candidate.ask(case)
    except (OSError, http.client.HTTPException) as error:
        return f"no answer: {one_line(error, _SHOWN)}"
    text = " ".join(printable(body[: 4 * _SHOWN].decode(errors="replace"), lines=True).split())[:_SHOWN]
    if status != http.HTTPStatus.OK:
        return f"status {status}: {text}"
    if case.expect is None:
        return None
    try:
        return difference(case.expect, json.loads(body), tolerance)
    except (ValueError, RecursionError):
        return f"the answer is not JSON: {text}"


def _best(case: Case, candidate: Candidate) -> float:
    """Return the seconds of the fastest of a few answers, after some that warm the server up."""
    for _ in range(_WARM_UPS):
        candidate.ask(case)
    return min(candidate.ask(case)[2] for _ in range(_TIMES))


def _shown(value: Any) -> str:
    return printable(json.dumps(value, ensure_ascii=False))[:_SHOWN]


def _compared(asked: Sequence[Case], candidate: Candidate, tolerance: float) -> None:
    wrong = [(number, found) for number, case in enumerate(asked, 1) if (found := _wrong(case, candidate, tolerance)) is not None]
    if wrong:
        shown = "; ".join(f"request {number}: {found}" for number, found in wrong[:_MOST_DIFFERENCES])
        raise _failure(f"{len(wrong)} of {len(asked)} requests were not answered as they should be: {shown}")


def _timed(asked: Sequence[Case], candidate: Candidate, most: float | None) -> str:
    """Return the latencies in words.

    Raises:
        Failure: RequestsFailed: one is too high, or an answer stays away.

    """
    try:
        best = [_best(case, candidate) for case in asked]
    except (OSError, http.client.HTTPException) as error:
        raise _failure(f"a request that was answered before is not answered again: {one_line(error, _SHOWN)}") from error
    said = f"latency p50 {statistics.median(best) * 1000:.3g} ms, max {max(best) * 1000:.3g} ms"
    if most is None:
        return said
    if max(best) > most:
        raise _failure(f"request {best.index(max(best)) + 1} takes longer than {most * 1000:g} ms: {said}")
    return f"{said}, at most {most * 1000:g} ms"


def _requests(options: argparse.Namespace) -> bytes:
    """Read the mounted file and hold it against its digest."""
    what = f"the key {options.key} of the ConfigMap {options.config_map}"
    try:
        data = (Path(options.folder) / wire.REQUESTS_FILE).read_bytes()
    except OSError:
        raise Failure(PodReason.REQUESTS_MISSING, f"waits for {what}") from None
    found = f"sha256:{hashlib.sha256(data).hexdigest()}"
    if found != options.digest:
        raise Failure(PodReason.REQUESTS_MISMATCH, f"{what} is {found}, and the gate names {options.digest}")
    return data


def _failure(message: str) -> Failure:
    return Failure(PodReason.REQUESTS_FAILED, message)


def _seconds(text: str) -> float:
    number = int(text.rstrip("ms"))
    return number / 1000 if text.endswith("ms") else float(number)


def _tolerance(text: str) -> float:
    number = float(text)
    return number if math.isfinite(number) else 0.0


def main() -> None:
    """Read the command line, send the requests, and say what came of it."""
    parser = argparse.ArgumentParser(prog="modelyard_runtime.smoke", description=__doc__)
    parser.add_argument("--name", required=True, help="the model's name in the addresses of the protocols")
    parser.add_argument("--config-map", required=True, help="the ConfigMap that the requests come from, for messages")
    parser.add_argument("--key", required=True, help="its key, for messages")
    parser.add_argument("--digest", required=True, help="sha256:<hex> of the file of requests")
    parser.add_argument("--tolerance", type=_tolerance, default=0.0, help="how far numbers may lie from what is expected")
    parser.add_argument("--max-latency", type=_seconds, help="what the best answer takes at most, such as 50ms")
    parser.add_argument("--folder", default=wire.REQUESTS_FOLDER, help="where the file of requests is mounted")
    options = parser.parse_args()
    asked = cases(_requests(options), options.name)
    candidate = Candidate(os.environ[wire.CANDIDATE_URL])
    candidate.reach()
    _compared(asked, candidate, options.tolerance)
    noun = "request" if len(asked) == 1 else "requests"
    said = f"{len(asked)} {noun} answered as expected, {_timed(asked, candidate, options.max_latency)}"
    print(said, flush=True)
    report({"message": said})


if __name__ == "__main__":
    run_until_stopped(main)
