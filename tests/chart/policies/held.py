"""Cases of the policies that keep what stages use: keep-versions, keep-runs."""

from __future__ import annotations

from tests.chart.api import EXPERIMENTS, MODELS, RUNS, Manifest, path_of
from tests.chart.policies.objects import FRAUD, SPACE
from tests.chart.policies.row import Row, delete, merge, put

__all__ = ["ROWS"]

GUARDED = path_of(MODELS, SPACE, "guarded")
EXPERIMENT = {
    name: path_of(EXPERIMENTS, SPACE, name) for name in ("purging", "sources", "retained")
}
RUN = {
    name: path_of(RUNS, SPACE, name)
    for name in ("plain", "trained-v1", "trained-v2", "trained-v3", "trained-v4")
}


def stages(**changes: object) -> Manifest:
    return {"spec": {"stages": changes}}


def spec(**changes: object) -> Manifest:
    return {"spec": changes}


def declares(*gone: str) -> Manifest:
    return spec(versions=dict.fromkeys(gone))


def without_v1(body: Manifest) -> None:
    del body["spec"]["versions"]["v1"]


UNTIL = "production keeps v1 for a rollback until 2030-01-01T00:00:00Z"
KEEP_VERSIONS = [
    Row(
        "keep-versions",
        f"the declaration of {version} is removed",
        merge(GUARDED, declares(version)),
        "rita admin gitops",
        says=says,
    )
    for version, says in (
        ("v1", UNTIL),
        ("v2", "production is at v2"),
        ("v3", "staging is promoting v3"),
        ("v4", "staging is at v4"),
        ("v5", "live keeps v5 for a rollback until 2030-01-01T00:00:00Z"),
    )
] + [
    Row(
        "keep-versions",
        "all of them with their stages",
        merge(GUARDED, spec(versions=None, stages=None)),
        "rita admin",
        says="staging is promoting v3",  # the order of stages is CEL's
    ),
    Row(
        "promote|keep-versions",
        "a declaration by replacement",
        put(GUARDED, without_v1),
        "dora",
    ),
    Row(
        "keep-versions",
        "one is declared",
        merge(GUARDED, spec(versions={"v7": {"runId": "x"}})),
        allowed="rita dora",
    ),
    Row(
        "keep-versions",
        "one that no stage has is removed",
        merge(FRAUD, declares("v3")),
        allowed="rita dora",
    ),
    Row(
        "keep-versions",
        "a stage is cleared",
        merge(GUARDED, stages(production=None)),
        allowed="rita",
    ),
]
EVERYBODY = "rita admin gitops gc"
KEEP_RUNS = [
    Row(
        "keep-runs",
        "the run of what is warm is deleted",
        delete(RUN["trained-v1"]),
        EVERYBODY,
        "namespaces manager",
        f"trained-v1 cannot be deleted: of guarded {UNTIL}, which it trained",
    ),
    Row(
        "keep-runs|runs",
        "the run of what is effective is deleted",
        delete(RUN["trained-v2"]),
        f"{EVERYBODY} dora",
        "namespaces manager",
    ),
    Row(
        "keep-runs|runs",
        "the run of a candidate is deleted",
        delete(RUN["trained-v3"]),
        f"{EVERYBODY} dora",
        "namespaces manager",
    ),
    Row(
        "keep-runs",
        "another run of the name of one is deleted",
        delete(RUN["trained-v4"]),
        allowed=f"{EVERYBODY} dora",
    ),
    Row(
        "keep-runs",
        "a run of which nothing came is deleted",
        delete(RUN["plain"]),
        allowed=f"{EVERYBODY} dora",
    ),
    Row(
        "keep-runs",
        "an experiment that purges and has what stages hold is deleted",
        delete(EXPERIMENT["sources"]),
        "rita admin gitops",
        "namespaces manager",
        "whose files it would delete",
    ),
    Row(
        "keep-runs",
        "an experiment that is retained is deleted",
        delete(EXPERIMENT["retained"]),
        allowed="rita gc",
    ),
    Row(
        "keep-runs",
        "an experiment that purges and has nothing of them is deleted",
        delete(EXPERIMENT["purging"]),
        allowed="rita",
    ),
]

ROWS = [*KEEP_VERSIONS, *KEEP_RUNS]
