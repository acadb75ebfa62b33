"""Says how far it is and then waits for the tag `go` on its run: a test decides when it ends. It
speaks REST, which imports in no time.
"""

import json
import os
import time
import urllib.request
from typing import Any

URL, RUN = os.environ["MLFLOW_TRACKING_URI"], os.environ["MLFLOW_RUN_ID"]


def ask(path: str, body: dict[str, object] | None = None) -> Any:
    """Ask MLflow."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(
        f"{URL}/api/2.0/mlflow/{path}", data=data, headers={"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


for key, value in (("modelyard.progress", 40.0), ("loss", 0.25)):
    ask(
        "runs/log-metric",
        {
            "run_id": RUN,
            "key": key,
            "value": value,
            "timestamp": int(time.time() * 1000),
            "step": 0,
        },
    )
print("waiting for the tag go", flush=True)
while "go" not in {
    tag["key"] for tag in ask(f"runs/get?run_id={RUN}")["run"]["data"].get("tags", [])
}:
    time.sleep(0.5)
