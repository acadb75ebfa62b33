"""The command line of the model server."""

import argparse
import os
import socket
import sys
from pathlib import Path

from modelyard.api import wire
from modelyard.api.pod_end import PodReason
from modelyard_runtime.outcome import Failure, report
from modelyard_runtime.serve import workers
from modelyard_runtime.serve.app import SERVICE, App, Identity
from modelyard_runtime.serve.limits import Limits, limits, memory
from modelyard_runtime.serve.predictor import Predictor
from modelyard_runtime.serve.server import Drain, Server, bind

__all__ = ["main"]

_DRAIN = 5
_HEADERS, _TIMEOUT = 10, 60
_QUICK = "MODELYARD_QUICK"
"""Whether `quick` answers small requests: true (the default) or false."""


def main() -> int:
    """Serve until SIGTERM; return the exit code."""
    options = _options()
    try:
        count = _number(wire.WORKERS, 1)
        inherited = workers.in_worker()
        if count > 1 and inherited is None:
            return workers.supervise(count, _listeners(options), sys.argv[1:])
        _serve(options, inherited, _limits(count))
    except Failure as failure:
        print(failure, file=sys.stderr, flush=True)
        report({"reason": failure.reason, "message": failure.message})
        return failure.code
    return 0


def _limits(count: int) -> Limits:
    """Return the limits of one of `count` processes, by the container's memory and the spec."""
    body, timeout = _number(wire.MAX_BODY, 0), _number(wire.TIMEOUT, _TIMEOUT)
    headers = _number("MODELYARD_HEADER_SECONDS", _HEADERS)
    return limits(
        memory(), count, body=body or None, headers=min(headers, timeout), timeout=timeout
    )


def _serve(
    options: argparse.Namespace, inherited: workers.Inherited | None, allowed: Limits
) -> None:
    """Serve in this process."""
    qualified = os.environ.get(wire.MODEL_NAME) or options.name
    least = float(_number("MODELYARD_DRAIN_SECONDS", _DRAIN))
    app = App(
        Identity(options.name, options.version, qualified, options.runtime),
        allowed,
        options.candidate_address,
    )
    headers = [(wire.VERSION_HEADER, options.version), (wire.MODEL_HEADER, qualified)]
    if options.runtime:
        headers.append((wire.RUNTIME_HEADER, options.runtime))
    server = Server(
        app,
        headers,
        Drain(least=least, most=least + 7, end=least + 19),
        options.rule,
        quick=_flag(_QUICK),
    )

    def load() -> Predictor:
        from modelyard_runtime.serve import loading  # noqa: PLC0415 - in the loading thread, while the process is live

        return loading.load(options.model_dir)

    listeners = inherited.listeners if inherited else _listeners(options)
    app.metrics_port = listeners[-1].getsockname()[1]
    server.run_with(
        listeners, load, workers.wait_for_all(inherited) if inherited else lambda open_: open_()
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="modelyard_runtime.serve", description=__doc__)
    parser.add_argument(
        "--model-dir", required=True, type=Path, help="the folder with the MLmodel file"
    )
    parser.add_argument("--name", required=True, help="the model's name, in paths")
    parser.add_argument(
        "--version",
        required=True,
        help="the version's name, in paths and in the header modelyard-version",
    )
    parser.add_argument(
        "--runtime",
        default="",
        help="identity of the serving runtime (eight hex digits), in the header modelyard-runtime",
    )
    parser.add_argument(
        "--port",
        type=int,
        default=wire.SERVING_PORT,
        help="the port; 0 chooses a free one and prints it",
    )
    parser.add_argument(
        "--metrics-port",
        type=int,
        default=wire.METRICS_PORT,
        help="the port of /metrics; 0 chooses a free one and prints it",
    )
    parser.add_argument(
        "--rule",
        type=Path,
        default=Path(wire.RULE_FOLDER, wire.RULE_FILE),
        help="the file with the rule of a canary, by which requests are split",
    )
    parser.add_argument(
        "--candidate-address",
        default=SERVICE,
        help="host and port of the candidate's Service; {name} is replaced by its name",
    )
    return parser.parse_args()


def _listeners(options: argparse.Namespace) -> tuple[socket.socket, socket.socket]:
    """Return the listening sockets of the model and of the metrics."""
    model, metrics = bind(options.port), bind(options.metrics_port)
    print(f"metrics on port {metrics.getsockname()[1]}", flush=True)
    print(f"listening on port {model.getsockname()[1]}", flush=True)
    return model, metrics


def _number(name: str, default: int) -> int:
    """Read a positive number from an environment variable."""
    text = os.environ.get(name)
    if not text:
        return default
    if not text.isdecimal() or int(text) < 1:
        raise Failure(
            PodReason.INVALID_CONFIGURATION, f"{name} is {text!r}, not a positive whole number"
        )
    return int(text)


def _flag(name: str) -> bool:
    """Read true or false from an environment variable; the default is true."""
    text = os.environ.get(name) or "true"
    if text not in {"true", "false"}:
        raise Failure(PodReason.INVALID_CONFIGURATION, f"{name} is {text!r}, not true or false")
    return text == "true"


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    # Threads of the model, or one that is still loading, must not delay a process that has drained.
    os._exit(code)
