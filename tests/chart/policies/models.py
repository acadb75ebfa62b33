"""Cases of the policies on our own kinds: promote, purge, keep, runs, status."""

from __future__ import annotations

from functools import partial
from typing import Any

from tests.chart.api import EXPERIMENTS, MODELS, RUNS, Manifest, path_of
from tests.chart.policies.row import (
    Row,
    apply,
    create,
    delete,
    generate,
    json_patch,
    merge,
    put,
    sweep,
)
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
promote, override, purge, keep, runs, status = (
    partial(Row, policy) for policy in ("promote", "override", "purge", "keep", "runs", "status")
)
NOT, MAY = "dora stan named unnamed gc", "fred rita gitops admin"
MODEL = {
    name: path_of(MODELS, SPACE, name)
    for name in (
        "cleared",
        "owned",
        "purging",
        "overridden",
        "frozen",
        "planned",
        "automatic",
        "guarded",
    )
}
EXPERIMENT = {name: path_of(EXPERIMENTS, SPACE, name) for name in ("kept", "purging", "aged")}
RUN = {
    name: path_of(RUNS, SPACE, name)
    for name in (
        "plain",
        "source-of-v1",
        "source-of-v2",
        "source-of-v8",
        "purging",
        *(f"trained-v{n}" for n in range(1, 5)),
    )
}
LATE = {
    name: path_of(RUNS, SPACE, name)
    for name in ("late-for-v2", "late-for-v9", "first-for-v9", "failed", "failed-holder")
}
WEEKEND = {"schedule": "0 18 * * 5", "duration": "62h", "reason": "weekend"}
STRANGER = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "name": "made-up",
    "uid": "00000000-0000-0000-0000-00000000ffff",
}
NEWEST: Manifest = {"autoPromote": {"from": "newest"}}
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
WHOLE = {
    "versions": VERSIONS,
    "stages": STAGES | {"production": {"version": "v3", "serving": {"replicas": 2}}},
}
PROMOTE = [
    # --- the version, by every verb
    promote("version by merge patch", merge(FRAUD, V3), NOT, MAY,
        "stage production (version) of risk/fraud: it needs the verb promote on "
        "registeredmodels/production in group modelyard.io"),
    Row("promote|operator-fence", "version by the operator", merge(FRAUD, V3), "op"),
    promote("version by JSON patch", json_patch(FRAUD, ("replace", f"{PRODUCTION}/version", "v3")),
        NOT, MAY),
    promote("version by replacement", put(FRAUD, promoted), NOT, MAY),
    promote("version by server-side apply", apply(FRAUD, model("fraud", **WHOLE)), NOT, MAY),
    promote("version not as a dry run", merge(FRAUD, V3).real(), "dora stan"),
    promote("version of another model", merge(OTHER, V3), "dora stan fred", "rita gitops admin"),
    promote("version of staging", merge(FRAUD, stages(staging={"version": "v3"})), "dora",
        "stan fred rita admin"),
    promote("two stages at once",
        merge(FRAUD, stages(staging={"version": "v3"}, production={"version": "v3"})), "dora stan",
        "fred rita", ", registeredmodels/"),
    promote("version cleared", merge(FRAUD, stages(production={"version": None})), NOT, MAY),
    promote("stage removed", json_patch(FRAUD, ("remove", PRODUCTION)), NOT, MAY),
    promote("all stages removed", merge(FRAUD, spec(stages=None)), "dora stan fred", "rita admin",
        "stage waiting (version)"),
    promote("model deleted", delete(FRAUD), "dora stan fred", "rita admin namespaces manager",
        "may not delete risk/fraud: stage "),
    promote("model deleted whose version is effective", delete(MODEL["cleared"]), "dora",
        "rita admin", "may not delete risk/cleared: stage production holds v1: it needs the verb "
        "promote on registeredmodels/production in group modelyard.io"),
    promote("models deleted as a collection", sweep(ALL_MODELS, "team=a"), "dora stan fred",
        "rita admin namespaces"),
    promote("model created with a version",
        create(ALL_MODELS, model("new", stages={"production": {"version": "v1"}})),
        "dora stan fred", "rita"),
    promote("name made up", generate(ALL_MODELS, model("", stages={"staging": {"version": "v1"}})),
        "dora fred", "stan rita"),
    promote("created by server-side apply",
        apply(f"{ALL_MODELS}/new", model("new", stages={"staging": {"version": "v1"}})),
        "dora fred", "stan"),
    # --- the other fields of a stage
    promote("attempt", merge(FRAUD, stages(production={"attempt": 1})), NOT, MAY, "(attempt)"),
    promote("attempt of a stage without a version", merge(FRAUD, stages(idle={"attempt": 1})),
        "dora stan fred", "rita"),
    promote("autoPromote instead of the version",
        merge(FRAUD, stages(production=NEWEST | {"version": None})), NOT, MAY, "(autoPromote,"
            " version)"),
    promote("autoPromote of an idle stage", merge(FRAUD, stages(idle=NEWEST)), "dora stan fred", "rita", "(autoPromote)"),
    promote("autoPromote ended", merge(MODEL["automatic"], stages(production={"autoPromote": None})), "dora", "rita", "(autoPromote)"),
    promote("autoPromote ended by a version",
        merge(MODEL["automatic"], stages(production={"autoPromote": None, "version": "v1"})), "dora", "rita"),
    promote("a version declared that the newest may be",
        merge(MODEL["automatic"], spec(versions={"v9": {"runId": "r"}})), allowed="dora rita"),
    promote("drift where a stage takes the newest", merge(MODEL["automatic"], spec(drift="Warn")), "dora", "rita"),
    promote("replicas 0 where a stage takes the newest",
        merge(MODEL["automatic"], stages(production={"serving": {"replicas": 0}})), "dora", "rita"),
    promote("model deleted of which a stage takes the newest", delete(MODEL["automatic"]), "dora", "rita"
        " admin",
        "may not delete risk/automatic: stage production takes the newest"),
    promote("reverify", merge(FRAUD, stages(production={"reverify": {"every": "24h"}})), NOT, MAY, "(reverify)"),
    promote("automatic rollback", merge(FRAUD, stages(production={"rollback": {"automatic": {}}})), NOT, MAY, "(rollback)"),
    promote("reverify of an idle stage", merge(FRAUD, stages(idle={"reverify": {"attempt": 1}})), "dora"
        " stan fred", "rita"),
    promote("runtime of a stage",
        merge(FRAUD, stages(production={"serving": {"runtime": {"update": "Always"}}})), NOT, MAY,
        "(serving.runtime)"),
    promote("workers of a stage",
        merge(FRAUD, stages(production={"serving": {"runtime": {"workers": 2}}})), NOT, MAY),
    promote("runtime of an idle stage",
        merge(FRAUD, stages(idle={"serving": {"runtime": {"workers": 2}}})), "dora", "rita"),
    promote("replicas 0 of a held stage",
        merge(FRAUD, stages(production={"serving": {"replicas": 0}})), NOT, MAY,
        "(serving.replicas)"),
    promote("replicas 0 of what is effective",
        merge(MODEL["cleared"], stages(production={"serving": {"replicas": 0}})), "dora", "rita"),
    promote("replicas 0 of an idle stage", merge(FRAUD, stages(idle={"serving": {"replicas": 0}})),
        allowed="dora"),
    promote("free fields of serving", merge(FRAUD, stages(production={"serving": FREE})),
        allowed="dora stan rita"),
    promote("serving removed", json_patch(FRAUD, ("remove", f"{PRODUCTION}/serving")),
        allowed="dora"),
    promote("the defaults, written out",
        merge(FRAUD,
        stages(staging={"attempt": 0,
        "serving": {"runtime": {"workers": 1, "update": "WithPromotion"}}})), allowed="dora"),
    promote("a new stage without a version", merge(FRAUD, stages(new={"serving": FREE})),
        allowed="dora"),
    promote("an idle stage removed", merge(FRAUD, stages(idle=None)), allowed="dora"),
    # --- fields for every stage
    promote("drift where a stage is held", merge(FRAUD, spec(drift="Warn")), "dora stan fred",
        "rita admin", "drift"),
    promote("drift where one is effective", merge(MODEL["cleared"], spec(drift="Warn")), "dora",
        "rita"),
    promote("drift where none is", merge(EMPTY, spec(drift="Warn")), allowed="dora"),
    promote("drift, the default written out", merge(FRAUD, spec(drift="Revert")), allowed="dora"),
    promote("a freeze of all stages", merge(FRAUD, spec(freeze=[WEEKEND])), "dora stan fred",
        "rita admin", "(freeze)"),
    promote("a freeze of staging",
        merge(FRAUD, spec(freeze=[WEEKEND | {"stages": ["staging"]}])), "dora",
        "stan fred rita", "stage staging (freeze)"),
    promote("a freeze of a stage without a version",
        merge(FRAUD, spec(freeze=[WEEKEND | {"stages": ["idle"]}])), "dora stan fred", "rita"),
    promote("a freeze changed", merge(MODEL["frozen"], spec(freeze=[WEEKEND | {"reason": "x"}])),
        "dora stan", "rita admin", "(freeze)"),
    promote("a freeze taken away", merge(MODEL["frozen"], spec(freeze=None)), "dora stan",
        "rita admin", "(freeze)"),
    promote("a rollback window set", merge(FRAUD, stages(production={"rollback": {"window": "1h"}})), "dora"
        " stan", "fred"
        " rita admin",
        "may not change stage production (rollback)"),
    promote("a rollback window shortened", merge(MODEL["guarded"], stages(production={"rollback": {"window": "1m"}})), "dora"
        " stan", "rita"),
    promote("a rollback window taken away", merge(MODEL["guarded"], stages(production={"rollback": None})), "dora", "rita"
        " admin"),
    promote("a freeze that stays", merge(MODEL["frozen"], spec(description="x")), allowed="dora"),
    promote("a model of which only a freeze says something deleted", delete(MODEL["frozen"]),
        allowed="dora"),
    promote("dryRun", merge(FRAUD, spec(dryRun=True)), "dora stan fred", "rita admin", "dryRun"),
    promote("dryRun, the default written out", merge(FRAUD, spec(dryRun=False)), allowed="dora"),
    promote("dryRun where no stage has a version", merge(EMPTY, spec(dryRun=True)), "dora stan",
        "rita admin", "stage production (dryRun)"),
    promote("dryRun taken away, which carries a plan out",
        merge(MODEL["planned"], spec(dryRun=None)), "dora stan", "rita admin", "(dryRun)"),
    promote("dryRun that stays", merge(MODEL["planned"], spec(description="x")), allowed="dora"),
    promote("a model that has dryRun and no version deleted", delete(MODEL["planned"]), allowed="dora"),
    # --- declarations
    promote("a declaration that is asked for is added",
        merge(FRAUD, spec(versions={"v9": {"runId": "x"}})), "dora stan fred", "rita",
        "stage waiting (versions.v9)"),
    promote("one that is asked for is removed", merge(FRAUD, spec(versions={"v1": None})), NOT, MAY,
        "(versions.v1)"),
    Row("promote|keep-versions", "one that is effective is removed",
        merge(FRAUD, spec(versions={"v5": None})), f"{NOT} {MAY}"),
    promote("one that staging asks for is removed", merge(FRAUD, spec(versions={"v2": None})),
        "dora", "stan rita"),
    promote("another one is added or removed",
        merge(FRAUD, spec(versions={"v3": None, "v7": {"runId": "x"}})), allowed="dora"),
    # --- owner references
    promote("a new owner", merge(FRAUD, owners(STRANGER)), "dora stan fred", "rita admin",
        "ownerReferences"),
    promote("a new owner by server-side apply",
        apply(FRAUD,
        model("fraud") | {"metadata": {"name": "fraud", **owners(STRANGER)["metadata"]}}), "dora",
        "rita"),
    Row("promote|operator-fence", "a new owner by the operator", merge(FRAUD, owners(STRANGER)),
        "op"),
    promote("a new owner where a version is effective", merge(MODEL["cleared"], owners(STRANGER)),
        "dora", "rita"),
    promote("a new owner where no stage is held", merge(EMPTY, owners(STRANGER)), allowed="dora"),
    promote("another name of an owner",
        merge(MODEL["owned"], owners(REFERENCES[0] | {"name": "other"}, REFERENCES[1])), "dora",
        "rita"),
    promote("one of two owners removed", merge(MODEL["owned"], owners(REFERENCES[0])), "dora",
        "rita gc"),
    promote("owners in another order, with flags",
        merge(MODEL["owned"], owners(REFERENCES[1] | {"blockOwnerDeletion": True}, REFERENCES[0])),
        allowed="dora"),
    promote("all owners removed", merge(MODEL["owned"], {"metadata": {"ownerReferences": None}}),
        allowed="dora"),
    # --- what is nobody's promotion
    promote("labels, annotations, description",
        merge(FRAUD, {"metadata": {"labels": {"a": "b"}}, "spec": {"description": "x"}}),
        allowed="dora"),
    promote("the finalizer",
        merge(FRAUD, {"metadata": {"finalizers": ["modelyard.io/external-cleanup"]}}),
        allowed="op dora"),
    promote("an idle model deleted", delete(EMPTY), allowed="dora stan"),
]  # fmt: skip

