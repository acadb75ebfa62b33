"""Cases of the policies on our own kinds: promote, purge, keep, runs, status."""

from __future__ import annotations

from typing import Any

from tests.chart.api import EXPERIMENTS, MODELS, RUNS, Manifest, path_of
from tests.chart.policies.row import Row, apply, create, delete, generate, json_patch, merge, put, sweep
from tests.chart.policies.world import (
    ALL_EXPERIMENTS,
    ALL_MODELS,
    ALL_RUNS,
    EMPTY,
    FRAUD,
    OTHER,
    REFERENCES,
    SPACE,
    STAGES,
    VERSIONS,
    experiment,
    model,
    training_run,
)

__all__ = ["ROWS"]

# Who may promote production of `fraud`, and who may not. The operator's own fence refuses it too.
NOT, MAY = "dora stan named unnamed gc", "fred rita gitops admin"
MODEL = {name: path_of(MODELS, SPACE, name) for name in ("cleared", "owned", "purging")}
EXPERIMENT = {name: path_of(EXPERIMENTS, SPACE, name) for name in ("kept", "purging", "aged")}
RUN = {name: path_of(RUNS, SPACE, name) for name in ("plain", "source-of-v1", "source-of-v2", "source-of-v8")}
STRANGER = {"apiVersion": "v1", "kind": "ConfigMap", "name": "made-up", "uid": "00000000-0000-0000-0000-00000000ffff"}
FREE = {
    "replicas": 3,
    "autoscaling": {"maxReplicas": 3},
    "resources": {"limits": {"memory": "2Gi"}},
    "nodeSelector": {"pool": "a"},
    "tolerations": [{"key": "a", "operator": "Exists"}],
}


def stages(**changes: Any) -> Manifest:
    return {"spec": {"stages": changes}}


def spec(**changes: Any) -> Manifest:
    return {"spec": changes}


def owners(*references: Manifest) -> Manifest:
    return {"metadata": {"ownerReferences": list(references)}}


def promoted(body: Manifest) -> None:
    body["spec"]["stages"]["production"]["version"] = "v3"


