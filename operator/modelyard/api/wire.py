"""Names that the operator and the programs in pods share: containers, variables, files, headers.

Standard library only, because pods import it. Names that only one side uses are in `kube.names` or
`modelyard_runtime`.
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
"""Init container of a training pod: fetches or generates the dataset."""
TRAINER = "trainer"
FETCH = "fetch"
"""Init container of a serving pod: fetches the model."""
MODEL = "model"
"""The model server."""
GATE = "gate"
"""The only container of a gate's pod."""


def program(name: str, *arguments: str) -> list[str]:
    """Return the command that runs one of modelyard's programs, such as `fetch`."""
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
"""URI of the files of the version that a gate judges."""
CANDIDATE_DIGEST = "MODELYARD_CANDIDATE_DIGEST"
"""Digest of its artifact tree."""
CANDIDATE_VERSION = "MODELYARD_CANDIDATE_VERSION"
"""Its name."""
CANDIDATE_RUN_ID = "MODELYARD_CANDIDATE_RUN_ID"
"""The MLflow run that it came from, if any: a gate's job may log metrics to it."""
CANDIDATE_STAGE = "MODELYARD_CANDIDATE_STAGE"
"""The stage to which it is to be promoted."""
CANDIDATE_URL = "MODELYARD_CANDIDATE_URL"
"""URL of a pod of this version only; set if the gate asks for one."""
SIGNED_BY = "MODELYARD_SIGNED_BY"
"""`<Secret>/<key>` of the key that signs the run's model, for messages; absent: it is not signed.
The variable's name does not mention secrets, because its value would then be masked in the pod's
messages.
"""
WORKERS = "MODELYARD_WORKERS"
"""Number of processes of a model server."""
MAX_BODY = "MODELYARD_MAX_REQUEST_BYTES"
"""Largest uncompressed body of a request, in bytes."""
TIMEOUT = "MODELYARD_TIMEOUT_SECONDS"
"""Time limit in seconds for receiving a request's body, and again for its prediction."""
ALLOW_CODE = "MODELYARD_ALLOW_CODE_MODELS"
"""`true`: models that run their own code may be loaded."""

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
"""In RULE_FOLDER: the pod's traffic rule, from its annotation; empty or missing: it answers all
requests itself.
"""

# --- HTTP -----------------------------------------------------------------------------------------
SERVING_PORT = 8080
METRICS_PORT = 9090
"""Port of a model server's metrics."""
READY_PATH = "/v2/health/ready"
LIVE_PATH = "/v2/health/live"
TRAFFIC_PATH = "/modelyard/traffic"
"""At METRICS_PORT: counters of the pod's answers, as JSON."""
LATENCY_EDGES = tuple(0.00025 * 2 ** (i / 8) for i in range(145))
"""Upper edges of the latency buckets of a pod, in seconds; one more bucket counts longer answers.
"""
VERSION_HEADER = "modelyard-version"
"""Header of every answer: the version that gave it."""
RUNTIME_HEADER = "modelyard-runtime"
"""Header of every answer: the identity of the version's serving objects."""
FORWARDED_HEADER = "modelyard-forwarded"
"""Header of a request that another pod forwarded, or that should be neither split nor counted."""
SECONDS_HEADER = "modelyard-seconds"
"""Header of the answer to such a request: the model server's time."""
MODEL_HEADER = "modelyard-model"
"""Header of every answer: the registered model's name in MLflow."""

# --- MLflow ---------------------------------------------------------------------------------------
PROGRESS_METRIC = "modelyard.progress"
"""0 to 100: how much of the training is done."""
DATASET_TAGS = "modelyard.io/dataset."
"""Prefix of a run's tags that describe its dataset."""
