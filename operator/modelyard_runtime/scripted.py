"""MLflow's tracking store as a script in a training pod sees it: an experiment that it would create
is its run's own.

`mlflow.set_experiment("churn")` before `mlflow.start_run()`, as scripts have it that run on a
laptop too, would leave a stray experiment behind, and `start_run` would refuse the run of the pod.
A plugin of MLflow's own kind (an entry point `mlflow.tracking_store`), which only the script's
process has.
"""

import os
import sys
from functools import partial
from pathlib import Path
from typing import Any

from modelyard.api.wire import RUN_ID

__all__ = ["RUN", "environment", "store"]

RUN = "MODELYARD_SCRIPT_RUN"
"""The pod's run, for the script's process: `start_run` takes MLFLOW_RUN_ID out of the
environment.
"""
_SCHEMES = ("http", "https")


def environment(folder: Path) -> dict[str, str]:
    """Return the environment of a script's process, and write into the folder what MLflow finds the
    plugin by.

    Without a run in the environment there is nothing to add.

    Args:
        folder: An empty one, which lives as long as the script.

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
    """Return the store of a tracking server's address."""
    from mlflow.store.tracking.rest_store import RestStore  # noqa: PLC0415 - MLflow loads this module while it is imported
    from mlflow.utils.credentials import get_default_host_creds  # noqa: PLC0415 - as above

    class Store(RestStore):  # type: ignore[misc] # MLflow has no types
        """Creates no experiment."""

        def create_experiment(self, name: str, *args: Any, **kwargs: Any) -> str:
            if not (run := os.environ.get(RUN)):
                return str(super().create_experiment(name, *args, **kwargs))
            id_ = str(self.get_run(run).info.experiment_id)
            words = (
                f"modelyard: no experiment {name} is created: this run's own, with the id {id_}, is"
                " used instead"
            )
            print(words, file=sys.stderr, flush=True)
            return id_

    return Store(partial(get_default_host_creds, store_uri))
