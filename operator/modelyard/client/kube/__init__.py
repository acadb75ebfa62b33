"""A Kubernetes client: objects as manifests, read, written, watched, with the user's own kubeconfig
and rights.

    kube = Kube(namespace="risk")
    kube.get("TrainingRun", "fraud-3")["status"]

In reading order:

    kube          the class that the rest of the client and the command line use
    kinds         the kinds that it knows, and where the API serves them
    identity      the user that one may act as: impersonation
    session       one connection to one API server, as one user
    answers       how a refusal of the API server becomes one of our errors
    watch         watches that resume
    forward       port-forwards to a Service's pods
    reach         addresses that pods use, as addresses that answer from here
    transport     requests through kr8s, which no other module imports
    background    the event loop on a thread of its own that they run in
    postponed     imports that wait until they are used

What our kinds mean does not belong here (`experiments`, `runs`, `models`), nor what MLflow or a
model answers.
"""

from modelyard.client.kube.identity import Impersonation
from modelyard.client.kube.kinds import Kind
from modelyard.client.kube.kube import FIELD_MANAGER, Kube, Manifest
from modelyard.client.kube.watch import Event

__all__ = ["FIELD_MANAGER", "Event", "Impersonation", "Kind", "Kube", "Manifest"]
