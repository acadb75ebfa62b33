"""What a custom container runs, on an image without MLflow: plain REST."""

import json
import os
import time
import urllib.request

body = {
    "run_id": os.environ["MLFLOW_RUN_ID"],
    "key": "rows",
    "value": 7.0,
    "timestamp": int(time.time() * 1000),
}
request = urllib.request.Request(
    os.environ["MLFLOW_TRACKING_URI"] + "/api/2.0/mlflow/runs/log-metric",
    data=json.dumps(body).encode(),
    headers={"Content-Type": "application/json"},
)
urllib.request.urlopen(request, timeout=30).read()
