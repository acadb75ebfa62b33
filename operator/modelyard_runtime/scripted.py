"""A tracking store for scripts in training pods that creates no experiment but uses the run's own.

A script that also runs on a laptop calls `mlflow.set_experiment("churn")` before
`mlflow.start_run()`. In a pod that would create a stray experiment, and `start_run` would reject
the pod's run, which is in another experiment. This store is an MLflow plugin (entry point
`mlflow.tracking_store`) that only the script's process sees.
"""

import os
import sys
from functools import partial
from pathlib import Path
from typing import Any

from modelyard.api.wire import RUN_ID

__all__ = ["RUN", "environment", "store"]

RUN = "MODELYARD_SCRIPT_RUN"
"""A copy of the run id for the script: `start_run` removes MLFLOW_RUN_ID from the environment."""
_SCHEMES = ("http", "https")


def environment(folder: Path) -> dict[str, str]:
    """Write the plugin's metadata to a folder, and return environment variables for the script.

    Without a run in the environment it writes and returns nothing.

    Args:
        folder: An empty folder, which must exist as long as the script runs.

    """
    if not (run := os.environ.get(RUN_ID)):
        return {}
    package = folder / "modelyard_scripted-1.dist-info"
    package.mkdir()
    (package / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: modelyard-scripted\nVersion: 1\n"
    )
    points = "".join(f"{scheme} = {__name__}:store\n" for scheme in _SCHEMES)
    (package / "entry_points.txt").write_text(f"[mlflow.tracking_store]\n{points}")
    path = [
        str(folder),
        *filter(None, [os.environ.get("PYTHONPATH")]),
        str(Path(__file__).parents[1]),
    ]
    return {RUN: run, "PYTHONPATH": os.pathsep.join(path)}


def store(store_uri: str, **_: Any) -> Any:
    """Return the store for the URI of a tracking server."""
    from mlflow.store.tracking.rest_store import RestStore  # noqa: PLC0415 - MLflow loads this module while it is imported
    from mlflow.utils.credentials import get_default_host_creds  # noqa: PLC0415 - as above

    class Store(RestStore):  # type: ignore[misc] # MLflow has no types
        """Creates no experiment."""

        def create_experiment(self, name: str, *args: Any, **kwargs: Any) -> str:
            if not (run := os.environ.get(RUN)):
                return str(super().create_experiment(name, *args, **kwargs))
            id_ = str(self.get_run(run).info.experiment_id)
            words = (
                f"modelyard: the experiment {name} is not created; the experiment of this run (id"
                f" {id_}) is used instead"
            )
            print(words, file=sys.stderr, flush=True)
            return id_

    return Store(partial(get_default_host_creds, store_uri))