PRODUCTION = "/spec/stages/production"
V3 = stages(production={"version": "v3"})
WHOLE = {"versions": VERSIONS, "stages": STAGES | {"production": {"version": "v3", "serving": {"replicas": 2}}}}
PROMOTE = [
    # --- the version, by every verb
    Row("promote", "version by merge patch", merge(FRAUD, V3), NOT, MAY, "stage production (version) of risk/fraud"),
    Row("promote|operator-fence", "version by the operator", merge(FRAUD, V3), "op"),
    Row("promote", "version by JSON patch", json_patch(FRAUD, ("replace", f"{PRODUCTION}/version", "v3")), NOT, MAY),
    Row("promote", "version by replacement", put(FRAUD, promoted), NOT, MAY),
    Row("promote", "version by server-side apply", apply(FRAUD, model("fraud", **WHOLE)), NOT, MAY),
    Row("promote", "version not as a dry run", merge(FRAUD, V3).real(), "dora stan"),
    Row("promote", "version of another model", merge(OTHER, V3), "dora stan fred", "rita gitops admin"),
    Row("promote", "version of staging", merge(FRAUD, stages(staging={"version": "v3"})), "dora", "stan fred rita admin"),
    Row("promote", "two stages at once", merge(FRAUD, stages(staging={"version": "v3"}, production={"version": "v3"})), "dora stan", "fred rita"),
    Row("promote", "version cleared", merge(FRAUD, stages(production={"version": None})), NOT, MAY),
    Row("promote", "stage removed", json_patch(FRAUD, ("remove", PRODUCTION)), NOT, MAY),
    Row("promote", "all stages removed", merge(FRAUD, spec(stages=None)), "dora stan fred", "rita admin", "stage waiting (version)"),
    Row("promote", "model deleted", delete(FRAUD), "dora stan fred", "rita admin namespaces manager"),
    Row("promote", "models deleted as a collection", sweep(ALL_MODELS, "team=a"), "dora stan fred", "rita admin namespaces"),
    Row("promote", "model created with a version", create(ALL_MODELS, model("new", stages={"production": {"version": "v1"}})), "dora stan fred", "rita"),
    Row("promote", "name made up", generate(ALL_MODELS, model("", stages={"staging": {"version": "v1"}})), "dora fred", "stan rita"),
    Row("promote", "created by server-side apply", apply(f"{ALL_MODELS}/new", model("new", stages={"staging": {"version": "v1"}})), "dora fred", "stan"),
    # --- the other fields of a stage
    Row("promote", "attempt", merge(FRAUD, stages(production={"attempt": 1})), NOT, MAY, "(attempt)"),
    Row("promote", "attempt of a stage without a version", merge(FRAUD, stages(idle={"attempt": 1})), "dora stan fred", "rita"),
    Row("promote", "runtime of a stage", merge(FRAUD, stages(production={"serving": {"runtime": {"update": "Always"}}})), NOT, MAY, "(serving.runtime)"),
    Row("promote", "workers of a stage", merge(FRAUD, stages(production={"serving": {"runtime": {"workers": 2}}})), NOT, MAY),
    Row("promote", "runtime of an idle stage", merge(FRAUD, stages(idle={"serving": {"runtime": {"workers": 2}}})), "dora", "rita"),
    Row("promote", "replicas 0 of a held stage", merge(FRAUD, stages(production={"serving": {"replicas": 0}})), NOT, MAY, "(serving.replicas)"),
    Row("promote", "replicas 0 of what is effective", merge(MODEL["cleared"], stages(production={"serving": {"replicas": 0}})), "dora", "rita"),
    Row("promote", "replicas 0 of an idle stage", merge(FRAUD, stages(idle={"serving": {"replicas": 0}})), allowed="dora"),
    Row("promote", "free fields of serving", merge(FRAUD, stages(production={"serving": FREE})), allowed="dora stan rita"),
    Row("promote", "serving removed", json_patch(FRAUD, ("remove", f"{PRODUCTION}/serving")), allowed="dora"),
    Row("promote", "the defaults, written out", merge(FRAUD, stages(staging={"attempt": 0, "serving": {"runtime": {"workers": 1, "update": "WithPromotion"}}})), allowed="dora"),
    Row("promote", "a new stage without a version", merge(FRAUD, stages(new={"serving": FREE})), allowed="dora"),
    Row("promote", "an idle stage removed", merge(FRAUD, stages(idle=None)), allowed="dora"),
    # --- fields for every stage
    Row("promote", "drift where a stage is held", merge(FRAUD, spec(drift="Warn")), "dora stan fred", "rita admin", "drift"),
    Row("promote", "drift where one is effective", merge(MODEL["cleared"], spec(drift="Warn")), "dora", "rita"),
    Row("promote", "drift where none is", merge(EMPTY, spec(drift="Warn")), allowed="dora"),
    Row("promote", "drift, the default written out", merge(FRAUD, spec(drift="Revert")), allowed="dora"),
    # --- declarations
    Row("promote", "a declaration that is asked for is added", merge(FRAUD, spec(versions={"v9": {"runId": "x"}})), "dora stan fred", "rita", "stage waiting (versions.v9)"),
    Row("promote", "one that is asked for is removed", merge(FRAUD, spec(versions={"v1": None})), NOT, MAY, "(versions.v1)"),
    Row("promote", "one that is effective is removed", merge(FRAUD, spec(versions={"v5": None})), NOT, MAY, "(versions.v5)"),
    Row("promote", "one that staging asks for is removed", merge(FRAUD, spec(versions={"v2": None})), "dora", "stan rita"),
    Row("promote", "another one is added or removed", merge(FRAUD, spec(versions={"v3": None, "v7": {"runId": "x"}})), allowed="dora"),
    # --- owner references
    Row("promote", "a new owner", merge(FRAUD, owners(STRANGER)), "dora stan fred", "rita admin", "ownerReferences"),
    Row("promote", "a new owner by server-side apply", apply(FRAUD, model("fraud") | {"metadata": {"name": "fraud", **owners(STRANGER)["metadata"]}}), "dora", "rita"),
    Row("promote|operator-fence", "a new owner by the operator", merge(FRAUD, owners(STRANGER)), "op"),
    Row("promote", "a new owner where a version is effective", merge(MODEL["cleared"], owners(STRANGER)), "dora", "rita"),
    Row("promote", "a new owner where no stage is held", merge(EMPTY, owners(STRANGER)), allowed="dora"),
    Row("promote", "another name of an owner", merge(MODEL["owned"], owners(REFERENCES[0] | {"name": "other"}, REFERENCES[1])), "dora", "rita"),
    Row("promote", "one of two owners removed", merge(MODEL["owned"], owners(REFERENCES[0])), "dora", "rita gc"),
    Row("promote", "owners in another order, with flags", merge(MODEL["owned"], owners(REFERENCES[1] | {"blockOwnerDeletion": True}, REFERENCES[0])), allowed="dora"),
    Row("promote", "all owners removed", merge(MODEL["owned"], {"metadata": {"ownerReferences": None}}), allowed="dora"),
    # --- what is nobody's promotion
    Row("promote", "labels, annotations, description", merge(FRAUD, {"metadata": {"labels": {"a": "b"}}, "spec": {"description": "x"}}), allowed="dora"),
    Row("promote", "the finalizer", merge(FRAUD, {"metadata": {"finalizers": ["modelyard.io/external-cleanup"]}}), allowed="op dora"),
    Row("promote", "an idle model deleted", delete(EMPTY), allowed="dora stan"),
]  # fmt: skip

