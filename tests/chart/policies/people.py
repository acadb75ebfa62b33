"""Cases of the policies on users' names: requester and approval."""

from __future__ import annotations

from functools import partial
from typing import Any

from tests.chart.api import APPROVALS, MODELS, Manifest, path_of
from tests.chart.policies.objects import (
    ALL_APPROVALS,
    ALL_MODELS,
    ALL_RUNS,
    FRAUD,
    REFERENCES,
    SPACE,
    approval,
    model,
    training_run,
)
from tests.chart.policies.row import Row, apply, create, delete, generate, json_patch, merge, sweep

__all__ = ["ROWS"]

requester, approves, fence = (
    partial(Row, policy) for policy in ("requester", "approval", "operator-fence")
)
ASKED, BY_BOB = path_of(MODELS, SPACE, "asked"), path_of(APPROVALS, SPACE, "by-bob")
OWN_NAME = "spec.approver must be who creates the approval: write "


def asks(**stage: Any) -> Manifest:
    return {"spec": {"stages": {"production": stage}}}


def declares(**versions: Manifest) -> Manifest:
    return {"spec": {"versions": versions}}


def registers(by: str) -> Manifest:
    run = training_run("new", "fraud/v7")
    run["spec"]["register"]["registeredBy"] = by
    return run


