"""Cases of the policies on deletion: purge and keep."""

from __future__ import annotations

from functools import partial
from typing import Any

from tests.chart.api import Manifest
from tests.chart.policies.objects import (
    ALL_EXPERIMENTS,
    ALL_MODELS,
    ALL_RUNS,
    EMPTY,
    experiment,
    model,
    training_run,
)
from tests.chart.policies.patches import (
    EXPERIMENT,
    MODEL,
    RUN,
    STRANGER,
    owners,
    spec,
)
from tests.chart.policies.row import (
    Row,
    apply,
    create,
    delete,
    generate,
    json_patch,
    merge,
    sweep,
)

__all__ = ["ROWS"]

purge, keep = (partial(Row, policy) for policy in ("purge", "keep"))
DELETE = spec(deletionPolicy="Delete")


def retention(**changes: Any) -> Manifest:
    return spec(retention=changes)


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
        "rita admin gitops namespaces manager",
            "with deletionPolicy: Retain the data would be kept"),
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
    purge("experiments deleted as a collection", sweep(ALL_EXPERIMENTS, "kept!=true"), "dora",
        "rita"),
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
        "owned has versions for production",
    ),
    keep(
        "a model collected of which a stage takes the newest",
        delete(MODEL["automatic"]),
        "gc",
        "rita admin",
        "automatic has versions for production",
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

ROWS = PURGE + KEEP
