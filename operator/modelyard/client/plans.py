"""The methods of `client.models` that plan a promotion (`spec.dryRun`)."""

from dataclasses import dataclass
from typing import Any

from modelyard.api.registered_model import PlannedStep
from modelyard.client import display, planning, waiting, whoami
from modelyard.client.handles import Listing
from modelyard.client.model_methods import ModelMethods
from modelyard.client.progress import Change, asked_for
from modelyard.client.versions import ModelHandle

__all__ = ["Plan", "PlanRow", "Plans"]


@dataclass(frozen=True)
class PlanRow:
    """One step of a plan.

    Attributes:
        step: The step.
        does: What it would do, or what it waits for.

    """

    step: str
    does: str

    def row(self) -> dict[str, Any]:
        """Return the table row of this step."""
        return {"step": self.step, "does": self.does}


class Plan:
    """What a promotion would do, shown as a table. `carry_out()` does it, `take_back()` drops it.

    Attributes:
        model: The model as it was when the plan was made.
        stage: The stage.
        version: The version that would become effective.
        steps: The steps, in order.

    """

    def __init__(self, client: "Plans", model: ModelHandle, stage: str, version: str) -> None:
        self._client = client
        self.model, self.stage, self.version = model, stage, version
        said: tuple[PlannedStep, ...] = planning.rows(model.object, stage)
        self.steps = Listing(PlanRow(row.step, row.does) for row in said)

    def carry_out(
        self, *, seconds: float | None = None, seen: waiting.Watching | None = None
    ) -> ModelHandle:
        """Carry the plan out, and wait until the version is effective.

        Arguments and errors are those of `client.models.set_stage`; in addition:

        Raises:
            Refused: The plan no longer exists, or another change is planned too.

        """
        return self._client.carry_out(
            self.model.name, self.version, self.stage, seconds=seconds, seen=seen
        )

    def take_back(self) -> ModelHandle:
        """Take the plan back: the spec asks for the effective version again.

        Raises:
            Refused: The plan no longer exists, or another change is planned too.

        """
        return self._client.take_back(self.model.name, self.version, self.stage)

    @property
    def _title(self) -> str:
        effective = self.model.stages().get(self.stage) or "empty"
        return (
            f"Plan of {self.model.namespace}/{self.model.name}, {self.stage}: {effective} →"
            f" {self.version}"
        )

    def __repr__(self) -> str:
        return (
            f"{self._title}\n"
            f"{self.steps!r}\n"
            "Nothing is done yet: .carry_out() does it, .take_back() drops it."
        )

    def _repr_html_(self) -> str:
        fields = {row.step: row.does for row in self.steps}
        return display.card(
            self._title,
            display.Badge("Planned", "busy"),
            "Nothing is done yet: .carry_out() does it, .take_back() drops it.",
            fields,
        )


class Plans(ModelMethods):
    """Plan, carry out and take back."""

    def plan(
        self,
        name: str,
        version: str,
        stage: str,
        *,
        seconds: float = 120,
        seen: waiting.Watching | None = None,
    ) -> Plan:
        """Plan a promotion, and return what it would do. Nothing is done.

        The spec asks for the version with `dryRun: true`, so that the operator only plans, until
        the plan is carried out or taken back. If this plan exists already, it is returned.

        Args:
            name: The model.
            version: The version.
            stage: The stage.
            seconds: How long to wait for the plan.
            seen: Called with every state of the model.

        Raises:
            NotFound: There is no such model, stage or version.
            Refused: A promotion is under way, or another one is planned; the version is already
                effective; or an override is in force in the stage.
            NotAllowed: The user lacks the verb `promote` on a stage of the model: it is needed on
                every one.
            Failed: The version cannot be promoted; `reason` and `message` say why. Take the plan
                back.
            TimedOut: The operator has not made the plan yet.

        """
        model = self._model(name)
        if not planning.is_planned(model.object, stage, version):
            planning.check(model.object, stage, version)
            wanted = {"version": version} | whoami.requester(self._kube, model.object, stage)
            model = ModelHandle(
                self._kube,
                self._kube.patch(
                    "RegisteredModel", name, planning.patch(model.object, stage, wanted)
                ),
            )
        change = Change(stage, version, model.metadata.generation)
        checks: dict[str, waiting.Check] = {
            f"{stage} of {model.namespace}/{name}": lambda now: planning.plan_progress(
                now.object, change
            ),
        }
        model = waiting.followed(model, checks, f"to plan {version} in {stage}", seconds, seen)
        return Plan(self, model, stage, version)

    def carry_out(
        self,
        name: str,
        version: str,
        stage: str,
        *,
        seconds: float | None = None,
        seen: waiting.Watching | None = None,
    ) -> ModelHandle:
        """Carry a plan out, and wait until the version is effective.

        Arguments and errors are those of `set_stage`; in addition:

        Raises:
            Refused: There is no such plan, or another change is planned too.

        """
        patch = planning.carry_out(self._model(name).object, stage, version)
        model = ModelHandle(self._kube, self._kube.patch("RegisteredModel", name, patch))
        return waiting.changed(
            model,
            (asked_for(model.object, stage),),
            f"to make {version} effective in {stage}",
            seconds,
            seen,
        )

    def take_back(self, name: str, version: str, stage: str) -> ModelHandle:
        """Take a plan back: the spec asks for the effective version again.

        Raises:
            Refused: There is no such plan, or another change is planned too.

        """
        model = self._model(name)
        patch = planning.take_back(
            model.object, stage, version, whoami.requester(self._kube, model.object, stage)
        )
        return ModelHandle(self._kube, self._kube.patch("RegisteredModel", name, patch))
