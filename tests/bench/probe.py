"""Record which version answers, and since when, as a client in the cluster. Runs in a pod, on the
standard library.

    python probe.py URL BODY

It sends fifty requests per second, each on a new connection, and prints a line of JSON when version
or code differ from the previous answer: the time of day in seconds, code, version. Pods have the
time of day of their node.
"""

import http.client
import json
import sys
import time
import urllib.parse

PERIOD = 0.02
PATIENCE = 2.0


def ask(parts: urllib.parse.SplitResult, body: str) -> tuple[int, str]:
    """Send a request; return the code, 0 for no answer, and the version that answered."""
    connection = http.client.HTTPConnection(
        parts.hostname or "", parts.port or 80, timeout=PATIENCE
    )
    try:
        connection.request("POST", parts.path, body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        answer.read()
    except (OSError, http.client.HTTPException):
        return 0, ""
    else:
        return answer.status, answer.getheader("modelyard-version") or ""
    finally:
        connection.close()


def main() -> None:
    """Send requests endlessly."""
    parts, body = urllib.parse.urlsplit(sys.argv[1]), sys.argv[2]
    before: tuple[int, str] | None = None
    due = time.monotonic()
    while True:
        found = ask(parts, body)
        if found != before:
            print(
                json.dumps({"at": time.time(), "code": found[0], "version": found[1]}), flush=True
            )
            before = found
        due = max(due + PERIOD, time.monotonic())
        while (early := due - time.monotonic()) > 0:
            time.sleep(early)


if __name__ == "__main__":
    main()
