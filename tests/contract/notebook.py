"""A user's notebook: MLflow's own client in a separate process, because it reads its credentials
from the environment.

The protocol is lines of JSON: `["log", run]`, `["register", uri, name]`, `["load", uri]`,
`["version", name, version]`; each gets one line as its answer.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

__all__ = ["Notebook", "notebook", "serve"]

ROOT = Path(__file__).resolve().parents[2]


class Notebook:
    """The test's end of the connection."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def ask(self, *words: Any) -> Any:
        """Run a command in the notebook and return its result; its error becomes a RuntimeError
        with the message.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(words) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer["result"]


@contextmanager
def notebook(
    url: str, environment: Mapping[str, str], folder: Path, module: str = "tests.contract.notebook"
) -> Iterator[Notebook]:
    """Start a notebook in a separate folder, or MLflow would record this project's requirements for
    the model. `module` is its program.
    """
    ours = {
        "MLFLOW_TRACKING_URI": url,
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'operator'}",
    }
    variables = {**os.environ, **environment, **ours}
    command = [sys.executable, "-m", module]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=variables, cwd=folder, text=True
    ) as process:
        yield Notebook(process)
        assert process.stdin is not None
        process.stdin.close()


def main() -> None:
    """Run the notebook's end of the connection."""
    answers, sys.stdout = sys.stdout, sys.stderr  # MLflow prints to stdout
    warnings.simplefilter("ignore")
    import mlflow  # noqa: PLC0415 - slow, and only here
    import mlflow.xgboost  # noqa: PLC0415
    import numpy  # noqa: ICN001, PLC0415
    import xgboost  # noqa: PLC0415

    client = mlflow.MlflowClient()
    rows = numpy.array([[0.0, 1.0], [1.0, 0.0]])

    def log(run: str) -> str:
        with mlflow.start_run(run_id=run):
            model = xgboost.XGBClassifier(n_estimators=2, max_depth=2).fit(rows, [0, 1])
            return str(
                mlflow.xgboost.log_model(
                    model, name="model", input_example=rows, pip_requirements=["xgboost"]
                ).model_id
            )

    def register(uri: str, name: str) -> str:
        return str(mlflow.register_model(uri, name).version)

    def load(uri: str) -> int:
        return len(mlflow.pyfunc.load_model(uri).predict(rows))

    def version(name: str, number: str) -> dict[str, Any]:
        found = client.get_model_version(name, number)
        return {
            "source": found.source,
            "run": found.run_id,
            "aliases": list(found.aliases),
            "stage": found.current_stage,
            "tags": found.tags,
        }

    def resolve(name: str, form: str) -> str:
        found = (
            client.get_model_version_by_alias(name, form[1:])
            if form.startswith("@")
            else client.get_latest_versions(name, [form])[0]
        )
        return str(found.version)

    serve(
        {"log": log, "register": register, "load": load, "version": version, "resolve": resolve},
        answers,
    )


def serve(actions: Mapping[str, Callable[..., Any]], answers: TextIO) -> None:
    """Answer until the input ends."""
    for line in sys.stdin:
        name, *arguments = json.loads(line)
        try:
            answer: dict[str, Any] = {"result": actions[name](*arguments)}
        except Exception as error:  # noqa: BLE001 - it is reported
            answer = {"error": f"{type(error).__name__}: {error}"}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