DELETE = spec(deletionPolicy="Delete")


def retention(**changes: Any) -> Manifest:
    return spec(retention=changes)


BREAK_GLASS = {"version": "v3", "reason": "incident 4711", "until": "2030-01-01T00:00:00Z"}
NOT_OLGA = "dora stan fred rita gitops named unnamed gc"
OVERRIDE = [
    override(
        "override set",
        merge(FRAUD, stages(production={"override": BREAK_GLASS})),
        NOT_OLGA,
        "olga admin",
        "may not change the override of stage production of risk/fraud: it needs the verb override"
        " on registeredmodels/production in group modelyard.io",
    ),
    override(
        "override of another stage",
        merge(FRAUD, stages(staging={"override": BREAK_GLASS})),
        "olga rita",
        "admin",
    ),
    override(
        "override of a stage without a version",
        merge(FRAUD, stages(idle={"override": BREAK_GLASS})),
        "olga rita",
        "admin",
    ),
    override(
        "override of two stages",
        merge(
            FRAUD, stages(staging={"override": BREAK_GLASS}, production={"override": BREAK_GLASS})
        ),
        "olga rita",
        "admin",
    ),
    override(
        "override by replacement",
        put(FRAUD, lambda body: body["spec"]["stages"]["production"].update(override=BREAK_GLASS)),
        "rita",
        "olga",
    ),
    override(
        "override in a new model",
        create(ALL_MODELS, model("new", stages={"production": {"override": BREAK_GLASS}})),
        "rita",
        "olga",
    ),
    override(
        "override prolonged",
        merge(
            MODEL["overridden"], stages(production={"override": {"until": "2031-01-01T00:00:00Z"}})
        ),
        "rita",
        "olga",
    ),
    override(
        "override removed",
        merge(MODEL["overridden"], stages(production={"override": None})),
        "rita",
        "olga",
    ),
    override(
        "override removed with its stage",
        merge(MODEL["overridden"], stages(production=None)),
        "rita",
        "olga",
    ),
    override(
        "override left alone",
        merge(MODEL["overridden"], stages(production={"serving": FREE})),
        allowed="dora rita olga",
    ),
    override(
        "null for none", merge(FRAUD, stages(production={"override": None})), allowed="dora rita"
    ),
]