DELETE = spec(deletionPolicy="Delete")


def retention(**changes: Any) -> Manifest:
    return spec(retention=changes)


PURGE = [
    Row("purge", "Delete of a model", merge(EMPTY, DELETE), "dora stan fred named", "rita gitops admin", "may not set deletionPolicy: Delete (registeredmodels risk/empty)"),
    Row("purge", "Delete of an experiment", merge(EXPERIMENT["kept"], DELETE), "dora stan fred", "rita admin"),
    Row("purge|operator-fence", "Delete by the operator", merge(EMPTY, DELETE), "op"),
    Row("purge", "Delete by JSON patch", json_patch(EXPERIMENT["kept"], ("replace", "/spec/deletionPolicy", "Delete")), "dora", "rita"),
    Row("purge", "Delete by server-side apply", apply(EXPERIMENT["kept"], experiment("kept", deletionPolicy="Delete")), "dora", "rita"),
    Row("purge", "created with Delete", create(ALL_EXPERIMENTS, experiment("new", deletionPolicy="Delete")), "dora", "rita"),
    Row("purge", "a model created with Delete", generate(ALL_MODELS, model("", deletionPolicy="Delete")), "dora", "rita"),
    Row("purge", "an experiment that purges deleted", delete(EXPERIMENT["purging"]), "dora stan", "rita admin gitops namespaces manager", "with deletionPolicy: Retain it would stay"),
    Row("purge", "a model that purges deleted", delete(MODEL["purging"]), "dora stan", "rita admin namespaces manager"),
    Row("purge", "experiments deleted as a collection", sweep(ALL_EXPERIMENTS, ""), "dora", "rita"),
    Row("purge", "an owner of what purges", merge(EXPERIMENT["purging"], owners(STRANGER)), "dora", "rita", "change its ownerReferences"),
    Row("purge", "an owner, and Retain, in one request", merge(MODEL["purging"], owners(STRANGER) | spec(deletionPolicy="Retain")), "dora", "rita"),
    Row("purge", "an owner of what is kept", merge(EXPERIMENT["kept"], owners(STRANGER)), allowed="dora"),
    Row("purge", "Retain again", merge(MODEL["purging"], spec(deletionPolicy="Retain")), allowed="dora"),
    Row("purge", "the finalizer of what purges", merge(EXPERIMENT["purging"], {"metadata": {"finalizers": ["a.b/c"]}}), allowed="op"),
    *(
        Row("purge", f"runs kept for {short}", merge(EXPERIMENT["aged"], retention(runs=short)), "dora", "rita", "set retention.runs below a day")
        for short in ("0s", "0d", "000d", "23h", "1439m", "86399s", "1m", "00000000000001s")
    ),
    *(
        Row("purge", f"runs kept for {long}", merge(EXPERIMENT["aged"], retention(runs=long)), allowed="dora")
        for long in ("1d", "24h", "1440m", "86400s", "365d", "99999h", "999999999999999h", "0000000086400s")
    ),
    Row("purge", "created with a retention of seconds", create(ALL_EXPERIMENTS, experiment("new", retention={"runs": "5s"})), "dora", "rita"),
    Row("purge", "fewer of the best kept", merge(EXPERIMENT["aged"], retention(keepBest=0)), allowed="dora"),
    Row("purge", "retention removed", merge(EXPERIMENT["aged"], spec(retention=None)), allowed="dora"),
]  # fmt: skip

