"""RegisteredModel: register versions, promote them to stages, and serve each stage.

Everything here is pure except `observe`, `sources` and `evidence`, which read Kubernetes, MLflow
and S3. Writing belongs in `engine` and `adapters`, and rules that pods or clients share in `api`.

In reading order:

    decide        the decision about a model, its finalizer, and errors
    syncing       the next change in MLflow, the condition Synced, drift
    in_sync       whether nothing is in progress for a model when the operator starts
    stages        the decisions about all stages, within the capacity of the history
    stage         the decision about one stage; `decision` has the class of its result
    changing      the decision about a stage with a promotion to carry out
    promotion     a promotion as a list of steps; a new rule becomes a step there
    step          one step, and how a candidate is rejected or dropped
    view          the input of the decision about a stage: `facts`, and properties derived from them

Steps of a promotion:

    checks        `from`, `gates` and `approval`; `cycles` finds stages that wait for one another
    freezes       `freeze`
    dry_run       `plan`; `plans` computes status.plan
    trial         `trial`: gates that need pods
    rollout       `rollout`: a growing share of the requests; `ramp` has its arithmetic, `split`
                  the rule by which pods split requests
    shown         the steps as the status shows them
    gates         one module per kind of gate

Which version a stage should have:

    newest        the version that `autoPromote` chooses
    overrides     the version of an override
    rejections    which rejection is in force
    watch         the watch after a switch, which may roll a version back
    window        until when the version displaced last may return at once
    warm          which displaced versions keep their pods until then

Judging a version that receives requests:

    judged        the analysis of a rollout: `judgement` (the verdict), `counted` (one interval of a
                  metric), `progress` (the stored state), `sequential` (the test of failure rates)
    verification  asks the gates again about the effective version

Objects of a stage:

    serving       which objects a stage lacks, and which to delete
    build         builds these objects; `template` builds their pods
    kept          reads which version a pod template serves
    pods          the state of a version's pods

Versions, MLflow and the status:

    versions      the status of each version, and which one is registered next
    version_tags  the tags that a version has in MLflow
    rebuilt       the versions of a lost status, rebuilt from those tags
    declarations  the declared versions, and which declaration owns a name
    held          the stages that each version holds or has held
    registry      which changes MLflow needs
    restored      rebuilds a lost status
    neighbours    stages of other models with the same Service name
    conditions    the conditions, derived from blockers
    history       entries of the history; `cloud_events` makes CloudEvents of them
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
from modelyard.registered_model.cloud_events import cloud_events
from modelyard.registered_model.decide import decider, finalize, on_error
from modelyard.registered_model.in_sync import in_sync_with
from modelyard.registered_model.observation import Observation
from modelyard.registered_model.observe import observe

__all__ = ["controller"]

_READS_LAST = timedelta(seconds=15)


def _models_of_run(run: Manifest, cluster: Cluster) -> Iterable[str]:
    """Return the models to reconcile when a TrainingRun is new, finished or being deleted.

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
    """Return the model to reconcile for an approval: one of its stages may wait for it."""
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
        cloud_events=cloud_events,
    )
