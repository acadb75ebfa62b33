"""Cases of the policies on RegisteredModels: promote and override; and of status."""

from __future__ import annotations

from functools import partial

from tests.chart.api import Manifest
from tests.chart.policies.objects import (
    ALL_MODELS,
    EMPTY,
    FRAUD,
    OTHER,
    REFERENCES,
    STAGES,
    VERSIONS,
    model,
)
from tests.chart.policies.patches import (
    EXPERIMENT,
    FREE,
    MODEL,
    RUN,
    STRANGER,
    owners,
    spec,
    stages,
)
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

__all__ = ["ROWS"]

# Accounts that may promote production of `fraud`, and accounts that may not. The operator's own
# fence refuses it too.
promote, override, status = (partial(Row, policy) for policy in ("promote", "override", "status"))
NOT, MAY = "dora stan named unnamed gc", "fred rita gitops admin"
WEEKEND = {"schedule": "0 18 * * 5", "duration": "62h", "reason": "weekend"}
NEWEST: Manifest = {"autoPromote": {"from": "newest"}}


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
        "rita admin", "may not delete risk/cleared: stage production is at v1: it needs the verb "
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
    promote("autoPromote of an idle stage", merge(FRAUD, stages(idle=NEWEST)), "dora stan fred",
        "rita", "(autoPromote)"),
    promote("autoPromote ended", merge(MODEL["automatic"],
        stages(production={"autoPromote": None})), "dora", "rita", "(autoPromote)"),
    promote("autoPromote ended by a version",
        merge(MODEL["automatic"], stages(production={"autoPromote": None, "version": "v1"})),
            "dora", "rita"),
    promote("a version declared that the newest may be",
        merge(MODEL["automatic"], spec(versions={"v9": {"runId": "r"}})), allowed="dora rita"),
    promote("drift where a stage takes the newest", merge(MODEL["automatic"], spec(drift="Warn")),
        "dora", "rita"),
    promote("replicas 0 where a stage takes the newest",
        merge(MODEL["automatic"], stages(production={"serving": {"replicas": 0}})), "dora", "rita"),
    promote("model deleted of which a stage takes the newest", delete(MODEL["automatic"]), "dora",
        "rita"
        " admin",
        "may not delete risk/automatic: stage production takes the newest version"),
    promote("reverify", merge(FRAUD, stages(production={"reverify": {"every": "24h"}})), NOT, MAY,
        "(reverify)"),
    promote("automatic rollback", merge(FRAUD, stages(production={"rollback": {"automatic": {}}})),
        NOT, MAY, "(rollback)"),
    promote("reverify of an idle stage", merge(FRAUD, stages(idle={"reverify": {"attempt": 1}})),
        "dora"
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
    promote("a rollback window set", merge(FRAUD,
        stages(production={"rollback": {"window": "1h"}})), "dora"
        " stan", "fred"
        " rita admin",
        "may not change stage production (rollback)"),
    promote("a rollback window shortened", merge(MODEL["guarded"],
        stages(production={"rollback": {"window": "1m"}})), "dora"
        " stan", "rita"),
    promote("a rollback window taken away", merge(MODEL["guarded"],
        stages(production={"rollback": None})), "dora", "rita"
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
    promote("a model that has dryRun and no version deleted", delete(MODEL["planned"]),
        allowed="dora"),
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
    # --- changes that are no promotion
    promote("labels, annotations, description",
        merge(FRAUD, {"metadata": {"labels": {"a": "b"}}, "spec": {"description": "x"}}),
        allowed="dora"),
    promote("the finalizer",
        merge(FRAUD, {"metadata": {"finalizers": ["modelyard.io/external-cleanup"]}}),
        allowed="op dora"),
    promote("an idle model deleted", delete(EMPTY), allowed="dora stan"),
]  # fmt: skip

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

STATUS = {"status": {"observedGeneration": 7}}
ALL_BUT_OP = "dora stan fred rita gitops named unnamed admin gc manager"
STATUS_ROWS = [
    status(
        f"status of {path.split('/')[-2]}",
        merge(f"{path}/status", STATUS),
        ALL_BUT_OP,
        "op",
        "Change the spec instead",
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

ROWS = PROMOTE + OVERRIDE + STATUS_ROWS
