"""A synchronous Kubernetes client with the user's own kubeconfig and rights.

    kube = Kube(namespace="risk")
    kube.get("TrainingRun", "fraud-3")["status"]

Objects are manifests (dictionaries). What modelyard's kinds mean does not belong here
(`experiments`, `runs`, `models`), nor the content of responses of MLflow or a model.

In reading order:

    kube          Kube, for the rest of the client and the command line: logs, rights, forwards
      reading     its methods get, list, watch, states, until
      writing     its methods create, apply, patch, delete
    kinds         the kinds that it knows, with their API group and plural
    identity      Impersonation: acting as another user
    session       one connection to one API server, as one user
    answers       a refusal of the API server as an exception of the client
    watch         watches that resume
    forward       port-forwards to a Service's pods
    reach         addresses that pods use, as addresses that this machine reaches
    transport     requests through kr8s, which no other module imports
    background    the thread with the event loop that requests run in
    postponed     imports that are loaded on first use
"""

from modelyard.client.kube.identity import Impersonation
from modelyard.client.kube.kinds import Kind
from modelyard.client.kube.kube import FIELD_MANAGER, Kube, Manifest
from modelyard.client.kube.watch import Event

__all__ = ["FIELD_MANAGER", "Event", "Impersonation", "Kind", "Kube", "Manifest"]