REQUESTER = [
    requester("a version with a name", merge(FRAUD, asks(version="v3", requestedBy="rita")),
        "fred admin", "rita gitops", "requestedBy must be the user who changes the stage: write "),
    requester("a version without a name", merge(FRAUD, asks(version="v3")), allowed="fred rita"
        " gitops"),
    requester("a version by JSON patch",
        json_patch(FRAUD, ("add", "/spec/stages/production/requestedBy", "rita")), "fred", "rita"),
    requester("a version beside a name that stands there", merge(ASKED, asks(version="v3")),
        "admin", "rita"
        " gitops"),
    requester("another's name", merge(ASKED, asks(requestedBy="olga")), "rita admin", "gitops"),
    requester("one's own name, which takes the request over", merge(ASKED,
        asks(requestedBy="root")), "rita", "admin"),
    requester("the name removed", merge(ASKED, asks(requestedBy=None)), "rita admin", "gitops",
        "requestedBy cannot be removed while the version stays"),
    requester("the stage cleared", merge(ASKED, asks(version=None, requestedBy=None)),
        allowed="rita"
        " admin"),
    requester("what the name does not speak of", merge(ASKED, asks(attempt=1)), allowed="rita"
        " admin"),
    requester("a model created",
        create(ALL_MODELS, model("new", stages={"production": {"version": "v1",
            "requestedBy": "rita"}})),
        "admin", "rita gitops"),
    requester("a version declared", merge(FRAUD, declares(v7={"runId": "r7",
        "registeredBy": "dora"})),
        "fred rita", "dora gitops",
            "registeredBy must be the user who declares the version: write "),
    requester("a version declared without a name", merge(FRAUD, declares(v7={"runId": "r7"})),
        allowed="fred"
        " dora"),
    requester("a TrainingRun that registers", create(ALL_RUNS, registers("dora")), "fred"
        " rita", "dora"
        " gitops",
        "registeredBy must be the user who declares the version: write "),
    requester("a TrainingRun that registers, by apply", apply(f"{ALL_RUNS}/new", registers("dora")),
        "fred", "dora"),
]  # fmt: skip
APPROVAL = [
    approves("in a name", create(ALL_APPROVALS, approval("new", "bob")),
        "dora carla rita gitops admin op ci", "bob", OWN_NAME),
    approves("in a name, as a rejection", create(ALL_APPROVALS, approval("new", "bob",
        decision="Reject")),
        "dora carla op", "bob", OWN_NAME),
    approves("in a name, by server-side apply", apply(f"{ALL_APPROVALS}/new", approval("new",
        "bob")), "dora", "bob"),
    approves("in a name, its own made up", generate(ALL_APPROVALS, approval("", "bob")), "dora",
        "bob"),
    approves("not as a dry run", create(ALL_APPROVALS, approval("new", "bob")).real(), "dora"
        " carla"),
    approves("without the verb", create(ALL_APPROVALS, approval("new", "dora")), "dora",
        says="dora may not approve v3 for stage production of risk/fraud: it needs the verb"
            " approve on registeredmodels/production in group modelyard.io"),
    approves("with the verb promote for the stage", create(ALL_APPROVALS, approval("new", "fred")),
        "fred"),
    approves("with the verb override", create(ALL_APPROVALS, approval("new", "olga")), "olga"),
    approves("a rejection without the verb", create(ALL_APPROVALS, approval("new", "dora",
        decision="Reject")), "dora",
        says="dora may not reject v3 for stage production"),
    approves("by an approver", create(ALL_APPROVALS, approval("new", "anna")), allowed="anna"),
    approves("by a release manager", create(ALL_APPROVALS, approval("new", "rita")),
        allowed="rita"),
    approves("by a GitOps controller in another's name", create(ALL_APPROVALS, approval("new",
        "rita")), "gitops"),
    approves("by an account that acts for others", create(ALL_APPROVALS, approval("new", "gitops")),
        "gitops",
        says="cannot approve: it acts for everyone who can write to its repository"),
    approves("for another stage", create(ALL_APPROVALS, approval("new", "bob", stage="staging")),
        "bob",
        says="the verb approve on registeredmodels/staging"),
    approves("by an account of the namespace", create(ALL_APPROVALS, approval("new", "unnamed")),
        "unnamed",
        says="a service account of this namespace cannot approve"),
    approves("for a gate by its pipeline", create(ALL_APPROVALS, approval("new", "ci",
        gate="pipeline")), allowed="ci"),
    approves("for a gate by a person", create(ALL_APPROVALS, approval("new", "bob",
        gate="pipeline")), "bob",
        says="may not approve v3 for gate pipeline of stage production of risk/fraud: it needs"
            " the verb attest on registeredmodels/production/pipeline"),
    approves("for a gate by an approver", create(ALL_APPROVALS, approval("new", "anna",
        gate="pipeline")), "anna"),
    approves("for another gate", create(ALL_APPROVALS, approval("new", "ci", gate="legal")), "ci"),
    approves("as a person by a pipeline", create(ALL_APPROVALS, approval("new", "ci")), "ci",
        says="the"
        " verb approve on"),
    # --- withdrawn
    approves("withdrawn", delete(BY_BOB), "dora carla rita anna gitops ci", "bob olga admin op gc"
        " namespaces",
        "may not withdraw the approval of bob by deleting it: only bob may"),
    approves("withdrawn as a collection", sweep(ALL_APPROVALS, "team=a"), "dora carla", "bob olga"
        " admin"),
    approves("an owner that is not there", merge(BY_BOB,
        {"metadata": {"ownerReferences": REFERENCES[:1]}}),
        "dora carla op", "bob olga", "by its ownerReferences or finalizers"),
    approves("a finalizer", merge(BY_BOB, {"metadata": {"finalizers": ["example.com/stays"]}}),
        "dora"
        " carla op", "bob"
        " olga"),
    approves("a label", merge(BY_BOB, {"metadata": {"labels": {"seen": "yes"}}}), allowed="dora"
        " carla op"),
]  # fmt: skip
FENCE = [
    fence("creates no approval", create(ALL_APPROVALS, approval("new", "op")).real(), "op",
        says="it may create none, and delete only approvals"),
    fence("tries an approval", create(ALL_APPROVALS, approval("new", "op")), allowed="op"),
    fence("deletes an approval", delete(BY_BOB), allowed="op"),
]  # fmt: skip
ROWS: list[Row] = [*REQUESTER, *APPROVAL, *FENCE]
