"""A cluster, an MLflow and a toy kind in memory, and the whole engine on them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

from modelyard.api.text import TextFilter
from modelyard.cache import Cache, Key
from modelyard.controller import Relation
from modelyard.engine.engine import Engine, Options
from modelyard.engine.metrics import Metrics
from modelyard.engine.report import conditions_of
from modelyard.errors import ModelyardError, Unavailable
from modelyard.plan import Manifest
from modelyard.ports import Tenant
from modelyard.traffic import Traffic
from tests.engine.toy import Toys
from tests.fakes.calls import Calls
from tests.fakes.clock import FakeClock, settle
from tests.fakes.cluster import FakeCluster
from tests.fakes.mlflow import FakeTracking
from tests.fakes.s3 import FakeStore

MINUTE = timedelta(minutes=1)
DOWN = Unavailable("MLflow", "find experiment", "risk/fraud")


@dataclass
class World:
    """A cluster and an MLflow that outlive an operator, and the current operator."""

    toys: Toys = field(default_factory=Toys)
    relations: tuple[Relation, ...] = ()
    options: Options = field(default_factory=Options)
    clock: FakeClock = field(default_factory=FakeClock)
    calls: Calls = field(default_factory=Calls)

    def __post_init__(self) -> None:
        self.connect(FakeTracking(clock=self.clock.now, calls=self.calls))
        self.tenants = 0
        self.fence: list[ModelyardError] = []
        self.cluster = FakeCluster(Cache(["experiments"]), clock=self.clock, calls=self.calls)
        self.restart()

    def connect(self, tracking: FakeTracking) -> None:
        """Connect the namespace to this MLflow."""
        self.tracking = tracking
        store = FakeStore("bucket", "risk", calls=self.calls, world={"bucket": {}})
        self.tenant_now = Tenant(tracking, store, store.reach, "http://mlflow.test")

    def restart(self) -> None:
        """Start a new operator with an empty cache."""
        self.calls.on_call = lambda _operation, _phase: None
        cache = Cache(["experiments", "trainingruns"])
        self.cluster.attach(cache)
        self.metrics = Metrics()
        controllers = [self.toys.controller(*self.relations)]
        self.engine = Engine(
            controllers,
            self,
            self.cluster,
            cache=cache,
            clock=self.clock,
            options=self.options,
            metrics=self.metrics,
            jitter=lambda: 0.5,
            fence=self._fence,
        )
        self.engine.open()

    def _fence(self) -> None:
        if self.fence:
            raise self.fence[0]

    @property
    def traffic(self) -> Traffic:
        raise AssertionError("nothing is watched here")

    async def tenant(self, namespace: str) -> Tenant:
        self.tenants += 1
        return self.tenant_now

    def text_filter(self, namespace: str) -> TextFilter:
        return TextFilter()

    def reread_secrets(self, namespace: str) -> None:
        """Do nothing: there are no Secrets here."""

    async def settle(self, within: timedelta = timedelta()) -> int:
        return await settle(self.engine, self.clock, within)

    def toy(self, name: str = "fraud") -> Manifest:
        body = self.cluster.live("experiments", "risk", name)
        assert body is not None
        return body

    def engine_key(self, name: str = "fraud") -> Key:
        return Key("experiments", "risk", name)

    def condition(self, type_: str, name: str = "fraud") -> tuple[str, str]:
        found = conditions_of(self.toy(name)["status"])[type_]
        return found["status"], found["reason"]

    def count(self, *operations: str) -> int:
        return len(self.calls.named(*operations))

    @property
    def outside(self) -> list[str]:
        """Return the called methods, in order."""
        return self.calls.names
