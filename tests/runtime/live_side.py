"""Metrics as a trainer logs them, in a separate process because it imports MLflow. Run as a
program:

python -m tests.runtime.live_side <uri>     logs into a new run,
    two metrics of which MLflow refuses, and prints what it has
"""

import json
import sys

import mlflow

from modelyard_runtime.live import LiveMetrics

STEPS = 500


def main(uri: str) -> None:
    client = mlflow.MlflowClient(uri)
    run = client.create_run("0").info.run_id
    with LiveMetrics(client, run) as metrics:
        for step in range(STEPS):
            metrics.add({"loss": 1 / (step + 1), "no@name": 1.0, "../up": 2.0, "rate": 0.5}, step)
        metrics.progress(50, STEPS)
    found = client.get_run(run).data.metrics
    print(
        json.dumps(
            [
                sorted(found),
                *(len(client.get_metric_history(run, name)) for name in ("loss", "rate")),
            ]
        )
    )


if __name__ == "__main__":
    main(sys.argv[1])
