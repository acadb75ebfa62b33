"""Send requests to a candidate and compare its answers: the pod of the gate `smoke`.

    python -m modelyard_runtime.smoke --name fraud --namespace risk \
        --config-map cases --key cases.json --digest sha256:...
    python -m modelyard_runtime.smoke --name fraud --namespace risk \
        --uri s3://bucket/cases.json --digest sha256:... --max-latency 50ms

The addresses of the candidate and of its files are in the environment (`modelyard.api.wire`), with
the S3 credentials. The requests come from `smoke_requests`. The operator decides what happens to
the version.
"""

import argparse
import http.client
import json
import math
import os
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from modelyard.api import wire
from modelyard.api.pod_end import PodReason
from modelyard.api.text import printable
from modelyard_runtime import config, s3
from modelyard_runtime.outcome import Failure, one_line, report, run_until_stopped
from modelyard_runtime.smoke_requests import EXAMPLE, Case, cases, example, from_config_map, from_s3

__all__ = ["Candidate", "difference", "main"]

_MOST_DIFFERENCES = 5
_WARM_UPS, _TIMES = 2, 5
_REACHED_SECONDS, _ANSWER_SECONDS = 60.0, 60.0
_ANSWER_BYTES = 16 * 1024 * 1024
_SHOWN = 160


def difference(expect: Any, found: Any, tolerance: float, where: str = "the answer") -> str | None:
    """Return the first difference between the expected and the actual answer; None: there is none.

    Of an object, only the expected fields are compared. Numbers may differ by `tolerance`.
    """
    if isinstance(expect, dict):
        if not isinstance(found, dict):
            return f"{where} is {_shown(found)}, not an object"
        each = (
            difference(value, found[key], tolerance, f"{where}.{key}")
            if key in found
            else f"{where}.{key} is missing"
            for key, value in expect.items()
        )
        return next(filter(None, each), None)
    if isinstance(expect, list):
        if not isinstance(found, list) or len(found) != len(expect):
            return f"{where} is {_shown(found)}, not a list of {len(expect)}"
        pairs = enumerate(zip(expect, found, strict=True))
        each = (difference(mine, theirs, tolerance, f"{where}[{i}]") for i, (mine, theirs) in pairs)
        return next(filter(None, each), None)
    numbers = all(
        isinstance(value, int | float) and not isinstance(value, bool) for value in (expect, found)
    )
    same = (
        _close(expect, found, tolerance)
        if numbers
        else type(expect) is type(found) and expect == found
    )
    return None if same else f"{where} is {_shown(found)}, not {_shown(expect)}"


def _close(expect: float, found: float, tolerance: float) -> bool:
    try:
        return abs(expect - found) <= tolerance or expect == found
    except OverflowError:  # the candidate answers with an integer that no float can hold
        return expect == found


