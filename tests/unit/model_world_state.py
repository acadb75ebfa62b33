"""The state of a small world for a RegisteredModel, and what must hold in it at the end."""

from __future__ import annotations

from typing import Any

from modelyard.api.registered_model import RegisteredModel, Stage, StageStatus
from modelyard.kube.names import (
    IDENTITY_LABEL,
    STAGE_LABEL,
    STAGES_TAG,
    TRAFFIC_ANNOTATION,
    VERSION_LABEL,
)
from modelyard.plan import Act, Apply, Delete, Manifest, Plan, Record, Rest, SetTrafficRule
from modelyard.ports import TrackedModel, TrackedVersion
from tests.unit.builders import said
from tests.unit.models import digest

STAGES = ("production", "staging", "canary")
LOST = "v4"
"""Its artifacts are gone once it is registered."""


def is_served(stage: Stage) -> bool:
    """Return whether a stage should have pods."""
    return stage.serving.replicas > 0 or stage.serving.autoscaling is not None


def identity(manifest: Manifest) -> str:
    """Return the identity label of a serving object."""
    return str(manifest["metadata"]["labels"][IDENTITY_LABEL])


def moves_of(plan: Plan[Any]) -> Any:
    """Return a plan's changes of serving objects and of the record of versions and stages."""
    if isinstance(plan, Act):
        return [action for action in plan.actions if isinstance(action, Apply | Delete)]
    assert isinstance(plan, Record | Rest)
    recorded = plan.status.versions, plan.status.stages
    return recorded if isinstance(plan, Record) else []