PURGE = [
    purge("Delete of a model", merge(EMPTY, DELETE), "dora stan fred named", "rita gitops admin",
        "may not set deletionPolicy: Delete (registeredmodels risk/empty)"),
    purge("Delete of an experiment", merge(EXPERIMENT["kept"], DELETE), "dora stan fred",
        "rita admin"),
    Row("purge|operator-fence", "Delete by the operator", merge(EMPTY, DELETE), "op"),
    purge("Delete by JSON patch",
        json_patch(EXPERIMENT["kept"], ("replace", "/spec/deletionPolicy", "Delete")), "dora",
        "rita"),
    purge("Delete by server-side apply",
        apply(EXPERIMENT["kept"], experiment("kept", deletionPolicy="Delete")), "dora", "rita"),
    purge("created with Delete",
        create(ALL_EXPERIMENTS, experiment("new", deletionPolicy="Delete")), "dora", "rita"),
    purge("a model created with Delete", generate(ALL_MODELS, model("", deletionPolicy="Delete")),
        "dora", "rita"),
    purge("an experiment that purges deleted", delete(EXPERIMENT["purging"]), "dora stan",
        "rita admin gitops namespaces manager", "with deletionPolicy: Retain it would stay"),
    purge("a model that purges deleted", delete(MODEL["purging"]), "dora stan",
        "rita admin namespaces manager"),
    purge("Delete of a run", merge(RUN["plain"], DELETE), "dora stan fred named",
        "rita gitops admin", "may not set deletionPolicy: Delete (trainingruns risk/plain)"),
    purge("a run created with Delete",
        create(ALL_RUNS, training_run("new") | {"spec": {"experiment": "kept",
        "trainer": {"external": {}}, **DELETE["spec"]}}), "dora", "rita"),
    purge("a run that purges deleted", delete(RUN["purging"]), "dora stan",
        "rita admin gitops namespaces manager", "the verb purge on trainingruns"),
    purge("an owner of a run that purges", merge(RUN["purging"], owners(STRANGER)), "dora", "rita",
        "change its ownerReferences"),
    purge("Retain of a run again", merge(RUN["purging"], spec(deletionPolicy="Retain")),
        allowed="dora"),
    purge("experiments deleted as a collection", sweep(ALL_EXPERIMENTS, "kept!=true"), "dora", "rita"),
    purge("an owner of what purges", merge(EXPERIMENT["purging"], owners(STRANGER)), "dora", "rita",
        "change its ownerReferences"),
    purge("an owner, and Retain, in one request",
        merge(MODEL["purging"], owners(STRANGER) | spec(deletionPolicy="Retain")), "dora", "rita"),
    purge("an owner of what is kept", merge(EXPERIMENT["kept"], owners(STRANGER)), allowed="dora"),
    purge("Retain again", merge(MODEL["purging"], spec(deletionPolicy="Retain")), allowed="dora"),
    purge("the finalizer of what purges",
        merge(EXPERIMENT["purging"], {"metadata": {"finalizers": ["a.b/c"]}}), allowed="op"),
    *(
        purge(f"runs kept for {short}", merge(EXPERIMENT["aged"], retention(runs=short)), "dora",
            "rita", "set retention.runs below a day")
        for short in ("0s", "0d", "000d", "23h", "1439m", "86399s", "1m", "00000000000001s")
    ),
    *(
        purge(f"runs kept for {long}", merge(EXPERIMENT["aged"], retention(runs=long)),
            allowed="dora")

            for long in ("1d", "24h", "1440m", "86400s", "365d", "99999h", "999999999999999h",
            "0000000086400s")
    ),
    purge("created with a retention of seconds",
        create(ALL_EXPERIMENTS, experiment("new", retention={"runs": "5s"})), "dora", "rita"),
    purge("fewer of the best kept", merge(EXPERIMENT["aged"], retention(keepBest=0)),
        allowed="dora"),
    purge("retention removed", merge(EXPERIMENT["aged"], spec(retention=None)), allowed="dora"),
]  # fmt: skip

