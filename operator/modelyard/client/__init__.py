"""The Python client: modelyard's custom resources as typed objects (decision 0008).

    from modelyard import Client

    client = Client(namespace="risk")
    run = client.runs.submit(
        "fraud", "fraud-3", dataset={"name": "cards"}, register=("fraud", "v3")
    ).wait()
    client.models.set_stage("fraud", "v3", "production")
    client.models.predict("fraud", [[0.1, -1.2]])

It uses the user's own kubeconfig and rights. It changes only the custom resources, and reports only
what they contain. docs/client.md shows every call. A module that says "Pure." reads fields and
returns a value or a patch. What the command line prints belongs in `modelyard.cli`; what happens to
an object is decided by the operator, not here.

In reading order:

    client          Client: one cluster, one user, one namespace
    errors          the exceptions, as a tree
    handles         Handle, an object as it was read; Listing, several of them
    experiments     client.experiments
    runs            client.runs; run_handle: a TrainingRun
      training      a TrainingRun from options
      local         a run that trains in this process; heartbeat, closing, flavors, profile
      filters       runs.list(filter=...)
      restoring     soft-deleted MLflow runs
    models          client.models; versions: a RegisteredModel and its versions
      model_methods base class of its groups of methods
      promotions    set_stage, refresh, retry, verify; refreshing, retrying, verifying: the patches
      decisions     approve, resume, abort, override; approving, aborting, overriding: the patches
      plans         plan, carry_out, take_back; planning: the checks and the patches
      loading       download, load; artifacts: the files; s3: S3
      inference     predict, url; predict: requests and answers; typed: types of the inputs
      recorded      history, verify_history
      sources       where a version comes from
    waiting         follow a model until a change is complete
    progress        is a change complete? One rule for the client and the command line
    rollouts, gates, freezing, newest, rolling_back
                    the state of a stage as text: rollout, gates, freezes, autoPromote, rollback
    whoami          the user's name, as the API server has it
    display, table, text
                    HTML for notebooks, tables for terminals, values as text
    rest, proxies, tracking, packages
                    HTTP, proxies, MLflow's own client, optional packages
    kube            a Kubernetes client
"""

from modelyard.client.client import Client
from modelyard.client.errors import (
    ClientError,
    Failed,
    Missing,
    NotAllowed,
    NotFound,
    Paused,
    Refused,
    TimedOut,
    Unreachable,
)
from modelyard.client.kube import Impersonation

__all__ = [
    "Client",
    "ClientError",
    "Failed",
    "Impersonation",
    "Missing",
    "NotAllowed",
    "NotFound",
    "Paused",
    "Refused",
    "TimedOut",
    "Unreachable",
]
