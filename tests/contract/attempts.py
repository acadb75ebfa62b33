"""One TrainingRun on a real MLflow and S3, with the operator's real decisions and actions, and a
real process for its script.

Kubernetes is simulated by values: applied objects exist at once, and the Job ends as its process
did.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from modelyard.adapters.connection import Tenants
from modelyard.api.conditions import ready
from modelyard.api.experiment import ExperimentStatus, MlflowExperiment
from modelyard.api.training_run import TrainingRun
from modelyard.engine.perform import perform
from modelyard.kube.names import CONNECTION_SECRET
from modelyard.plan import Act, Apply, Delete, Manifest, Rest
from modelyard.ports import Tenant
from modelyard.training_run.decide import decider
from modelyard.training_run.observe import observe
from tests.expansion import expanded
from tests.local import limits
from tests.unit.builders import (
    NAMESPACE,
    NOW,
    RUNTIME,
    Around,
    experiment,
    live,
    pod,
    terminated,
    training_run,
    written,
)

__all__ = ["Attempt"]

ROOT = Path(__file__).parents[2]
LIMIT = 40
LOG = 2048
"""Characters of a log that the kubelet keeps."""


class Attempt:
    """A TrainingRun whose trainer is a script.

    Attributes:
        run: The object with its last written status.
        tracking: The tenant's MLflow.

    """

    def __init__(
        self, connection: Mapping[str, str], folder: Path, script: str, **spec: Any
    ) -> None:
        self._connection, self._folder = dict(connection), folder
        self.run: TrainingRun = training_run(trainer={"script": {"config_map": "train"}}, **spec)
        self._around = Around(config_maps={"train": {"train.py": script}})
        (folder / "train.py").write_text(script)
        self._tenants = Tenants(self._secret, lambda *_: None, limits=limits())
        self._decide = decider(RUNTIME)

    async def _secret(self, _namespace: str, name: str) -> Mapping[str, str] | None:
        return self._connection if name == CONNECTION_SECRET else None

    async def begin(self, name: str) -> Attempt:
        """Create the experiment of the run."""
        self._tenant = await self._tenants.tenant(NAMESPACE)
        self.tracking = self._tenant.tracking
        self.experiment = await self.tracking.create_experiment(
            f"{NAMESPACE}/{name}", f"s3://mlflow-artifacts/{NAMESPACE}/{name}", {}
        )
        there = MlflowExperiment(
            id=self.experiment, name=f"{NAMESPACE}/{name}", url="http://mlflow"
        )
        self._around.objects = (
            experiment(
                status=ExperimentStatus(mlflow=there, conditions=ready("Synced", "All is well."))
            ),
        )
        return self

    async def close(self) -> None:
        await self._tenants.close()

    async def settle(self) -> None:
        """Observe, decide and act until nothing is left to do."""
        for _ in range(LIMIT):
            plan = self._decide(
                self.run, await observe(self.run, _Ports(self._around, self._tenant), NOW), NOW
            )
            if not isinstance(plan, Act):
                self.run = written(self.run, plan)
                if isinstance(plan, Rest):
                    return
                continue
            for action in plan.actions:
                if isinstance(action, Apply):
                    self._around.children = (*self._around.children, live(action.manifest, {}))
                elif isinstance(action, Delete):
                    left = (
                        each
                        for each in self._around.children
                        if each["metadata"]["name"] != action.name
                    )
                    self._around.children = tuple(left)
                else:
                    await perform(action, NAMESPACE, self._around.cluster, self._writers)
        raise AssertionError("it never comes to rest")

    async def _writers(self) -> Tenant:
        return self._tenant

    def train(self) -> str:
        """Run the Job's script and have the Job end as the script does. Return its log."""
        (job,) = [each for each in self._around.children if each["kind"] == "Job"]
        container = job["spec"]["template"]["spec"]["containers"][0]
        command = [sys.executable, *container["command"][1:-1], str(self._folder / "train.py")]
        given = expanded(container["env"], self._connection) | {"HOME": str(self._folder)}
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("MLFLOW_", "AWS_", "MODELYARD_"))
        }
        environment = kept | self._connection | given | {"PYTHONPATH": str(ROOT / "operator")}
        done = subprocess.run(
            command,
            cwd=self._folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        log = done.stdout + done.stderr
        succeeded = done.returncode == 0
        ended = pod(
            job,
            "Succeeded" if succeeded else "Failed",
            statuses=[terminated(done.returncode, log[-LOG:])],
        )
        condition = {"type": "Complete" if succeeded else "Failed", "status": "True"}
        over = job | {"status": {"conditions": [condition]}}
        self._around.children = (
            *(over if each is job else each for each in self._around.children),
            ended,
        )
        return log


class _Ports:
    """The ports of `observe`: values, and the real clients."""

    def __init__(self, around: Around, tenant: Tenant) -> None:
        self._around, self._tenant = around, tenant

    def __getattr__(self, name: str) -> Any:
        return getattr(self._around, name)

    @property
    def cluster(self) -> Any:
        return self

    def owned(self, _uid: str) -> tuple[Manifest, ...]:
        return self._around.children

    async def tenant(self, _namespace: str) -> Tenant:
        return self._tenant