KEEP = [
    keep(
        "a held model collected",
        delete(MODEL["owned"]),
        "gc",
        "rita admin namespaces manager",
        "owned holds production",
    ),
    keep(
        "a model collected of which a stage takes the newest",
        delete(MODEL["automatic"]),
        "gc",
        "rita admin",
        "automatic holds production",
    ),
    keep("an idle model collected", delete(EMPTY), allowed="gc"),
    keep(
        "an experiment that purges collected",
        delete(EXPERIMENT["purging"]),
        "gc",
        "rita",
        "has deletionPolicy: Delete",
    ),
    keep(
        "a run that purges collected",
        delete(RUN["purging"]),
        "gc",
        "rita",
        "has deletionPolicy: Delete",
    ),
    keep("a run that is kept collected", delete(RUN["plain"]), allowed="gc"),
    keep("an experiment that is kept collected", delete(EXPERIMENT["kept"]), allowed="gc dora"),
]

RUNS_ROWS = [
    runs("registers what production asks for", create(ALL_RUNS, training_run("new", "fraud/v1")),
        "dora stan named", "fred rita gitops admin",
        "stage production of fraud asks for the version that new registers: "),
    runs("registers what production asks for, and the refusal names the stage",
        create(ALL_RUNS, training_run("newer", "fraud/v1")), "dora", "rita",
        "needs the verb promote on registeredmodels/production in group modelyard.io"),
    runs("registers what staging asks for", create(ALL_RUNS, training_run("new", "fraud/v2")),
        "dora", "stan fred rita"),
    runs("registers what nothing declares and a stage asks for",
        create(ALL_RUNS, training_run("new", "fraud/v9")), "dora stan fred", "rita admin"),
    runs("registers so by server-side apply",
        apply(f"{ALL_RUNS}/new", training_run("new", "fraud/v9")), "dora", "rita"),
    runs("registers so under a name that is made up",
        generate(ALL_RUNS, training_run("", "fraud/v9")), "dora", "rita"),
    runs("is the run of a declared version that is asked for", delete(RUN["source-of-v1"]),
        "dora stan", "fred rita namespaces manager"),
    runs("registered what staging asks for, and is deleted", delete(RUN["source-of-v2"]), "dora",
        "stan rita gc"),
    runs("registers what another run became, and is deleted", delete(LATE["late-for-v2"]),
        allowed="dora stan"),
    runs("registers what another run holds, and is deleted", delete(LATE["late-for-v9"]),
        allowed="dora"),
    runs("holds what a stage waits for, and is deleted", delete(LATE["first-for-v9"]), "dora",
        "rita"),
    runs("failed, and is deleted", delete(LATE["failed"]), allowed="dora"),
    runs("failed, while it is what holds the name", delete(LATE["failed-holder"]), "dora", "rita"),
    runs("a new owner of a run that is late", merge(LATE["late-for-v2"], owners(STRANGER)), "dora",
        "rita"),
    runs("runs deleted as a collection", sweep(ALL_RUNS, "team=a"), "dora", "rita"),
    runs("a new owner of such a run", merge(RUN["source-of-v1"], owners(STRANGER)), "dora stan",
        "fred rita"),
    Row("runs|operator-fence", "such a run deleted by the operator", delete(RUN["source-of-v1"]),
        "op"),
    runs("another change of such a run",
        merge(RUN["source-of-v1"], {"metadata": {"labels": {"a": "b"}}}), allowed="dora op"),
    runs("registers what no stage asks for", create(ALL_RUNS, training_run("new", "fraud/v3")),
        allowed="dora"),
    runs("registers under another model", create(ALL_RUNS, training_run("new", "empty/v1")),
        allowed="dora"),
    runs("registers nothing", create(ALL_RUNS, training_run("new")), allowed="dora"),
    runs("other runs deleted", delete(RUN["source-of-v8"]), allowed="dora"),
    runs("a new owner of another run", merge(RUN["plain"], owners(STRANGER)), allowed="dora"),
]  # fmt: skip

STATUS = {"status": {"observedGeneration": 7}}
ALL_BUT_OP = "dora stan fred rita gitops named unnamed admin gc manager"
STATUS_ROWS = [
    status(
        f"status of {path.split('/')[-2]}",
        merge(f"{path}/status", STATUS),
        ALL_BUT_OP,
        "op",
        "Change the spec",
    )
    for path in (FRAUD, EXPERIMENT["kept"], RUN["plain"])
] + [
    status(
        "status by JSON patch",
        json_patch(f"{FRAUD}/status", ("add", "/status/summary", "x")),
        "rita",
        "op",
    ),
    status("status by replacement", put(f"{FRAUD}/status", lambda body: body), "rita", "op"),
    status(
        "status by server-side apply",
        apply(f"{FRAUD}/status", {**model("fraud"), **STATUS}),
        "rita",
        "op",
    ),
]

ROWS = PROMOTE + OVERRIDE + PURGE + KEEP + RUNS_ROWS + STATUS_ROWS