class Candidate:
    """The candidate's server, over one persistent connection."""

    def __init__(self, url: str) -> None:
        """Keep the address; nothing is sent yet."""
        place = urlsplit(url)
        self._connection = http.client.HTTPConnection(
            str(place.hostname), place.port or 80, timeout=_ANSWER_SECONDS
        )

    def reach(self) -> None:
        """Wait until the server is ready: a node may learn a new Service's endpoints late.

        Raises:
            Failure: CandidateUnreachable.

        """
        end = time.monotonic() + float(
            os.environ.get("MODELYARD_REACHED_SECONDS", _REACHED_SECONDS)
        )
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
                raise Failure(
                    PodReason.CANDIDATE_UNREACHABLE,
                    f"the candidate's Service does not answer: {why}",
                )
            time.sleep(0.2)

    def ask(self, case: Case) -> tuple[int, bytes, float]:
        """Send one request; return status, body and duration in seconds.

        Raises:
            OSError: There is no answer.
            http.client.HTTPException: The answer is not HTTP.

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
    """Send one request and return what is wrong with the answer; None: it is as expected."""
    try:
        status, body, _ = candidate.ask(case)
    except (OSError, http.client.HTTPException) as error:
        return f"no answer: {one_line(error, _SHOWN)}"
    start = printable(body[: 4 * _SHOWN].decode(errors="replace"), lines=True)
    text = " ".join(start.split())[:_SHOWN]
    if status != http.HTTPStatus.OK:
        return f"status {status}: {text}"
    if case.expect is None:
        return None
    try:
        return difference(case.expect, json.loads(body), tolerance)
    except (ValueError, RecursionError):
        return f"the answer is not JSON: {text}"


def _best(case: Case, candidate: Candidate) -> float:
    """Return the duration of the fastest of a few answers, in seconds, after a warm-up."""
    for _ in range(_WARM_UPS):
        candidate.ask(case)
    return min(candidate.ask(case)[2] for _ in range(_TIMES))


def _shown(value: Any) -> str:
    return printable(json.dumps(value, ensure_ascii=False))[:_SHOWN]


def _compared(to_send: Sequence[Case], candidate: Candidate, tolerance: float) -> None:
    wrong = [
        (case.name, found)
        for case in to_send
        if (found := _wrong(case, candidate, tolerance)) is not None
    ]
    if wrong:
        shown = "; ".join(f"{name}: {found}" for name, found in wrong[:_MOST_DIFFERENCES])
        raise _failure(
            f"{len(wrong)} of {len(to_send)} requests were not answered as expected: {shown}"
        )


def _timed(to_send: Sequence[Case], candidate: Candidate, most: float | None) -> str:
    """Measure the latencies and return a sentence about them.

    Raises:
        Failure: RequestsFailed: a latency is too high, or a request is not answered.

    """
    try:
        best = [_best(case, candidate) for case in to_send]
    except (OSError, http.client.HTTPException) as error:
        raise _failure(
            f"a request was answered once and then not again: {one_line(error, _SHOWN)}"
        ) from error
    summary = f"latency p50 {statistics.median(best) * 1000:.3g} ms, max {max(best) * 1000:.3g} ms"
    if most is None:
        return summary
    if max(best) > most:
        raise _failure(
            f"{to_send[best.index(max(best))].name} takes longer than {most * 1000:g} ms: {summary}"
        )
    return f"{summary}, at most {most * 1000:g} ms"


def _requests(options: argparse.Namespace) -> tuple[list[Case], str]:
    """Return the requests to send, and why the input example is left out (empty if it is not).

    Raises:
        Failure: RequestsFailed if there is nothing to send; and what `smoke_requests` raises.

    """
    to_send: list[Case] = []
    if options.config_map is not None:
        to_send += cases(
            from_config_map(Path(options.folder), options.config_map, options.key, options.digest),
            options.name,
        )
    store = s3.client(1)
    if options.uri is not None:
        to_send += cases(
            from_s3(store, options.uri, options.digest, config.reach(options.namespace)),
            options.name,
        )
    logged = example(store, os.environ[wire.CANDIDATE_URI], options.listing)
    to_send += [logged.case] if logged.case is not None else []
    if not to_send:
        without = logged.why or "no input example was logged with the model"
        raise _failure(
            f"there is nothing to send: the gate names no requests, and {without}. Add requests"
            " to the gate, or log the model with input_example"
        )
    return to_send, logged.why


def _summary(to_send: Sequence[Case]) -> str:
    """Return a sentence about the requests that were answered."""
    number = sum(case.name != EXAMPLE for case in to_send)
    parts = [f"{number} request{'s' if number > 1 else ''}"] if number else []
    parts += [EXAMPLE] if number < len(to_send) else []
    return f"{' and '.join(parts)} answered as expected"


def _failure(message: str) -> Failure:
    return Failure(PodReason.REQUESTS_FAILED, message)


def _seconds(text: str) -> float:
    number = int(text.rstrip("ms"))
    return number / 1000 if text.endswith("ms") else float(number)


def _tolerance(text: str) -> float:
    number = float(text)
    return number if math.isfinite(number) else 0.0


def _options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="modelyard_runtime.smoke", description=__doc__)
    parser.add_argument(
        "--name", required=True, help="the model's name in the paths of the protocols"
    )
    parser.add_argument(
        "--namespace",
        required=True,
        help="the model's namespace, which decides what may be read from S3",
    )
    parser.add_argument("--config-map", help="the ConfigMap that holds the requests, for messages")
    parser.add_argument("--key", help="its key, for messages")
    parser.add_argument("--uri", help="the object in S3 that holds the requests instead")
    parser.add_argument("--digest", help="sha256:<hex> of the file of requests")
    parser.add_argument(
        "--listing",
        help="sha256:<hex> of the listing of the version's files, as the operator recorded it",
    )
    parser.add_argument(
        "--tolerance",
        type=_tolerance,
        default=0.0,
        help="how much numbers may differ from the expected ones",
    )
    parser.add_argument(
        "--max-latency", type=_seconds, help="most time for the fastest answer, such as 50ms"
    )
    parser.add_argument(
        "--folder", default=wire.REQUESTS_FOLDER, help="where the file of requests is mounted"
    )
    return parser.parse_args()


def main() -> None:
    """Read the requests, send them, and report the result."""
    options = _options()
    to_send, left_out = _requests(options)
    candidate = Candidate(os.environ[wire.CANDIDATE_URL])
    candidate.reach()
    _compared(to_send, candidate, options.tolerance)
    timed = _timed(to_send, candidate, options.max_latency)
    summary = ", ".join(filter(None, (_summary(to_send), timed, left_out)))
    print(summary, flush=True)
    report({"message": summary})


if __name__ == "__main__":
    run_until_stopped(main)
