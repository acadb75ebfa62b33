"""What users and other systems do in the stories of RegisteredModels."""

from __future__ import annotations

from typing import Any

from modelyard.errors import Forbidden
from tests.fakes.calls import Phase
from tests.story.stories import (
    trains,
)
from tests.story.world import Fate, World, manifest


def registers(
    world: World, *, fate: Fate | None = None, production: str | None = None, **spec: Any
) -> None:
    """Apply a RegisteredModel, and a TrainingRun that registers its version v1."""
    stages = {"production": {"version": production}} if production else {}
    world.apply(manifest("RegisteredModel", "fraud", **({"stages": stages} | spec)))
    trains(world, fate=fate, register={"model": "fraud", "version": "v1"})


def freezes(world: World, duration: str, **more: Any) -> None:
    """Freeze all stages of the model from this minute on."""
    now = world.clock.now()
    window = {
        "schedule": f"{now.minute} {now.hour} {now.day} {now.month} *",
        "duration": duration,
        "reason": "audit",
    }
    world.patch("registeredmodels", "fraud", lambda spec: spec.update(freeze=[window | more]))


def plans(world: World, version: str | None, *, dry: bool = True) -> None:
    """Set a version in production together with `dryRun`, in one patch."""
    world.patch(
        "registeredmodels",
        "fraud",
        lambda spec: (
            spec.update(dryRun=dry),
            spec["stages"].setdefault("production", {}).update(version=version),
        ),
    )


def takes_no_entry(world: World) -> None:
    """Have S3 refuse every entry of the history from here on."""

    def hook(operation: str, phase: Phase) -> None:
        if (operation, phase) == ("create", "before"):
            raise Forbidden(
                "S3", "create object", "s3://mlflow-artifacts/risk", "the keys may not do this"
            )

    world.calls.on_call = hook


def watches(world: World, version: str, failing: int) -> None:
    """Give a version's pods 100 requests each time they are scraped, `failing` of which fail."""
    (deployment,) = [
        each
        for each in world.cluster.all("apps/v1/Deployment")
        if each["metadata"]["labels"]["modelyard.io/version"] == version
    ]
    world.cluster.start_pod(deployment, phase="Running", podIP="10.0.0.7")
    world.pods.load[version] = (100, failing)
