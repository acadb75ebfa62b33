"""override on a real API server: one patch, followed to its end; its removal, and both ways to
continue; and the requester of a version.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from modelyard.cli.app import main
from modelyard.cli.program import hint
from modelyard.cli.views import models as model_views
from modelyard.cli.views import overrides
from modelyard.client.overriding import OverrideRequest
from tests.cli.conftest import Person, Seen
from tests.cli.objects import ASKED, NOW, before, model, version
from tests.cli.objects import held as holds
from tests.cli.served import TIME, held, serves
from tests.client.conftest import installed
from tests.client.side import Side
from tests.harness import Manifest, until

LATER = "2199-01-01T00:00:00Z"
OVERRIDE = ("override", "fraud", "v1", "--stage", "production", "--reason", "incident 4711")
NOTED = {"version": "v1", "digest": "sha256:" + "1" * 64, "sinceTime": TIME, "untilTime": LATER}


def stage(side: Side) -> Manifest:
    found: Manifest = side.get("RegisteredModel", "fraud")["spec"]["stages"]["production"]
    return found


def overridden(side: Side, **more: Any) -> None:
    """Write the operator's status after an override made v1 effective; the spec's own version is
    v2.
    """
    serves(side, "v1", stages=held("v1", override=NOTED, **more))


def test_an_override_is_one_patch_and_is_followed_from_its_record_to_its_end(
    side: Side, person: Person, fraud: Manifest
):
    def operator(there: Side) -> None:
        until(lambda: "override" in stage(there), "the override is asked for")
        serves(
            there, "v2", stages=held("v2", override=NOTED)
        )  # the override is recorded first, while the stage still has its version
        starting = {
            "reason": "Promoting",
            "message": "v1 is starting next to v2, which is still serving.",
        }
        serves(there, "v2", stages=held("v2", desired="v1", override=NOTED, blocked=starting))
        overridden(there)

    with side.meanwhile("RegisteredModel", "fraud", operator):
        done = person.says(*OVERRIDE, "--for", "30m")
    assert done.returncode == 0, done.stderr
    assert f"{side.namespace}/fraud  production: v2 → v1\n" in done.stdout
    assert "; v1 then stays until a person decides\n  why    incident 4711\n" in done.stdout
    assert "production holds v1, by an override until " in done.stdout
    assert (
        f"override fraud --stage production --end -n {side.namespace}"
        in done.stdout.splitlines()[-1]
    )
    asked = stage(side)["override"]
    assert (stage(side)["version"], asked["version"], asked["reason"]) == (
        "v2",
        "v1",
        "incident 4711",
    )


def test_a_version_that_its_pods_cannot_load_ends_the_command_with_the_reason(
    side: Side, person: Person, fraud: Manifest
):
    def operator(there: Side) -> None:
        until(lambda: "override" in stage(there), "the override is asked for")
        blocked = {
            "reason": "ServingFailed",
            "message": "v1 was rejected, and v2 is still serving.",
            "needsAction": True,
        }
        stages = held("v2", desired="v1", override=NOTED, blocked=blocked)
        there.status(
            "RegisteredModel",
            "fraud",
            "ServingFailed",
            "in other words",
            ready=False,
            stages=stages,
        )

    with side.meanwhile("RegisteredModel", "fraud", operator):
        done = person.says(*OVERRIDE)
    assert (done.returncode, done.stderr.partition(": ")[2]) == (
        1,
        (
            f"production of {side.namespace}/fraud: ServingFailed: v1 was rejected, and v2 is still"
            " serving.\n"
        ),
    )


def test_removing_an_override_keeps_the_version_serving_and_either_continuation_is_one_command(
    side: Side, person: Person, fraud: Manifest
):
    override = {"version": "v1", "reason": "incident 4711", "until": LATER}
    side.patch(
        "RegisteredModel", "fraud", {"spec": {"stages": {"production": {"override": override}}}}
    )
    overridden(side)
    assert "override v1 until 2199-01-01 00:00 UTC" in person.sees("status", "fraud")
    ended = ("override", "fraud", "--stage", "production", "--end")
    seen = person.sees(*ended)
    assert seen == (
        f"{side.namespace}/fraud  production: the override is ended. v1 is still serving:"
        " nothing switches automatically.\n"
        "  to keep v1        python -m modelyard promote fraud v1 --to production -n"
        f" {side.namespace}\n"
        "  to go back to v2  python -m modelyard rollback fraud --stage production --to v2"
        f" -n {side.namespace}\n"
    )
    assert "override" not in stage(side)
    blocked = {
        "reason": "OverrideEnded",
        "message": "The override was removed, and v1 is still serving.",
        "needsAction": True,
    }
    overridden(side, blocked=blocked)

    def operator(there: Side) -> None:
        until(lambda: stage(there).get("attempt") == 1, "going back is asked for")
        serves(there, "v2", stages=held("v2", attempt=1, override=None))

    with side.meanwhile("RegisteredModel", "fraud", operator):
        seen = person.sees("rollback", "fraud", "--stage", "production", "--to", "v2")
    assert f"{side.namespace}/fraud  production: v1 → v2\n" in seen
    assert seen.endswith("production holds v2.\n")


def test_a_dry_run_changes_nothing_and_a_program_gets_the_object(
    side: Side, person: Person, fraud: Manifest
):
    done = person.says(*OVERRIDE, "--dry-run", "-o", "json")
    assert json.loads(done.stdout)["spec"]["stages"]["production"]["override"]["version"] == "v1"
    assert "nothing was changed" in done.stderr
    assert "override" not in stage(side)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("v1",), "give a reason, such as --reason 'incident 4711'"),
        (("v1", "--reason", " "), "give a reason"),
        ((), "name the version, or end the override with --end"),
        (("v1", "--end"), "--end ends the override that is in force"),
        (
            ("v1", "--reason", "x", "--until", "tomorrow"),
            "'tomorrow' is not a time: write one such as 2030-12-01T18:00:00Z",
        ),
        (("v1", "--reason", "x", "--until", "2199-01-01T00:00:00"), "has no time zone"),
        (("v1", "--reason", "x", "--until", LATER), "an override is in force for a day at most"),
        (("v1", "--reason", "x", "--until", "2001-01-01T00:00:00Z"), "which is past"),
        (("v1", "--reason", "x", "--for", "2 hours"), "write a whole number and s, m, h or d"),
        (("v1", "--reason", "x", "--for", "25h"), "an override is in force for a day at most"),
        (("v1", "--reason", "x", "--for", "1h", "--until", LATER), "not both"),
    ],
)
def test_usage_errors_are_reported_before_any_request(
    words: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
):
    code = main(["override", "fraud", *words, "--stage", "production"])
    told = " ".join(capsys.readouterr().err.replace("│", " ").split())
    assert (code, message in told) == (2, True), told


# --- rights ---------------------------------------------------------------------------------------
EDIT = [
    {
        "apiGroups": ["modelyard.io"],
        "resources": ["registeredmodels"],
        "verbs": ["get", "list", "watch", "patch"],
    },
    {
        "apiGroups": ["modelyard.io"],
        "resources": ["registeredmodels/production"],
        "verbs": ["promote"],
    },
]


@pytest.fixture
def guarded(side: Side) -> Iterator[None]:
    """Install the policies on overrides and on requesters."""
    with installed(side, "modelyard-override", "modelyard-requester"):
        yield


def test_a_user_with_only_promote_sees_the_verb(
    side: Side, person: Person, fraud: Manifest, guarded: None, tmp_path: Path
):
    side.user("dan", EDIT, tmp_path)
    tried = (*OVERRIDE, "--dry-run", "--as", f"system:serviceaccount:{side.namespace}:dan")
    done = until(
        lambda: it if (it := person.says(*tried)).returncode else None,
        "the policies are in force",
        60,
    )
    assert done.returncode == 4, done.stderr
    assert "dan may not change the override of stage production" in done.stderr
    assert (
        "it needs the verb override on registeredmodels/production in group modelyard.io"
        in done.stderr
    )


def test_promoting_a_stage_with_approvals_records_the_user_as_requester(
    side: Side, person: Person, fraud: Manifest, guarded: None, tmp_path: Path
):
    """Without requestedBy the API server refuses the promotion for all users but the previous
    requester.
    """
    gates = [{"name": "approved", "approvals": {}}]
    me = _me(side)
    tried = {"spec": {"stages": {"production": {"gates": gates, "requestedBy": "rita"}}}}
    path = side.path("RegisteredModel", "fraud")
    until(
        lambda: (
            not side.request(
                "PATCH", f"{path}?dryRun=All", tried, "application/merge-patch+json"
            ).ok
        ),
        "the policy is in force",
        60,
    )
    tried["spec"]["stages"]["production"]["requestedBy"] = me
    side.patch("RegisteredModel", "fraud", tried)
    dan = f"system:serviceaccount:{side.namespace}:dan"
    side.user("dan", EDIT, tmp_path)
    person.sees("promote", "fraud", "v1", "--to", "production", "--no-wait", "--as", dan)
    assert (stage(side)["version"], stage(side)["requestedBy"]) == ("v1", dan)


def test_doctor_says_whether_approvals_count_and_whether_the_user_may_approve_attest_and_override(
    side: Side, person: Person, fraud: Manifest, tmp_path: Path
):
    gates = [{"name": "approved", "approvals": {}}, {"name": "pipeline", "external": {}}]
    side.patch(
        "RegisteredModel",
        "fraud",
        {"spec": {"stages": {"production": {"gates": gates, "requestedBy": _me(side)}}}},
    )
    approve = {
        "apiGroups": ["modelyard.io"],
        "resources": ["registeredmodels/production"],
        "verbs": ["approve"],
    }
    make = {"apiGroups": ["modelyard.io"], "resources": ["modelapprovals"], "verbs": ["create"]}
    side.user("bob", [*EDIT, approve, make], tmp_path)

    def found(subject: str) -> list[str]:
        told = json.loads(
            person.says(
                "doctor", "-o", "json", "--as", f"system:serviceaccount:{side.namespace}:bob"
            ).stdout
        )
        return [
            f"{each['verdict']}: {each['words']}" for each in told if each["subject"] == subject
        ]

    (unguarded,) = found("approvals")
    assert unguarded.startswith("bad: Any user can approve under another's name here")
    with installed(side, "modelyard-approval"):
        until(
            lambda: (
                found("approvals")
                == ["ok: no user can approve under another's name, so approvals count here"]
            ),
            "the policy is in force",
            60,
        )
    rights = found("rights")
    assert (
        "warning: to attest for production/pipeline: you may not attest"
        " registeredmodels/production/pipeline" in rights
    )
    assert (
        "warning: to override production: you may not override registeredmodels/production"
        in rights
    )
    assert "to approve for production" in rights[-1]


def _me(side: Side) -> str:
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    answer = side.request("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", body).body
    return str(answer["status"]["userInfo"]["username"])


# --- screens --------------------------------------------------------------------------------------
UNTIL = NOW + timedelta(hours=1)
BY = {"version": "v4", "reason": "incident 4711", "until": UNTIL.isoformat()}
KNOWN = {
    "version": "v4",
    "digest": version("v4")["digest"],
    "sinceTime": before(minutes=20),
    "untilTime": UNTIL.isoformat(),
}


def test_the_screens_of_an_override_and_of_its_end(seen: Seen):
    stages = {
        "production": {"version": "v2", "from": "staging", "gates": ASKED["production"]["gates"]},
        "staging": {},
    }
    versions = [version("v2"), version("v4")]
    seen(
        "override",
        overrides.wanted(
            model(spec_stages=stages, versions=versions),
            "production",
            OverrideRequest("v4", "incident 4711", UNTIL),
            NOW,
        ),
    )
    stages["production"] |= {"override": BY}
    serving = model(
        {"production": holds("v4", before(minutes=20), override=KNOWN)},
        spec_stages=stages,
        versions=versions,
    )
    seen(
        "override-ended", overrides.ended(serving, "production", lambda words: hint(words, "risk"))
    )
    seen("status-overridden", model_views.tree(serving, [], NOW, 80))
    waiting = model(spec_stages=stages, versions=versions)
    seen("override-ended-early", overrides.ended(waiting, "production", hint))
