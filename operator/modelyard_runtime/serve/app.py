"""The ASGI application: which address means what, who predicts, and what every answer carries.

Protocols' bodies belong to `v1`, `v2` and `invocations`; sockets and signals to `server`.
"""

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
from modelyard_runtime.serve.forward import Forwarder, Passed
from modelyard_runtime.serve.limits import Limits
from modelyard_runtime.serve.metrics import Metrics
from modelyard_runtime.serve.predictor import Answer, Asked, Predictor, Request
from modelyard_runtime.serve.reception import Message, Receive, Reception, Send
from modelyard_runtime.serve.split import Drawn
from modelyard_runtime.serve.splitter import Splitter
from modelyard_runtime.serve.traffic import Traffic
from modelyard_runtime.serve.turn import Turn
from modelyard_runtime.serve.values import Refused

if TYPE_CHECKING:
    from modelyard_runtime.serve.deadlines import BoundedProtocol

__all__ = ["DRAWN", "FORWARDED", "QUICK_BYTES", "SERVICE", "App", "Identity", "Work", "failed"]

Look = Callable[[], Answer]

METRICS_PATH = "/metrics"
QUICK_BYTES = 65_536
"""A request of this size takes a native model about half a millisecond."""
SERVICE = "{name}:80"
"""Where a Service of this namespace is."""
DRAWN = "modelyard.drawn"
"""In a request's scope: the version that it was drawn for on the quick way."""
FORWARDED = FORWARDED_HEADER.encode()
_SECONDS = SECONDS_HEADER.encode()


class Work(NamedTuple):
    """What POST does at a path."""

    protocol: str
    """As which its requests are counted."""
    begin: Callable[[Predictor, Request], Asked]
    split: bool = True
    """False: the path names a version, and no other one may answer."""


@dataclass(frozen=True)
class Identity:
    """Which model this is."""

    name: str
    """In addresses."""
    version: str
    qualified: str
    """`<namespace>.<name>`, in the header modelyard-model and in metrics."""
    runtime: str = ""
    """Identity of what serves it."""


