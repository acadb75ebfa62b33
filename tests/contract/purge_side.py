"""MLflow's own client on a database, for tests of purging: it creates, soft-deletes and restores
objects, and reports what it sees.
"""

from __future__ import annotations

import io
import os
import sys
import warnings
from contextlib import redirect_stderr, redirect_stdout
from typing import Any

from modelyard_runtime import outcome
from modelyard_runtime.purge import __main__ as program
from tests.contract.notebook import serve


def main() -> None:
    """Run the program's end of a `Notebook`."""
    answers, sys.stdout = sys.stdout, sys.stderr  # MLflow prints to stdout
    warnings.simplefilter("ignore")
    from mlflow import MlflowClient  # noqa: PLC0415 - slow, and only here
    from mlflow.entities import LoggedModelOutput  # noqa: PLC0415
    from mlflow.exceptions import MlflowException  # noqa: PLC0415

    client = MlflowClient()

    def experiment(name: str, tags: dict[str, str], location: str) -> str:
        return str(client.create_experiment(name, artifact_location=location, tags=tags))

    def run(experiment: str, tags: dict[str, str]) -> tuple[str, str]:
        info = client.create_run(experiment, tags=tags).info
        client.log_metric(info.run_id, "accuracy", 0.9)
        client.log_param(info.run_id, "depth", 3)
        client.set_terminated(info.run_id)
        return info.run_id, info.artifact_uri

    def model(experiment: str, run: str) -> tuple[str, str]:
        made = client.create_logged_model(
            experiment, name="model", source_run_id=run or None, params={"a": "b"}, tags={"c": "d"}
        )
        client.finalize_logged_model(made.model_id, "READY")
        if run:
            use(run, made.model_id)
        return made.model_id, made.artifact_location

    def use(run: str, id_: str) -> None:
        client.log_outputs(run, [LoggedModelOutput(id_, step=0)])

    def version(name: str, source: str, run: str, model_id: str) -> str:
        client.create_registered_model(name)
        return str(
            client.create_model_version(
                name, source, run_id=run or None, model_id=model_id or None
            ).version
        )

    def seen(get: Any, id_: str) -> str:
        try:
            found = get(id_)
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return "gone"
            raise
        return str(getattr(getattr(found, "info", found), "lifecycle_stage", "there"))

    def version_elsewhere(registry: str, name: str, source: str) -> str:
        there = MlflowClient(registry, registry)
        there.search_experiments()  # creates its tables, as every server does
        there.create_registered_model(name)
        return str(there.create_model_version(name, source).version)

    def purge(words: list[str], environment: dict[str, str]) -> tuple[int, list[str], str]:
        """Run the program's main in this process: another one would spend seconds on importing
        MLflow.
        """
        sys.argv, before = ["purge", *words], dict(os.environ)
        os.environ.update(environment)
        with redirect_stdout(io.StringIO()) as out, redirect_stderr(io.StringIO()) as errors:
            try:
                outcome.run(program.main)
            except SystemExit as ended:
                code = int(ended.code or 0)
            finally:
                os.environ.clear()
                os.environ.update(before)
        return code, out.getvalue().splitlines(), errors.getvalue()

    serve(
        {
            "purge": purge,
            "experiment": experiment,
            "run": run,
            "model": model,
            "use": use,
            "version": version,
            "version elsewhere": version_elsewhere,
            "drop version": client.delete_model_version,
            "delete run": client.delete_run,
            "restore run": client.restore_run,
            "delete experiment": client.delete_experiment,
            "delete model": client.delete_logged_model,
            "see run": lambda id_: seen(client.get_run, id_),
            "see model": lambda id_: seen(client.get_logged_model, id_),
            "see experiment": lambda id_: seen(client.get_experiment, id_),
        },
        answers,
    )


if __name__ == "__main__":
    main()
