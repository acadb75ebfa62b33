"""Commands of the README and docs/: run on the cluster as a reader would type them; their remains
are removed.

The tests check what a page should have done.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.demo import install
from tests.demo.kube import Failed, Kube
from tests.e2e.tenant import Tenant

__all__ = ["NAMESPACE", "PYTHON", "SHELL", "forget", "run"]

NAMESPACE = "risk"
"""The tenant of the chart's demo, in which all pages act."""


SHELL = ("bash", "-euo", "pipefail")
PYTHON = (sys.executable, "-W", "ignore", "-")


def run(
    kube: Kube,
    script: str,
    seconds: float,
    interpreter: Sequence[str] = SHELL,
    folder: Path = install.ROOT,
) -> str:
    """Run a script, a shell's in the repository's root, and return its output.

    Raises:
        Failed: A command of it failed, or it did not end in time.

    """
    environment = kube.environment
    # `modelyard` is next to the Python that runs the tests.
    environment["PATH"] = f"{environment['PATH']}{os.pathsep}{Path(sys.executable).parent}"
    environment |= {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "PYTHONPATH": str(install.ROOT / "operator"),
        "NO_COLOR": "1",
    }
    with subprocess.Popen(
        interpreter,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=folder,
        env=environment,
        start_new_session=True,
    ) as shell:
        try:
            said, _ = shell.communicate(script, timeout=seconds)
        except subprocess.TimeoutExpired:
            os.killpg(shell.pid, signal.SIGKILL)
            said, _ = shell.communicate()
            raise Failed(f"no end after {seconds:.0f} s:\n{said}") from None
        finally:  # a port-forward that a page left running
            _end(shell.pid)
    if shell.returncode:
        raise Failed(f"exit code {shell.returncode}:\n{said}")
    return said


def _end(group: int) -> None:
    try:
        os.killpg(group, signal.SIGTERM)
    except ProcessLookupError:
        return


def forget(kube: Kube, experiments: Sequence[str], models: Sequence[str]) -> None:
    """Remove what an earlier run left: objects, and their names in MLflow, which keeps them by
    default.
    """
    risk = Tenant(kube, NAMESPACE)
    runs = [
        each["metadata"]["name"]
        for each in kube.list("TrainingRun", NAMESPACE)
        if each["spec"]["experiment"] in experiments
    ]
    # A stage's version protects the run that it came from.
    kube.kubectl(
        "delete",
        *(f"mlmodel/{name}" for name in models),
        "-n",
        NAMESPACE,
        "--ignore-not-found",
        timeout=200,
    )
    things = [*(f"mlrun/{name}" for name in runs), *(f"mlexp/{name}" for name in experiments)]
    things.append("secret/modelyard-signing-fraud")  # of how-to/train.md
    kube.kubectl("delete", *things, "-n", NAMESPACE, "--ignore-not-found", timeout=200)
    known = {
        each["name"]
        for each in risk.mlflow("registered-models/search").get("registered_models", [])
    }
    for name in known & {f"{NAMESPACE}.{model}" for model in models}:
        risk.mlflow("registered-models/delete", {"name": name}, method="DELETE")
    for name in experiments:
        query = {"max_results": 1000, "view_type": "ALL", "filter": f"name = '{NAMESPACE}/{name}'"}
        for each in risk.mlflow("experiments/search", query).get("experiments", []):
            if each["lifecycle_stage"] == "deleted":
                risk.mlflow("experiments/restore", {"experiment_id": each["experiment_id"]})
            risk.mlflow(
                "experiments/update",
                {
                    "experiment_id": each["experiment_id"],
                    "new_name": f"before/{each['experiment_id']}",
                },
            )
