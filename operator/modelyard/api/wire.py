"""Names on both sides of a pod: what the operator writes into it and its programs read.

Standard library only, for pods import it. Names that only one side knows stay there (`kube.names`,
`modelyard_runtime`).
"""

__all__ = [
    "ALLOW_CODE",
    "ATTEMPT",
    "CANDIDATE_DIGEST",
    "CANDIDATE_RUN_ID",
    "CANDIDATE_STAGE",
    "CANDIDATE_URI",
    "CANDIDATE_URL",
    "CANDIDATE_VERSION",
    "CONFIG_FOLDER",
    "DATA",
    "DATASET_FOLDER",
    "DATASET_PATH",
    "DATASET_TAGS",
    "FETCH",
    "FORWARDED_HEADER",
    "GATE",
    "LATENCY_EDGES",
    "LIVE_PATH",
    "MAX_BODY",
    "METRICS_PORT",
    "MODEL",
    "MODEL_FOLDER",
    "MODEL_HEADER",
    "MODEL_NAME",
    "PARAMETERS",
    "PARAMETERS_FILE",
    "PROGRESS_METRIC",
    "READY_PATH",
    "REQUESTS_FILE",
    "REQUESTS_FOLDER",
    "RULE_FILE",
    "RULE_FOLDER",
    "RUNTIME_HEADER",
    "RUN_FILE",
    "RUN_ID",
    "SCRIPT_FOLDER",
    "SECONDS_HEADER",
    "SERVING_PORT",
    "SIGNED_BY",
    "SIGNING_FILE",
    "SIGNING_FOLDER",
    "TIMEOUT",
    "TRAFFIC_PATH",
    "TRAINER",
    "VERSION_HEADER",
    "WORKERS",
    "program",
]

# --- containers -----------------------------------------------------------------------------------
DATA = "data"
"""Init container of a training pod: fetches or makes the dataset."""
TRAINER = "trainer"
FETCH = "fetch"
"""Init container of a serving pod: fetches the model."""
MODEL = "model"
"""The model server."""
GATE = "gate"
"""The one container of a gate's pod."""


def program(name: str, *arguments: str) -> list[str]:
    """Return the command that runs one of our programs, such as `fetch`."""
    return ["python", "-m", f"modelyard_runtime.{name}", *arguments]


# --- environment ----------------------------------------------------------------------------------
RUN_ID = "MLFLOW_RUN_ID"
"""The MLflow run of the attempt."""
ATTEMPT = "MODELYARD_ATTEMPT"
"""The attempt, counted from 1."""
PARAMETERS = "MODELYARD_PARAMETERS"
"""The run's parameters: a JSON object of strings."""
DATASET_PATH = "MODELYARD_DATASET_PATH"
"""The folder that holds the dataset's file."""
MODEL_NAME = "MODELYARD_MODEL"
"""The registered model's name in MLflow, `<namespace>.<name>`."""
CANDIDATE_URI = "MODELYARD_CANDIDATE_URI"
"""Where the files of the version are that a gate judges."""
CANDIDATE_DIGEST = "MODELYARD_CANDIDATE_DIGEST"
"""Digest of its artifact tree."""
CANDIDATE_VERSION = "MODELYARD_CANDIDATE_VERSION"
"""Its name."""
CANDIDATE_RUN_ID = "MODELYARD_CANDIDATE_RUN_ID"
"""The MLflow run that it came from, where it came from one: a gate's job may log metrics to it."""
CANDIDATE_STAGE = "MODELYARD_CANDIDATE_STAGE"
"""The stage that it is to take."""
CANDIDATE_URL = "MODELYARD_CANDIDATE_URL"
"""Where a pod of it answers, and nothing else does; only where the gate asks for that."""
SIGNED_BY = "MODELYARD_SIGNED_BY"
"""`<Secret>/<key>`: what the run's model is signed with, as messages name it; absent: it is not
signed. The name says nothing of secrets: it would be masked in the pod's words."""
WORKERS = "MODELYARD_WORKERS"
"""Processes of a model server."""
MAX_BODY = "MODELYARD_MAX_REQUEST_BYTES"
"""Bytes that a request's body may have, uncompressed."""
TIMEOUT = "MODELYARD_TIMEOUT_SECONDS"
"""Seconds in which a request's body must arrive, and then those in which it must be predicted."""
ALLOW_CODE = "MODELYARD_ALLOW_CODE_MODELS"
"""`true`: models may be loaded that run code which came with them."""

# --- files ----------------------------------------------------------------------------------------
CONFIG_FOLDER = "/etc/modelyard"
RUN_FILE = "run.json"
"""In CONFIG_FOLDER: trainer, dataset and identity of the run."""
PARAMETERS_FILE = "parameters.json"
"""In CONFIG_FOLDER: the run's parameters."""
SCRIPT_FOLDER = "/etc/modelyard-script"
REQUESTS_FOLDER = "/etc/modelyard-requests"
REQUESTS_FILE = "requests.json"
"""In REQUESTS_FOLDER: what the gate `smoke` sends."""
SIGNING_FOLDER = "/etc/modelyard-signing"
SIGNING_FILE = "key.pem"
"""In SIGNING_FOLDER: the private key that a run's model is signed with."""
DATASET_FOLDER = "/modelyard/data"
MODEL_FOLDER = "/modelyard/model"
RULE_FOLDER = "/etc/modelyard-traffic"
RULE_FILE = "rule.json"
"""In RULE_FOLDER: how a serving pod splits its requests, from an annotation of the pod; empty or
not there: it answers all itself.
"""

# --- HTTP -----------------------------------------------------------------------------------------
SERVING_PORT = 8080
METRICS_PORT = 9090
"""Of a model server."""
READY_PATH = "/v2/health/ready"
LIVE_PATH = "/v2/health/live"
TRAFFIC_PATH = "/modelyard/traffic"
"""At METRICS_PORT: what a pod answered, as counters in JSON."""
LATENCY_EDGES = tuple(0.00025 * 2 ** (i / 8) for i in range(145))
"""Upper edges of the buckets in which a pod counts how long answers took, in seconds; one bucket
more has what took longer.
"""
VERSION_HEADER = "modelyard-version"
"""Header of every answer: the version that gave it."""
RUNTIME_HEADER = "modelyard-runtime"
"""Header of every answer: the identity of what serves the version."""
FORWARDED_HEADER = "modelyard-forwarded"
"""Header of a request that another pod has passed on, or whose caller wants it neither split nor
counted.
"""
SECONDS_HEADER = "modelyard-seconds"
"""Header of the answer to such a request: how long the model server took."""
MODEL_HEADER = "modelyard-model"
"""Header of every answer: the registered model's name in MLflow."""

# --- MLflow ---------------------------------------------------------------------------------------
PROGRESS_METRIC = "modelyard.progress"
"""0 to 100: how much of the training is done."""
DATASET_TAGS = "modelyard.io/dataset."
"""Prefix of a run's tags that describe its dataset."""
