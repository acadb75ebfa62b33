"""The ASGI application: the paths, which version predicts a request, and the answers' headers."""

import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.metadata import version as installed
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from modelyard import __version__
from modelyard.api.wire import FORWARDED_HEADER, LIVE_PATH, READY_PATH, SECONDS_HEADER, TRAFFIC_PATH
from modelyard_runtime.outcome import one_line
from modelyard_runtime.serve import binary, intake, invocations, v1, v2
from modelyard_runtime.serve.budget import Held
from modelyard_runtime.serve.deadlines import answer_as
from modelyard_runtime.serve.forward import ForwardedRequest, Forwarder
from modelyard_runtime.serve.limits import Limits
from modelyard_runtime.serve.metrics import Metrics
from modelyard_runtime.serve.predictor import Answer, AnswerGenerator, Predictor, Request
from modelyard_runtime.serve.reception import Message, Receive, Reception, Send
from modelyard_runtime.serve.split import Drawn
from modelyard_runtime.serve.splitter import Splitter
from modelyard_runtime.serve.traffic import Traffic
from modelyard_runtime.serve.turn import Turn
from modelyard_runtime.serve.values import Refused

if TYPE_CHECKING:
    from modelyard_runtime.serve.deadlines import BoundedProtocol

__all__ = ["DRAWN", "FORWARDED", "QUICK_BYTES", "SERVICE", "App", "Identity", "Work", "failed"]

Get = Callable[[], Answer]

METRICS_PATH = "/metrics"
QUICK_BYTES = 65_536
"""A body of at most this many bytes is predicted in the event loop: about half a millisecond."""
SERVICE = "{name}:80"
"""Address of a Service of this namespace."""
DRAWN = "modelyard.drawn"
"""Key in a request's scope for the version that `quick` has drawn for it."""
FORWARDED = FORWARDED_HEADER.encode()
_SECONDS = SECONDS_HEADER.encode()


class Work(NamedTuple):
    """How a POST to one path is answered."""

    protocol: str
    """The protocol whose error format is used, and under which metrics count the requests."""
    begin: Callable[[Predictor, Request], AnswerGenerator]
    split: bool = True
    """Whether the candidate may answer; False if the path names this version."""


@dataclass(frozen=True)
class Identity:
    """The model's names."""

    name: str
    """The name in paths."""
    version: str
    qualified: str
    """`<namespace>.<name>`, in the header modelyard-model and in metrics."""
    runtime: str = ""
    """Identity of the serving runtime."""