KEEP = [
    Row("keep", "a held model collected", delete(MODEL["owned"]), "gc", "rita admin namespaces manager", "owned holds production"),
    Row("keep", "an idle model collected", delete(EMPTY), allowed="gc"),
    Row("keep", "an experiment that purges collected", delete(EXPERIMENT["purging"]), "gc", "rita", "has deletionPolicy: Delete"),
    Row("keep", "an experiment that is kept collected", delete(EXPERIMENT["kept"]), allowed="gc dora"),
]

RUNS_ROWS = [
    Row("runs", "registers what production asks for", create(ALL_RUNS, training_run("new", "fraud/v1")), "dora stan named", "fred rita gitops admin", "stage production of fraud asks for the version that new registers"),
    Row("runs", "registers what staging asks for", create(ALL_RUNS, training_run("new", "fraud/v2")), "dora", "stan fred rita"),
    Row("runs", "registers what nothing declares and a stage asks for", create(ALL_RUNS, training_run("new", "fraud/v9")), "dora stan fred", "rita admin"),
    Row("runs", "registers so by server-side apply", apply(f"{ALL_RUNS}/new", training_run("new", "fraud/v9")), "dora", "rita"),
    Row("runs", "registers so under a name that is made up", generate(ALL_RUNS, training_run("", "fraud/v9")), "dora", "rita"),
    Row("runs", "is the run of a declared version that is asked for", delete(RUN["source-of-v1"]), "dora stan", "fred rita namespaces manager"),
    Row("runs", "registered what staging asks for, and is deleted", delete(RUN["source-of-v2"]), "dora", "stan rita gc"),
    Row("runs", "runs deleted as a collection", sweep(ALL_RUNS, ""), "dora", "rita"),
    Row("runs", "a new owner of such a run", merge(RUN["source-of-v1"], owners(STRANGER)), "dora stan", "fred rita"),
    Row("runs|operator-fence", "such a run deleted by the operator", delete(RUN["source-of-v1"]), "op"),
    Row("runs", "another change of such a run", merge(RUN["source-of-v1"], {"metadata": {"labels": {"a": "b"}}}), allowed="dora op"),
    Row("runs", "registers what no stage asks for", create(ALL_RUNS, training_run("new", "fraud/v3")), allowed="dora"),
    Row("runs", "registers under another model", create(ALL_RUNS, training_run("new", "empty/v1")), allowed="dora"),
    Row("runs", "registers nothing", create(ALL_RUNS, training_run("new")), allowed="dora"),
    Row("runs", "other runs deleted", delete(RUN["source-of-v8"]), allowed="dora"),
    Row("runs", "a new owner of another run", merge(RUN["plain"], owners(STRANGER)), allowed="dora"),
]  # fmt: skip

STATUS = {"status": {"observedGeneration": 7}}
ALL_BUT_OP = "dora stan fred rita gitops named unnamed admin gc manager"
STATUS_ROWS = [
    Row("status", f"status of {path.split('/')[-2]}", merge(f"{path}/status", STATUS), ALL_BUT_OP, "op", "Change the spec")
    for path in (FRAUD, EXPERIMENT["kept"], RUN["plain"])
] + [
    Row("status", "status by JSON patch", json_patch(f"{FRAUD}/status", ("add", "/status/summary", "x")), "rita", "op"),
    Row("status", "status by replacement", put(f"{FRAUD}/status", lambda body: body), "rita", "op"),
    Row("status", "status by server-side apply", apply(f"{FRAUD}/status", {**model("fraud"), **STATUS}), "rita", "op"),
]

ROWS = PROMOTE + PURGE + KEEP + RUNS_ROWS + STATUS_ROWS
