"""What users do to a RegisteredModel of `model_world`: edit its spec, restore it from a backup."""

from __future__ import annotations

from typing import Any

from modelyard.kube.pods import Runtime
from tests.unit.builders import (
    registered_model,
)
from tests.unit.model_world_state import State


class Edited(State):
    """A world in which users change the object."""

    def edit(self, **stages: Any) -> None:
        """Change stages: a version, None to clear, a dict of fields, `...` to remove it."""
        spec = {
            name: stage.model_dump(exclude_none=True)
            for name, stage in self.model.spec.stages.items()
        }
        for name, wanted in stages.items():
            if wanted is ...:
                spec.pop(name, None)
            else:
                spec[name] = spec.get(name, {}) | (
                    wanted if isinstance(wanted, dict) else {"version": wanted}
                )
        self.patch(stages=spec)

    def refresh(self, stage: str) -> None:
        """Raise a stage's `attempt`."""
        if (there := self.model.spec.stages.get(stage)) is not None:
            self.edit(**{stage: {"attempt": there.attempt + 1}})

    def patch(self, **spec: Any) -> None:
        """Change other fields of the spec."""
        about = self.model.metadata.model_dump() | {
            "generation": self.model.metadata.generation + 1
        }
        whole = self.model.spec.model_dump(exclude_none=True) | spec
        self.model = registered_model(
            about={k: v for k, v in about.items() if k != "name"}, status=self.model.status, **whole
        )

    def annotate(self, **annotations: str) -> None:
        """Set annotations; dots and slashes of their keys are the caller's."""
        about = self.model.metadata.model_copy(update={"annotations": annotations})
        self.model = self.model.model_copy(update={"metadata": about})

    def upgrade(self, tag: str = "1.3.0") -> None:
        """Replace the operator by a release with another runtime image."""
        self.runtime = Runtime(f"modelyard/runtime:{tag}", "IfNotPresent", tag)

    def restore(self, uid: str = "uid-restored") -> None:
        """Restore the object from a backup: a new uid, no status, nothing that it owned."""
        about = self.model.metadata.model_copy(
            update={"uid": uid, "annotations": {"modelyard.io/adopt": "true"}}
        )
        self.model = self.model.model_copy(
            update={"status": type(self.model.status)(), "metadata": about}
        )
        self.children = {}
