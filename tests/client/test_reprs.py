"""How a notebook shows objects, on a real API server; the other side writes the status."""

from __future__ import annotations

from modelyard.client.client import Client
from tests.client.side import Side

ONE = {
    "name": "v1",
    "mlflowVersion": "1",
    "digest": "sha256:" + "0" * 64,
    "uri": "s3://bucket/risk/m",
}


def test_a_notebook_shows_tables_and_badges_and_escapes_what_others_wrote(side: Side):
    stages = {"production": {"version": "v1"}}
    side.ours("RegisteredModel", "fraud", {"stages": stages, "versions": {"v1": {"runId": "a"}}})
    held = {"production": {"version": "v1", "desired": "v1"}}
    side.status(
        "RegisteredModel", "fraud", "Serving", "<script>", ready=True, stages=held, versions=[ONE]
    )
    with Client(side.namespace, kubeconfig=str(side.server.kubeconfig)) as client:
        html = client.models.get("fraud")._repr_html_()
        assert "production v1" in html
        assert "&lt;script&gt;" in html
        assert "<script>" not in html
        table = client.models.list()
        assert "<table>" in table._repr_html_()
        assert "production v1" in repr(table)
        assert list(table.frame().columns)[:2] == ["namespace", "name"]
        assert "v1" in client.models.versions("fraud")._repr_html_()


def test_a_notebook_shows_messages_of_gates_and_escapes_them(side: Side):
    gate = {"name": "quality", "metric": {"name": "f1", "atLeast": "0.9"}}
    stages = {"production": {"version": "v1", "gates": [gate]}}
    side.ours("RegisteredModel", "gated", {"stages": stages, "versions": {"v1": {"runId": "a"}}})
    said = {
        "name": "quality",
        "verdict": "Pending",
        "message": "waits for <b>f1</b>",
        "time": "2026-01-01T00:00:00Z",
        "gateHash": "0",
    }
    judged = {"judged": {"version": "v1", "digest": ONE["digest"]}, "gates": [said]}
    side.status(
        "RegisteredModel",
        "gated",
        "GatesPending",
        "",
        stages={"production": {"desired": "v1"} | judged},
        versions=[ONE],
    )
    with Client(side.namespace, kubeconfig=str(side.server.kubeconfig)) as client:
        html = client.models.get("gated")._repr_html_()
    assert "gates of production" in html
    assert "0 of 1 pass v1" in html
    assert "quality Pending: waits for &lt;b&gt;f1&lt;/b&gt; (asked again every minute)" in html


def test_a_notebook_shows_approvals_and_overrides_and_sets_and_removes_an_override(side: Side):
    approved = {"name": "approved", "approvals": {}}
    stages = {"production": {"version": "v2", "requestedBy": "rita", "gates": [approved]}}
    side.ours(
        "RegisteredModel",
        "overridden",
        {"stages": stages, "versions": {"v1": {"runId": "a"}, "v2": {"runId": "b"}}},
    )
    said = {
        "name": "approved",
        "verdict": "Pass",
        "message": "1 of 1: bob",
        "time": "2026-01-01T00:00:00Z",
        "gateHash": "0",
    }
    judged = {"judged": {"version": "v2", "digest": ONE["digest"]}, "gates": [said]}
    held = {"version": "v2", "desired": "v2"} | judged
    side.status(
        "RegisteredModel",
        "overridden",
        "Serving",
        "",
        ready=True,
        stages={"production": held},
        versions=[ONE, ONE | {"name": "v2"}],
    )
    with Client(side.namespace, kubeconfig=str(side.server.kubeconfig)) as client:
        client.models.override(
            "overridden", "v1", "production", reason="incident <4711>", seconds=0
        )
        noted = {
            "version": "v1",
            "digest": ONE["digest"],
            "sinceTime": "2026-01-01T00:00:00Z",
            "untilTime": "2199-01-01T00:00:00Z",
        }
        side.status(
            "RegisteredModel",
            "overridden",
            "Serving",
            "",
            ready=True,
            stages={"production": held | {"override": noted}},
        )
        html = client.models.get("overridden")._repr_html_()
        assert "approved Pass: 1 of 1: bob" in html
        assert "v1 until 2199-01-01 00:00 UTC" in html
        assert "incident &lt;4711&gt;" in html
        assert (
            client.models.end_override("overridden", "production")
            .spec.stages["production"]
            .override
            is None
        )
        # Nothing switched: going back is a separate attempt.
        side.status(
            "RegisteredModel",
            "overridden",
            stages={"production": held | {"version": "v1", "desired": "v1", "override": noted}},
        )
        back = client.models.set_stage("overridden", "v2", "production", seconds=0).spec.stages[
            "production"
        ]
        assert (back.attempt, back.requested_by) == (1, "admin"), (
            "and it says who asks, as people approve there"
        )


def test_a_notebook_shows_that_the_serving_version_failed_its_verification(side: Side):
    stages = {"production": {"version": "v1", "reverify": {"every": "24h"}}}
    side.ours("RegisteredModel", "verified", {"stages": stages, "versions": {"v1": {"runId": "a"}}})
    failed = {
        "verdict": "Fail",
        "time": "2026-01-01T00:00:00Z",
        "message": "answers: <b>exit code 1</b>",
    }
    held = {"production": {"version": "v1", "desired": "v1", "verification": failed}}
    side.status(
        "RegisteredModel", "verified", "Serving", "", ready=True, stages=held, versions=[ONE]
    )
    with Client(side.namespace, kubeconfig=str(side.server.kubeconfig)) as client:
        html = client.models.get("verified")._repr_html_()
    assert "verification of production" in html
    assert "ago: answers: &lt;b&gt;exit code 1&lt;/b&gt;" in html
