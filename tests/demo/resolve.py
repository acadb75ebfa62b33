"""Resolve `models:/...` with MLflow's own client, load the model and predict. A separate program:
the client takes seconds to import.

    python -m tests.demo.resolve URI... < '{"names": [...], "rows": [[...]]}'

The connection is in the environment, as in any notebook. Prints a JSON object: for each URI the
version's number and name, and the predictions.
"""

import json
import logging
import sys
import warnings

__all__ = ["main"]


def main() -> None:
    """Load each and predict."""
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    import mlflow  # noqa: PLC0415 - after the warnings are off
    import pandas as pd  # noqa: PLC0415

    asked = json.load(sys.stdin)
    frame = pd.DataFrame(asked["rows"], columns=asked["names"])
    client, found = mlflow.MlflowClient(), {}
    for uri in sys.argv[1:]:
        name, _, rest = uri.removeprefix("models:/").partition("@" if "@" in uri else "/")
        version = (
            client.get_model_version_by_alias(name, rest)
            if "@" in uri
            else client.get_latest_versions(name, [rest])[0]
        )
        model = mlflow.pyfunc.load_model(uri)
        found[uri] = {
            "mlflow": str(version.version),
            "version": version.tags.get("modelyard.io/version"),
            "stage": version.current_stage,
            "predictions": model.predict(frame).tolist(),
        }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