class App:
    """One model's server. `model` is None until it is loaded and has predicted once."""

    def __init__(self, identity: Identity, limits: Limits, service: str = SERVICE) -> None:
        """Set up the paths.

        Args:
            identity: The model's names.
            limits: The limits of requests.
            service: Host and port of a Service; `{name}` is replaced by its name.

        """
        self.model: Predictor | None = None
        self.open = False
        """True once all workers have loaded the model."""
        self.draining = False
        self.last_request = time.monotonic()
        self.metrics = Metrics(identity.qualified, identity.version)
        self.traffic = Traffic(identity.version, identity.runtime)
        forwarder = Forwarder(identity.version, service, limits)
        self.splitter = Splitter(
            identity.name,
            identity.version,
            self.traffic.arms,
            self.traffic.callers,
            forwarder,
            longest=limits.timeout / 2,
        )
        self.limits = limits
        self.connections: dict[BoundedProtocol, None] = {}
        """Open connections, the one that has waited longest first."""
        self.metrics_port = 0
        """The port that serves metrics, and nothing else."""
        self._identity = identity
        self.reception = Reception(limits)
        self.turn = Turn()
        self._gets = self._get_paths()
        self._posts = self._post_paths()
        self.paths = {path.encode(): work for path, work in self._posts.items()}
        """How a POST is answered, by the path's bytes."""

    @property
    def ready(self) -> bool:
        """Whether this pod should receive new requests."""
        return self.model is not None and self.open and not self.draining

    def _get_paths(self) -> dict[str, Get]:
        """Return what GET answers, by path."""
        identity = self._identity
        server = {"name": "modelyard", "version": __version__, "extensions": [binary.EXTENSION]}
        live, ready = self._constant({"live": True}), self._ready({"ready": True})
        models = self._constant({"models": [identity.name]})
        gets: dict[str, Get] = {
            "/ping": self._constant(None),
            "/health": self._constant(None),
            "/version": lambda: Answer(installed("mlflow").encode()),
            "/ready": ready,
            "/v2": self._constant(server),
            LIVE_PATH: live,
            READY_PATH: ready,
            "/v2/models": models,
            "/v1/models": models,
            f"/v1/models/{identity.name}": self._ready({"name": identity.name, "ready": True}),
        }
        for path in self._versions():
            gets[path] = self._metadata
            gets[f"{path}/ready"] = self._ready({"name": identity.name, "ready": True})
        return gets

    def _post_paths(self) -> dict[str, Work]:
        """Return how a POST is answered, by path."""
        name, version = self._identity.name, self._identity.version
        works = {
            "/invocations": Work(
                "mlflow",
                lambda model, request: model.invocations(request.body, request.content_type),
            ),
            f"/v1/models/{name}:predict": Work(
                "v1", lambda model, request: v1.predict(model, request.body)
            ),
        }
        any_version, own = self._versions()
        infer = Work("v2", lambda model, request: v2.infer(model, name, version, request))
        return works | {f"{any_version}/infer": infer, f"{own}/infer": infer._replace(split=False)}

    def _versions(self) -> tuple[str, str]:
        """Return the two paths of the model in V2."""
        path = f"/v2/models/{self._identity.name}"
        return path, f"{path}/versions/{self._identity.version}"

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            raise RuntimeError(f"{scope['type']} is not supported, only http")
        path, method, held = scope["path"], scope["method"], self.reception.held()
        if scope["server"][1] == self.metrics_port:
            answer = self._metrics_port_answer(path)
        elif method == "POST" and (known := self._posts.get(path)):
            self.last_request = start = time.monotonic()
            answer = await self._predict_or_forward(known, scope, receive, held)
            if answer.by is None:
                self.answered(known, answer, start)
            else:
                answer_as(send, *answer.by)
        elif method in {"GET", "HEAD"} and (get := self._gets.get(path)):
            answer = get()
        else:
            answer = self._unknown(path)
        head: Message = {
            "type": "http.response.start",
            "status": answer.status,
            "headers": self.headers(answer),
        }
        await self.reception.send(head, b"" if method == "HEAD" else answer.body, scope, send, held)

    def answered(self, work: Work, answer: Answer, begun: float) -> float:
        """Count an answer and return its latency; `begun` is on the monotonic clock, in seconds."""
        seconds = time.monotonic() - begun
        self.metrics.answered(work.protocol, answer.status, seconds, answer.rows)
        self.traffic.answered(answer.status, seconds)
        return seconds

    def headers(self, answer: Answer) -> list[tuple[bytes, bytes]]:
        """Return the headers of an answer, in addition to those of every answer."""
        found = [
            (b"content-type", answer.content_type),
            (b"content-length", str(len(answer.body)).encode()),
        ]
        if self.draining:
            # The client's next request opens another connection, to another pod.
            found.append((b"connection", b"close"))
        if answer.allow:
            found.append((b"allow", answer.allow))
        if answer.head is not None:
            found.append((binary.HEADER, str(answer.head).encode()))
        if answer.took is not None:
            found.append((_SECONDS, b"%.9f" % answer.took))
        return found

    async def _predict_or_forward(
        self, work: Work, scope: Message, receive: Receive, held: Held
    ) -> Answer:
        """Read the body; let the candidate or this pod's model predict.

        Every error becomes an answer in the protocol's own format.
        """
        try:
            body = await self.reception.body(scope, receive, held)
        except Exception as error:  # noqa: BLE001 - as below
            return failed(work.protocol, error)
        arrived = time.monotonic()
        forwarded = any(name == FORWARDED for name, _ in scope["headers"])
        drawn = None
        try:
            if (model := self.model) is None:
                raise Refused("the model is still loading; try again", 503)
            if self.splitter.split is not None and not forwarded:
                drawn = self._draw(work, scope, len(body))
            answer = None
            if drawn is not None and drawn.candidate:
                answer = await self.splitter.forward(
                    drawn, ForwardedRequest(scope["path"], scope["headers"], body, held)
                )
            if answer is None:
                answer = await self._predict_here(work, model, scope, body)
            held.exchange(len(answer.body))
        except Exception as error:  # noqa: BLE001 - a model may raise anything, and the next request may succeed
            answer = failed(work.protocol, error)
        seconds = time.monotonic() - arrived
        if drawn is not None and not drawn.candidate:
            self.splitter.count(drawn, answer.status, seconds)
        return replace(answer, took=seconds) if forwarded else answer

    def _draw(self, work: Work, scope: Message, size: int) -> Drawn | None:
        """Draw a version for a request, unless `quick` has done so."""
        if DRAWN in scope:
            return scope[DRAWN]  # type: ignore[no-any-return] # set by `quick`
        if not work.split or self.draining:
            return None
        return self.splitter.draw(scope["headers"], size)

    async def _predict_here(
        self, work: Work, model: Predictor, scope: Message, body: bytes
    ) -> Answer:
        """Answer with this pod's model; a failed candidate does not shorten its time limit."""
        request, compressed = intake.request_of(work.protocol, scope["headers"], body)
        small = model.quick and len(body) <= QUICK_BYTES
        if small and not intake.is_slow(model, request, compressed):
            return await self._predict_batched(work.begin(model, request), model)
        return await self.reception.slowly(work.begin, model, request, compressed)

    async def _predict_batched(self, generator: AnswerGenerator, model: Predictor) -> Answer:
        """Answer a small request of a quick model, predicted together with concurrent ones."""
        try:
            generator.send(await self.turn.predicted(model, next(generator)))
        except StopIteration as done:
            return done.value  # type: ignore[no-any-return] # the generator's
        raise RuntimeError("a request yields rows only once")

    def _unknown(self, path: str) -> Answer:
        """Answer a request with an unknown path or method."""
        if path in {METRICS_PATH, TRAFFIC_PATH}:
            return Answer(v1.refusal(f"{path} is at port {self.metrics_port}", 404), 404)
        if path in self._posts or path in self._gets:
            allow = b"POST" if path in self._posts else b"GET, HEAD"
            return Answer(v1.refusal(f"{path} takes {allow.decode()}", 405), 405, allow=allow)
        parts = path.split("/")
        message = f"there is nothing at {path}"
        if parts[1:3] in (["v2", "models"], ["v1", "models"]) and len(parts) > 3:
            name = parts[3].partition(":")[0]
            if name != self._identity.name:
                message = f"there is no model {name}, only {self._identity.name}"
            elif parts[4:5] == ["versions"] and parts[5:6] != [self._identity.version]:
                message = (
                    f"there is no version {'/'.join(parts[5:6])} of {name} here, only"
                    f" {self._identity.version}"
                )
        return Answer(v1.refusal(message, 404), 404)

    def _constant(self, value: Any) -> Get:
        answer = Answer(b"\n" if value is None else orjson.dumps(value))
        return lambda: answer

    def _ready(self, value: Any) -> Get:
        good = Answer(orjson.dumps(value))
        bad = Answer(
            orjson.dumps({**value, "ready": False, "error": "the model is not ready"}), 503
        )
        return lambda: good if self.ready else bad

    def _metadata(self) -> Answer:
        if self.model is None:
            return Answer(v1.refusal("the model is still loading; try again", 503), 503)
        name, version = self._identity.name, self._identity.version
        return Answer(
            orjson.dumps(
                v2.model_metadata(name, version, self.model.platform, self.model.signature)
            )
        )

    def _metrics_port_answer(self, path: str) -> Answer:
        """Answer a request to the metrics port."""
        if path == METRICS_PATH:
            page, kind = self.metrics.page(self.traffic.totals)
            return Answer(page, content_type=kind)
        if path == TRAFFIC_PATH:
            return Answer(self.traffic.page())
        return Answer(v1.refusal(f"this port has only {METRICS_PATH} and {TRAFFIC_PATH}", 404), 404)


def failed(protocol: str, error: Exception) -> Answer:
    """Return an error in a protocol's format; print the traceback unless it is a `Refused`."""
    refusal = invocations.refusal if protocol == "mlflow" else v1.refusal
    if isinstance(error, Refused):
        return Answer(refusal(error.message, error.status), error.status)
    traceback.print_exception(error)
    return Answer(refusal(f"the model failed: {one_line(error)}", 500), 500)
