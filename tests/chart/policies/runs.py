"""Cases of the policy on TrainingRuns that register the version of a stage: runs."""

from __future__ import annotations

from functools import partial

from tests.chart.api import RUNS, path_of
from tests.chart.policies.objects import (
    ALL_RUNS,
    SPACE,
    training_run,
)
from tests.chart.policies.patches import (
    RUN,
    STRANGER,
    owners,
)
from tests.chart.policies.row import (
    Row,
    apply,
    create,
    delete,
    generate,
    merge,
    sweep,
)

__all__ = ["ROWS"]

runs = partial(Row, "runs")
LATE = {
    name: path_of(RUNS, SPACE, name)
    for name in ("late-for-v2", "late-for-v9", "first-for-v9", "failed", "failed-holder")
}

ROWS = [
    runs("registers what production asks for", create(ALL_RUNS, training_run("new", "fraud/v1")),
        "dora stan named", "fred rita gitops admin",
        "stage production of fraud requests the version that new registers: "),
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
