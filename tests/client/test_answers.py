"""Refusals of the API server, and MLflow's responses, as exceptions of the client."""

from __future__ import annotations

import json

import pytest

from modelyard.client import rest
from modelyard.client.errors import NotAllowed, NotFound, Refused, Unreachable
from modelyard.client.kube.answers import Request, error

REQUEST = Request(
    "patch",
    "registeredmodels",
    "modelyard.io",
    "RegisteredModel",
    "risk",
    "fraud",
    "https://api",
    "dev",
)


def answer(code: int, message: str = "", reason: str = "", **details):
    return error(
        REQUEST,
        code,
        json.dumps(
            {"kind": "Status", "message": message, "reason": reason, "details": details}
        ).encode(),
    )


def test_a_promotion_that_the_policy_denies_names_the_stages():
    text = (
        'registeredmodels.modelyard.io "fraud" is forbidden: ValidatingAdmissionPolicy'
        " 'modelyard-promote' with binding 'modelyard-promote' denied request: alice may not"
        " change stage production (version), stage staging (version, attempt) of risk/fraud: it"
        " needs the verb promote on registeredmodels/production, registeredmodels/staging in group"
        " modelyard.io"
    )
    found = answer(403, text, "Forbidden")
    assert isinstance(found, NotAllowed)
    assert (found.verb, found.resource) == (
        "promote",
        "registeredmodels/production, registeredmodels/staging",
    )
    assert str(found).startswith(
        "alice may not change stage production (version), stage staging (version, attempt) of"
        " risk/fraud"
    )
    assert "ValidatingAdmissionPolicy" not in str(found)


def test_another_change_that_needs_promote_names_its_stages():
    text = (
        "denied request: stage production, stage staging of fraud requests the version that new"
        " registers: alice needs the verb"
    )
    stages = "registeredmodels/production, registeredmodels/staging"
    assert answer(403, f"{text} promote on {stages} in group modelyard.io").resource == stages
    text = (
        "denied request: alice may not scale objects that serve it: only the operator may, or a"
        " user who has the verb promote on"
    )
    assert (
        answer(403, f"{text} registeredmodels/production in group modelyard.io").resource
        == "registeredmodels/production"
    )


def test_a_purge_that_the_policy_denies_names_the_verb():
    text = (
        "x denied request: alice may not delete it (experiments risk/fraud): its data in MLflow"
        " would be deleted too, which needs the verb purge on experiments in group modelyard.io;"
        " with deletionPolicy: Retain the data would be kept"
    )
    found = answer(403, text, "Forbidden")
    assert (found.verb, found.resource, found.namespace) == ("purge", "experiments", "risk")


def test_the_denial_of_another_policy_is_refused_and_not_a_missing_right():
    assert isinstance(
        answer(403, 'admission webhook "kyverno" denied request: no label team'), Refused
    )
    assert isinstance(answer(403, 'pods "x" is forbidden: exceeded quota'), Refused)


@pytest.mark.parametrize("code", [429, 500, 503, 504])
def test_a_response_that_asks_to_retry_later_is_unreachable(code: int):
    assert isinstance(answer(code, "later"), Unreachable)


def test_a_cluster_without_the_crds_is_reported():
    for found in (
        answer(404, "the server could not find the requested resource"),
        error(REQUEST, 404, b"404 page not found\n"),
    ):
        assert isinstance(found, NotFound)
        assert (
            str(found)
            == "modelyard is not installed in this cluster (context dev): name another context, or"
            " have it installed."
        )


def test_a_body_that_is_not_a_status_is_shown_unchanged():
    assert "bad gateway" in str(error(REQUEST, 502, b"<html>bad gateway"))


@pytest.mark.parametrize(
    ("code", "kind", "words"),
    [
        (200, None, ""),
        (302, Refused, "MLflow refuses to log metrics: why"),
        (400, Refused, "MLflow refuses to log metrics: why"),
        (
            401,
            NotAllowed,
            (
                "MLflow refuses to log metrics (401): have the credentials of the Secret"
                " modelyard-connection corrected."
            ),
        ),
        (
            403,
            NotAllowed,
            (
                "MLflow refuses to log metrics (403): have the credentials of the Secret"
                " modelyard-connection corrected."
            ),
        ),
        (404, NotFound, "MLflow cannot log metrics: not found: why"),
        (408, Unreachable, "MLflow cannot log metrics now (408): why"),
        (429, Unreachable, "MLflow cannot log metrics now (429): why"),
        (503, Unreachable, "MLflow cannot log metrics now (503): why"),
    ],
)
def test_an_http_status_of_mlflow_raises_the_same_error_everywhere(
    code: int, kind: type[Exception] | None, words: str
):
    found = rest.mlflow_error(code, "why", "log metrics")
    assert found is None if kind is None else (type(found), str(found)) == (kind, words)