class App:
    """One model's server. `model` is None until it has predicted once."""

    def __init__(self, identity: Identity, limits: Limits, service: str = SERVICE) -> None:
        """Lay out the addresses.

        Args:
            identity: The model.
            limits: What requests may take.
            service: Where a Service is, a host and a port; `{name}` stands for its name.

        """
        self.model: Predictor | None = None
        self.open = False
        """True once this process may say that it is ready: it is loaded, and so are its fellow
        workers.
        """
        self.draining = False
        self.last_request = time.monotonic()
        self.metrics = Metrics(identity.qualified, identity.version)
        self.traffic = Traffic(identity.version, identity.runtime)
        forwarder = Forwarder(identity.version, service, limits)
        self.splitter = Splitter(
            identity.name, identity.version, self.traffic.arms, forwarder, limits.timeout / 2
        )
        self.limits = limits
        self.connections: dict[BoundedProtocol, None] = {}
        """That which has waited for longest is first."""
        self.metrics_port = 0
        """The port on which metrics are asked for, and nothing else."""
        self._identity = identity
        self.reception = Reception(limits)
        self.turn = Turn()
        self._looks = self._gets()
        self._works = self._posts()
        self.paths = {path.encode(): work for path, work in self._works.items()}
        """What POST does, by the path as it comes over the wire."""

    @property
    def ready(self) -> bool:
        """True if new requests should come here."""
        return self.model is not None and self.open and not self.draining

    def _gets(self) -> dict[str, Look]:
        """Return what GET answers, by path."""
        identity = self._identity
        server = {"name": "modelyard", "version": __version__, "extensions": [binary.EXTENSION]}
        live, ready = self._constant({"live": True}), self._ready({"ready": True})
        models = self._constant({"models": [identity.name]})
        looks: dict[str, Look] = {
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
            looks[path] = self._metadata
            looks[f"{path}/ready"] = self._ready({"name": identity.name, "ready": True})
        return looks

    def _posts(self) -> dict[str, Work]:
        """Return what POST does, by path."""
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
        """Return the two addresses of the model in V2."""
        path = f"/v2/models/{self._identity.name}"
        return path, f"{path}/versions/{self._identity.version}"

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            raise RuntimeError(f"{scope['type']} is not spoken here")
        path, method, held = scope["path"], scope["method"], self.reception.held()
        if scope["server"][1] == self.metrics_port:
            answer = self._figures(path)
        elif method == "POST" and (known := self._works.get(path)):
            self.last_request = start = time.monotonic()
            answer = await self._work(known, scope, receive, held)
            if answer.by is None:
                self.answered(known, answer, start)
            else:
                answer_as(send, *answer.by)
        elif method in {"GET", "HEAD"} and (look := self._looks.get(path)):
            answer = look()
        else:
            answer = self._unknown(path)
        head: Message = {
            "type": "http.response.start",
            "status": answer.status,
            "headers": self.headers(answer),
        }
        await self.reception.send(head, b"" if method == "HEAD" else answer.body, scope, send, held)

    def answered(self, work: Work, answer: Answer, begun: float) -> float:
        """Count an answer to a request that came at `begun`, in seconds of the monotonic clock;
        returns how long it took.
        """
        seconds = time.monotonic() - begun
        self.metrics.answered(work.protocol, answer.status, seconds, answer.rows)
        self.traffic.answered(answer.status, seconds)
        return seconds

    def headers(self, answer: Answer) -> list[tuple[bytes, bytes]]:
        """Return the headers of an answer, besides those that all have."""
        found = [
            (b"content-type", answer.content_type),
            (b"content-length", str(len(answer.body)).encode()),
        ]
        if self.draining:
            found.append(
                (b"connection", b"close")
            )  # the next request opens another connection, to another pod
        if answer.allow:
            found.append((b"allow", answer.allow))
        if answer.head is not None:
            found.append((binary.HEADER, str(answer.head).encode()))
        if answer.took is not None:
            found.append((_SECONDS, b"%.9f" % answer.took))
        return found

    async def _work(self, work: Work, scope: Message, receive: Receive, held: Held) -> Answer:
        """Read the body, and have the candidate or the own model predict; whatever happens is an
        answer in the protocol's own words.
        """
        try:
            body = await self.reception.body(scope, receive, held)
        except Exception as error:  # noqa: BLE001 - as below
            return failed(work.protocol, error)
        arrived, forwarded = (
            time.monotonic(),
            any(name == FORWARDED for name, _ in scope["headers"]),
        )
        drawn = None
        try:
            if (model := self.model) is None:
                raise Refused("the model is being loaded", 503)
            if self.splitter.split is not None and not forwarded:
                drawn = self._draw(work, scope, len(body))
            answer = None
            if drawn is not None and drawn.candidate:
                answer = await self.splitter.asked(
                    drawn, Passed(scope["path"], scope["headers"], body, held)
                )
            if answer is None:
                answer = await self._predicted(work, model, scope, body)
            held.exchange(len(answer.body))
        except Exception as error:  # noqa: BLE001 - a model may raise anything, and the next request may be well
            answer = failed(work.protocol, error)
        seconds = time.monotonic() - arrived
        if drawn is not None and not drawn.candidate:
            self.splitter.count(drawn, answer.status, seconds)
        return replace(answer, took=seconds) if forwarded else answer

    def _draw(self, work: Work, scope: Message, size: int) -> Drawn | None:
        """Draw for a request, unless that was done on the quick way."""
        if DRAWN in scope:
            return scope[DRAWN]  # type: ignore[no-any-return] # put there by `quick`
        return (
            self.splitter.draw(scope["headers"], size) if work.split and not self.draining else None
        )

    async def _predicted(self, work: Work, model: Predictor, scope: Message, body: bytes) -> Answer:
        """Answer by the own model, which has its whole time, however long a candidate took
        before it.
        """
        request, compressed = intake.asked_with(work.protocol, scope["headers"], body)
        if (
            model.quick
            and len(body) <= QUICK_BYTES
            and not intake.is_slow(model, request, compressed)
        ):
            return await self._together(work.begin(model, request), model)
        return await self.reception.slowly(work.begin, model, request, compressed)

    async def _together(self, asked: Asked, model: Predictor) -> Answer:
        """Answer a small request of a quick model, predicted with whatever else has arrived by
        now.
        """
        try:
            asked.send(await self.turn.predicted(model, next(asked)))
        except StopIteration as done:
            return done.value  # type: ignore[no-any-return] # the generator's
        raise RuntimeError("a request asks once")

    def _unknown(self, path: str) -> Answer:
        """Answer a path or method that is not known."""
        if path in {METRICS_PATH, TRAFFIC_PATH}:
            return Answer(v1.refusal(f"{path} is at port {self.metrics_port}", 404), 404)
        if path in self._works or path in self._looks:
            allow = b"POST" if path in self._works else b"GET, HEAD"
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

    def _constant(self, value: Any) -> Look:
        answer = Answer(b"\n" if value is None else orjson.dumps(value))
        return lambda: answer

    def _ready(self, value: Any) -> Look:
        good = Answer(orjson.dumps(value))
        bad = Answer(
            orjson.dumps({**value, "ready": False, "error": "the model is not ready"}), 503
        )
        return lambda: good if self.ready else bad

    def _metadata(self) -> Answer:
        if self.model is None:
            return Answer(v1.refusal("the model is being loaded", 503), 503)
        name, version = self._identity.name, self._identity.version
        return Answer(
            orjson.dumps(
                v2.model_metadata(name, version, self.model.platform, self.model.signature)
            )
        )

    def _figures(self, path: str) -> Answer:
        """Answer at the port of metrics."""
        if path == METRICS_PATH:
            page, kind = self.metrics.page(self.traffic.totals)
            return Answer(page, content_type=kind)
        if path == TRAFFIC_PATH:
            return Answer(self.traffic.page())
        return Answer(
            v1.refusal(f"only {METRICS_PATH} and {TRAFFIC_PATH} are at this port", 404), 404
        )


def failed(protocol: str, error: Exception) -> Answer:
    """Return an error in a protocol's own words; one that is no refusal is the model's, and
    printed.
    """
    refusal = invocations.refusal if protocol == "mlflow" else v1.refusal
    if isinstance(error, Refused):
        return Answer(refusal(error.message, error.status), error.status)
    traceback.print_exception(error)
    return Answer(refusal(f"the model failed: {one_line(error)}", 500), 500)
