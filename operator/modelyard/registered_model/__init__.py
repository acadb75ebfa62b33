"""RegisteredModel: register versions, promote them to stages, and serve each stage.

Everything here is pure but `observe`, `sources` and `evidence`, which read the world. Writing to it
does not belong here (`engine`, `adapters`), nor do rules that pods or clients share (`api`).

To read in this order:

    decide        the decision about a model, its finalizer, and errors
    syncing       the next change in MLflow, the condition Synced, drift
    in_sync       whether nothing is in progress when the operator starts
    stages        the decisions about all stages, within the capacity of the history
    stage         the decision about one stage; `decision` has its result
    changing      the same while a promotion is wanted or in progress
    promotion     a promotion as a list of steps: a new rule is a step there
    step          one step, and how a candidate is rejected or dropped
    view          what the decision about a stage reads: `facts` and what follows from them

Steps of a promotion:

    checks        `from`, `gates` and `approval`; `cycles` finds stages that wait for one another
    freezes       `freeze`
    dry_run       `plan`; `plans` computes status.plan
    trial         `trial`: gates that need pods
    rollout       `rollout`: a growing share of the requests; `ramp` has its arithmetic, `split`
                  the rule by which pods split requests
    shown         the steps as the status shows them
    gates         one module per kind of gate

What decides which version a stage should have:

    newest        the version that `autoPromote` chooses
    overrides     the version of an override
    rejections    the rejection that is in force
    watch         the watch after a switch, which may roll a version back
    window        until when the version displaced last may return at once
    warm          which displaced versions keep their pods until then

Judging while and after a version serves:

    judged        the analysis of a rollout: judgement (the verdict), counted (an interval of a
                  metric), progress (what is kept of all), sequential (the test of failure rates)
    verification  the gates asked again about the effective version

Objects of a stage:

    serving       which objects a stage lacks, and which to delete
    build         how they look; `template` builds their pods
    kept          which version a pod template serves
    pods          the state of a version's pods

Versions, MLflow and the status:

    versions      the status of each version, and which one is registered next
    version_tags  the tags that a version has in MLflow
    rebuilt       the versions of a lost status, rebuilt from those tags
    declarations  the declared versions, and which declaration owns a name
    held          the stages that each version holds or has held
    registry      which changes MLflow needs
    restored      a lost status
    neighbours    other models with the address of a stage
    conditions    the conditions, derived from blockers
    history       entries of the history; `announced` makes CloudEvents of them
    record        the history as a chain of objects in S3

Input of the decision:

    observation   the frozen values
    observe, sources, evidence   the reads of Kubernetes, MLflow and S3 (I/O)
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
from modelyard.registered_model.decide import decider, finalize, on_error
from modelyard.registered_model.in_sync import in_sync_with
from modelyard.registered_model.observation import Observation
from modelyard.registered_model.observe import observe

__all__ = ["controller"]

_READS_LAST = timedelta(seconds=15)


def _models_of_run(run: Manifest, cluster: Cluster) -> Iterable[str]:
    """Return the models that a TrainingRun concerns, if it is new, finished or being deleted.

    These are the model that it registers with, and the models that name it.
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
    """Return the model that an approval names: one of its stages may wait for it."""
    yield approval["spec"]["model"]


def controller(runtime: Runtime) -> Controller[RegisteredModel, Observation, RegisteredModelStatus]:
    """Return the controller of RegisteredModels."""
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
        reads_valid_for=_READS_LAST,
        finished=history.finished,
        announced=announced,
    )