class State:
    """The part of a world that tests read; `tests.unit.model_world` is the whole."""

    model: RegisteredModel
    children: dict[tuple[str, str], Manifest]
    versions: dict[str, TrackedVersion]
    tracked: TrackedModel | None
    broken: Any
    now: Any

    def status(self, stage: str) -> StageStatus:
        return self.model.status.stages.get(stage) or StageStatus()

    def effective(self, stage: str) -> str | None:
        """Return the effective version."""
        return self.status(stage).version

    def deployment(self, stage: str, identity_: str) -> Manifest | None:
        """Return the Deployment that serves an identity in a stage."""
        return next(
            (each for each in self.of_kind("Deployment", stage) if identity(each) == identity_),
            None,
        )

    def of_kind(self, kind: str, stage: str = "") -> list[Manifest]:
        """Return the owned objects of a kind, of one stage where it is given."""
        found = [each for each in self.children.values() if each["kind"] == kind]
        return [each for each in found if stage in {"", each["metadata"]["labels"][STAGE_LABEL]}]

    def routed(self, stage: str) -> str | None:
        """Return the identity that the stage's Service selects."""
        service = self.children.get(("Service", f"fraud-{stage}"))
        return str(service["spec"]["selector"][IDENTITY_LABEL]) if service else None

    def front(self, stage: str) -> str | None:
        """Return the version that the stage's Service routes to."""
        service = self.children.get(("Service", f"fraud-{stage}"))
        return str(service["metadata"]["labels"][VERSION_LABEL]) if service else None

    def tell(self, action: SetTrafficRule) -> None:
        """Set or remove a pod's annotation, unless the pod was deleted or replaced."""
        there = self.children.get(("Pod", action.name))
        if there is None or there["metadata"]["uid"] != action.uid:
            return
        assert STAGE_LABEL in there["metadata"]["labels"], "the policy operator-fence refuses it"
        said = {
            key: value
            for key, value in (there["metadata"].get("annotations") or {}).items()
            if key != TRAFFIC_ANNOTATION
        }
        said |= {TRAFFIC_ANNOTATION: action.rule} if action.rule is not None else {}
        self.children["Pod", action.name] = there | {
            "metadata": there["metadata"] | {"annotations": said}
        }

    def number(self, version: str | None) -> str | None:
        """Return the number that MLflow gave a recorded version."""
        return next(
            (each.mlflow_version for each in self.model.status.versions if each.name == version),
            None,
        )

    def warm(self, status: StageStatus) -> str | None:
        """Return the identity of the version displaced last while it keeps its pods."""
        previous = status.previous
        return (
            previous.runtime.identity
            if previous is not None and previous.until_time is not None
            else None
        )

    def uids(self) -> dict[tuple[str, str], Any]:
        """Return uid and generation of the serving objects: they differ when one was replaced or
        rolled.
        """
        return {
            key: (each["metadata"]["uid"], each["metadata"]["generation"])
            for key, each in self.children.items()
            if key[0] != "Pod"
        }

    def told(self) -> Any:
        """Return what users see of the end state, without times."""
        history = [
            (entry.stage, entry.from_, entry.to, entry.outcome)
            for entry in self.model.status.history
        ]
        registry = {number: (there.stage, there.tags) for number, there in self.versions.items()}
        return (
            history,
            self.tracked,
            registry,
            sorted(self.children),
            said(self.model.status),
            self.model.status.summary,
        )

    # --- the end ----------------------------------------------------------------------------------
    def check_end(self) -> None:
        """Check what must hold when nothing is left to do, whatever happened before."""
        self.check_registry()
        self.check_serving()
        bad = False
        for stage, spec in self.model.spec.stages.items():
            status = self.status(stage)
            # Scaling a stage to zero does not end a rejection.
            rejected = status.blocked is not None and spec.version in {
                each.version for each in status.rejected
            }
            failing = spec.version in self.broken and (is_served(spec) or rejected)
            bad = bad or failing or spec.version == LOST
            assert failing or spec.version == LOST or self.effective(stage) == spec.version
        assert said(self.model.status).startswith("Stalled" if bad else "Ready"), (
            self.model.status.conditions
        )
        assert self.model.status.is_true("Synced")

    def check_registry(self) -> None:
        """Check that MLflow agrees with the status."""
        assert self.tracked
        effective = {stage: version for stage in STAGES if (version := self.effective(stage))}
        assert self.tracked.aliases == {
            stage: self.number(version) for stage, version in effective.items()
        }, "I2"
        assert set(self.model.status.stages) == set(self.model.spec.stages)
        for version in self.model.status.versions:
            if version.mlflow_version is None:
                assert version.name == LOST
                continue
            there = self.versions[version.mlflow_version]
            held = sorted(stage for stage, holder in effective.items() if holder == version.name)
            assert list(version.stages) == held
            assert there.source == version.uri
            assert there.tags["modelyard.io/digest"] == version.digest
            assert there.tags.get(STAGES_TAG, "") == ",".join(held)
            if {"production", "staging"} & set(held):
                assert there.stage == ("Production" if "production" in held else "Staging")
            else:
                assert there.stage in ({"None"} if held else {"None", "Archived"})

    def check_serving(self) -> None:
        """Check that exactly the effective version is served, from the template that was rolled
        out.
        """
        serving = {
            s: self.status(s)
            for s in self.model.spec.stages
            if self.effective(s) and is_served(self.model.spec.stages[s])
        }
        expected = {
            (stage, status.runtime.identity) for stage, status in serving.items() if status.runtime
        }
        expected |= {
            (stage, warm)
            for stage, status in serving.items()
            if (warm := self.warm(status)) is not None
        }
        assert {
            (each["metadata"]["labels"][STAGE_LABEL], identity(each))
            for each in self.of_kind("Deployment")
        } == expected
        assert {name for kind, name in self.children if kind == "Service"} == {
            f"fraud-{stage}" for stage in serving
        }
        for stage, status in serving.items():
            assert status.effective
            assert self.routed(stage) == status.effective.runtime.identity
            there = self.deployment(stage, status.effective.runtime.identity)
            assert there
            server = there["spec"]["template"]["spec"]["containers"][0]
            assert server["image"] == status.effective.runtime.image
            assert status.effective.digest == digest(status.effective.version[-1])
            scaled = ("HorizontalPodAutoscaler", f"fraud-{stage}") in self.children
            assert scaled == (self.model.spec.stages[stage].serving.autoscaling is not None)
            assert not status.draining
            assert status.candidate is None
            kept = {status.effective.runtime.identity} | (
                {status.previous.runtime.identity} if status.previous else set()
            )
            assert {identity(each) for each in self.of_kind("ControllerRevision", stage)} <= kept

    def check_window(self, wanted: Stage, stage: str, gone: str) -> None:
        """Check that the version displaced last keeps its pods for as long as the spec says."""
        status = self.status(stage)
        if (
            wanted.rollback is None
            or status.previous is None
            or status.previous.runtime.identity != gone
            or status.version is None
        ):
            return
        ends = status.previous.until_time
        assert ends is None or ends <= self.now, "it keeps its pods inside the window"

    def check_effective(self, before: RegisteredModel) -> None:
        """A version becomes effective only as the recorded candidate, with traffic on it, and
        with an entry in the history.
        """
        for name, stage in self.model.status.stages.items():
            old = before.status.stages.get(name) or StageStatus()
            if (
                stage.effective == old.effective
                or stage.effective is None
                or (old.version and old.effective is None)
            ):
                continue
            if not before.status.mlflow_name:
                continue  # rebuilt
            assert stage.effective == old.candidate, (
                "what becomes effective was recorded as the candidate"
            )
            assert len(self.model.status.history) == 50 or len(self.model.status.history) > len(
                before.status.history
            )
            spec = self.model.spec.stages[name]
            assert not is_served(spec) or self.routed(name) == stage.effective.runtime.identity
