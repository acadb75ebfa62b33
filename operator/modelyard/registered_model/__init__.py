"""RegisteredModel, the kind. It imports no other kind.

To read in this order:

    decide          the whole decision, about the model
    stage           the decision about one stage
    promotion       a promotion as a list of steps: a new rule goes there
    shown           the same as the status shows it
    checks, trial   its steps that ask gates: at once, and by Jobs
    step            one step of a promotion, and what it leaves in the status when it rejects
    newest          which version a stage takes by itself
    rollout, ramp   its step that gives the candidate a share of the requests, and the arithmetic of that
    judged          what the analysis says of the candidate meanwhile
    overrides       which version an override puts there, and what is said when it has ended
    freezes         its step that waits for the end of a freeze
    dry_run, plans  its step that waits for people to have seen what it would do, and what it would do
    circles         stages that wait for one another
    gates           one module a kind of gate; `tries` reads the Jobs that ask some of them
    verification    what serves, asked again
    sequential      the test of failure rates, which may be looked at as often as one likes
    counted, progress, judgement   what an interval counts for a metric; what is kept of all; what is said of the candidate
    watch           what serves after a switch, and when it is rejected for that
    window, warm    until when the version displaced last comes back at once, and which pods stay for it
    view            what all of these look at
    rejections      which rejection is in force
    serving, build  which objects serve a stage, and how they look
    kept            which version a pod template serves
    pods            how pods stand
    versions        what is recorded of versions
    held            which stages they hold or have held
    restored        the same, rebuilt after the status was lost
    registry        what MLflow lacks of it
    neighbours      which stage has an address that another model has
    conditions, history
    announced       what other systems are told of the history
    record          the history as a chain of objects in S3
    stages          the decisions about all stages, within the places that the history has
    declarations, observation, observe, sources, evidence   what is read, and from where (the last three do I/O)
"""

from collections.abc import Iterable
from datetime import timedelta

from modelyard.api.registered_model import RegisteredModel, RegisteredModelStatus
from modelyard.controller import Controller, Relation
from modelyard.kube.pods import Runtime
from modelyard.plan import Manifest
from modelyard.ports import Cluster
from modelyard.registered_model import history
from modelyard.registered_model.announced import announced
from modelyard.registered_model.decide import decider, finalize, in_sync_with, on_error
from modelyard.registered_model.observation import Observation
from modelyard.registered_model.observe import observe

__all__ = ["controller"]

_READS_LAST = timedelta(seconds=15)


def _models_of_run(run: Manifest, cluster: Cluster) -> Iterable[str]:
    """Return the model that a run registers with, and those that name it: when it is new, when
    it has ended, and when it goes.
    """
    meta, status = run["metadata"], run.get("status") or {}
    if status.get("attempt") and not (
        status.get("completionTime") or meta.get("deletionTimestamp")
    ):
        return
    registers = (run["spec"].get("register") or {}).get("model")
    if registers:
        yield registers
    for model in cluster.select("registeredmodels", meta["namespace"]):
        versions = (model["spec"].get("versions") or {}).values()
        if any(version.get("trainingRun") == meta["name"] for version in versions):
            yield model["metadata"]["name"]


def _model_of_approval(approval: Manifest, _cluster: Cluster) -> Iterable[str]:
    """Return the model that an approval names: it may be what a stage waits for."""
    yield approval["spec"]["model"]


def controller(runtime: Runtime) -> Controller[RegisteredModel, Observation, RegisteredModelStatus]:
    """Return the kind as the engine runs it."""
    return Controller(
        resource=RegisteredModel,
        observe=observe,
        decide=decider(runtime),
        finalize=finalize,
        on_error=on_error,
        in_sync=in_sync_with(runtime),
        relations=(
            Relation("trainingruns", _models_of_run),
            Relation("modelapprovals", _model_of_approval),
        ),
        survives_refusals=True,
        reads_last=_READS_LAST,
        finished=history.finished,
        announced=announced,
    )
