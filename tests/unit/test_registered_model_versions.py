"""What is recorded of versions, how they are registered, and what blocks them."""

from dataclasses import replace
from typing import Any

import pytest

from modelyard.api.approvals import registrar_of
from modelyard.api.blocker import Blocker, VersionBlocker
from modelyard.api.registered_model import ModelReason as Reason
from modelyard.api.registered_model import RegisteredModel
from modelyard.plan import Act, CreateVersion, Record, Rest, SetTags, TagTarget
from modelyard.registered_model.observation import Artifacts, Observation
from modelyard.registered_model.versions import observed_versions, tracked_by_name
from tests.unit.builders import (
    NOW,
    actions,
    artifacts,
    message,
    outside,
    recorded,
    registered_model,
    said,
    tracked_version,
    written,
)
from tests.unit.models import (
    around,
    decide,
    declared,
    digest,
    intact,
    observed,
    record,
    recording,
    registered,
    source,
    versions_of,
)

WAITS = VersionBlocker(
    reason=Reason.WAITING_FOR_VERSION, message="The TrainingRun fraud-3 has not finished yet."
)
GONE = VersionBlocker(
    reason=Reason.ARTIFACT_MISSING,
    message="There is no MLmodel file below s3://b/k.",
    needs_action=True,
)
INVALID = VersionBlocker(
    reason=Reason.VERSION_INVALID,
    message="MLflow has no run r9 of this namespace.",
    needs_action=True,
)
CHANGED = VersionBlocker(
    reason=Reason.ARTIFACT_DIGEST_MISMATCH,
    message="Its bytes have changed since.",
    needs_action=True,
)


def lost(model: RegisteredModel, *names: str, **more: Any) -> Observation:
    """Return what is observed when MLflow has lost these versions, and S3 has their bytes."""
    gone = {
        version.name: intact(version) for version in model.status.versions if version.name in names
    }
    there = tuple(
        tracked_version(str(v.mlflow_version), v.name)
        for v in model.status.versions
        if v.mlflow_version and v.name not in names
    )
    return around(model, **({"versions": there, "artifacts": gone} | more))


# --- who registered it ----------------------------------------------------------------------------
def test_the_user_who_registered_a_version_is_recorded_and_outlasts_the_declaration():
    model = recording(
        registered_model(versions={"v3": declared("v3")["v3"] | {"registeredBy": "dana"}})
    )
    model = written(model, decide(model, around(model, sources={"v3": source("v3", "c")}), NOW))
    assert model.status.versions[0].registrar == registrar_of("dana")
    gone = model.model_copy(update={"spec": model.spec.model_copy(update={"versions": {}})})
    kept = observed_versions(gone, around(gone))[0]
    assert kept.registrar == registrar_of("dana")
    # A rebuilt record without it takes it from the declaration; another user's name does not
    # replace it.
    lost = model.status.versions[0].model_copy(update={"registrar": None, "uri": artifacts("v3")})
    rebuilt = model.model_copy(
        update={"status": model.status.model_copy(update={"versions": (lost,)})}
    )
    assert observed_versions(rebuilt, around(rebuilt))[0].registrar == registrar_of("dana")
    other = registered_model(
        versions={"v3": declared("v3")["v3"] | {"registeredBy": "eve"}}, status=model.status
    )
    assert observed_versions(other, around(other))[0].registrar == registrar_of("dana")


# --- recorded, then registered --------------------------------------------------------------------
def test_a_version_is_recorded_completely_before_it_is_registered():
    model = recording(registered_model(versions=declared("v3", team="risk")))
    there = source("v3", "c", run="r1", training_run="fraud-3", logged_model="m-1")
    plan = decide(model, around(model, sources={"v3": there}), NOW)
    assert recorded(plan) == "Reconciling Registering"
    model = written(model, plan)
    version = model.status.versions[0]
    assert (version.uri, version.digest, version.mlflow_version, version.logged_model) == (
        there.uri,
        digest("c"),
        None,
        "m-1",
    )
    assert decide(model, lost(model, "v3"), NOW) == Act(
        (
            CreateVersion(
                "risk.fraud",
                there.uri,
                "r1",
                {
                    "team": "risk",
                    "modelyard.io/version": "v3",
                    "modelyard.io/uri": there.uri,
                    "modelyard.io/digest": digest("c"),
                    "modelyard.io/bytes": "3",
                    "modelyard.io/flavor": "xgboost",
                    "modelyard.io/signature": "x: double -> long",
                    "modelyard.io/training-run": "fraud-3",
                    "modelyard.io/uid": "uid-fraud",
                    "modelyard.io/namespace": "risk",
                    "modelyard.io/name": "fraud",
                },
                "m-1",
            ),
        )
    )


def test_a_registered_version_is_identified_by_its_record():
    model = recording(registered_model(versions=declared("v3")), record("v3"))
    known = versions_of(decide(model, around(model, versions=(tracked_version("7", "v3"),)), NOW))[
        "v3"
    ]
    assert (known.mlflow_version, known.digest, known.bytes, known.flavor) == (
        "7",
        digest(),
        3,
        "xgboost",
    )
    assert (known.uri, known.blocked) == (artifacts("v3"), None)
    assert known.registered_time == tracked_version("7", "v3").created


def test_a_version_whose_declaration_is_removed_stays_recorded():
    """The TrainingRun was deleted, the line removed from the spec."""
    model = registered(registered_model(), ("7", "v3"))
    assert set(versions_of(decide(model, around(model), NOW))) == {"v3"}


def test_versions_of_others_are_not_ours():
    foreign = tracked_version("1", "v1", model="other")
    odd = tracked_version("2", "Not A Name")
    by_hand = replace(tracked_version("3", "v3"), tags={})
    plan = decide(recording(registered_model()), observed(versions=(foreign, odd, by_hand)), NOW)
    assert isinstance(plan, Rest)
    assert plan.status.versions == ()


def test_a_version_with_our_tags_and_another_source_is_not_ours():
    """Tags can be written by a user who trains; the uri is recorded."""
    model = recording(registered_model(versions=declared("v1")), record("v1"))
    forged = replace(tracked_version("1", "v1"), source="s3://b/forged")
    assert tracked_by_name(model, (forged,)) == {}
    plan = decide(model, lost(model, "v1", versions=(forged,)), NOW)
    action = outside(plan)
    assert isinstance(action, CreateVersion)
    assert action.source == artifacts("v1")
    both = tracked_by_name(model, (forged, tracked_version("2", "v1")))
    assert both["v1"].version == "2"


def test_of_two_versions_of_one_name_the_first_created_counts():
    """A create without an answer is repeated, and both may exist."""
    model = recording(registered_model(), record("v1"))
    for there in (
        (tracked_version("2", "v1"), tracked_version("10", "v1")),
        (tracked_version("10", "v1"), tracked_version("2", "v1")),
    ):
        assert versions_of(decide(model, observed(versions=there), NOW))["v1"].mlflow_version == "2"


def test_the_recorded_number_counts_before_any_tag():
    model = registered(registered_model(), ("2", "v1"))
    assert (
        tracked_by_name(model, (tracked_version("1", "v1"), tracked_version("2", "v1")))[
            "v1"
        ].version
        == "2"
    )


def test_the_user_s_tags_follow_the_spec_and_cannot_change_the_record():
    """Users must not write our tags: digest and uid are the record."""
    ours = {
        "modelyard.io/digest": "sha256:0",
        "modelyard.io/stages": "production",
        "modelyard.io/uid": "x",
        "modelyard.io/namespace": "y",
    }
    model = registered(
        registered_model(versions={"v3": declared("v3")["v3"] | {"tags": {"team": "risk"} | ours}}),
        ("7", "v3"),
    )
    assert decide(model, around(model), NOW) == Act(
        (SetTags(TagTarget("version", "risk.fraud", "7"), {"team": "risk"}),)
    )
    action = outside(decide(model, lost(model, "v3"), NOW))
    assert isinstance(action, CreateVersion)
    assert action.tags["modelyard.io/digest"] == digest()
    assert "modelyard.io/stages" not in action.tags


# --- lost -----------------------------------------------------------------------------------------
def test_a_version_that_mlflow_lost_is_registered_again_once_with_its_recorded_bytes():
    model = registered(registered_model(versions=declared("v3")), ("7", "v3"))
    action = outside(decide(model, lost(model, "v3"), NOW))
    assert isinstance(action, CreateVersion)
    assert (action.source, action.tags["modelyard.io/digest"]) == (artifacts("v3"), digest())
    again = decide(model, around(model, versions=(tracked_version("8", "v3"),)), NOW)
    assert isinstance(again, Rest), (
        "its recorded number is the old one, and the new version is found all the same"
    )
    assert versions_of(again)["v3"].mlflow_version == "8"


@pytest.mark.parametrize(
    "there",
    [None, Artifacts("sha256:l", digest("9")), GONE],
    ids=["gone", "other bytes", "refused"],
)
def test_a_version_that_mlflow_lost_is_not_registered_with_other_bytes(there: Any):
    model = registered(registered_model(versions=declared("v3")), ("7", "v3"))
    plan = decide(model, lost(model, "v3", artifacts={"v3": there}), NOW)
    assert isinstance(plan, Rest)
    known = versions_of(plan)["v3"]
    assert known.blocked
    assert (known.digest, known.uri, known.mlflow_version) == (digest(), artifacts("v3"), None)
    assert plan.requeue_after is not None


def test_a_name_declared_again_with_another_source_keeps_its_record():
    """After a deletion in MLflow and a new declaration, only the recorded uri and digest are
    registered.
    """
    model = registered(
        registered_model(versions={"v3": {"uri": "s3://mlflow-artifacts/risk/fraud/forged"}}),
        ("7", "v3"),
    )
    seen = lost(model, "v3", sources={"v3": source("forged", "f")})
    action = outside(decide(model, seen, NOW))
    assert isinstance(action, CreateVersion)
    assert (action.source, action.tags["modelyard.io/digest"]) == (artifacts("v3"), digest())


# --- what blocks a version ------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("blocker", "words"),
    [
        (WAITS, "Reconciling WaitingForVersion"),
        (GONE, "Stalled ArtifactMissing"),
        (INVALID, "Stalled VersionInvalid"),
        (CHANGED, "Stalled ArtifactDigestMismatch"),
    ],
)
def test_a_stage_that_wants_a_blocked_version_reports_why_and_whether_it_needs_action(
    blocker: Blocker, words: str
):
    model = recording(
        registered_model(versions=declared("v3"), stages={"production": {"version": "v3"}})
    )
    plan = decide(model, around(model, sources={"v3": blocker}), NOW)
    assert isinstance(plan, Rest)
    assert said(plan) == words
    assert blocker.message in message(plan)
    assert versions_of(plan)["v3"].blocked == blocker
    assert (plan.requeue_after is None) != blocker.needs_action, (
        "a watch tells of runs, nothing of artifacts"
    )


def test_a_message_of_any_length_fits_the_status():
    text = ("There is no MLmodel file below s3://" + "x" * 1100)[: VersionBlocker.LIMIT]
    long = VersionBlocker(reason=Reason.ARTIFACT_MISSING, message=text, needs_action=True)
    model = recording(
        registered_model(versions=declared("v3"), stages={"production": {"version": "v3"}})
    )
    written(model, decide(model, around(model, sources={"v3": long}), NOW))
    far = record("v3", "1", uri="s3://b/" + "x" * 480)
    model = recording(model, far)
    there = tracked_version("1", "v3")
    there = replace(
        there, source=str(far.uri), tags=dict(there.tags) | {"modelyard.io/uri": str(far.uri)}
    )
    for lies in (None, Artifacts("sha256:l", "sha256:9")):
        written(model, decide(model, around(model, versions=(there,), artifacts={"v3": lies}), NOW))


def test_a_blocker_of_a_version_is_dropped_when_it_is_recorded():
    model = recording(registered_model(versions=declared("v3")))
    before = written(model, decide(model, around(model, sources={"v3": WAITS}), NOW))
    assert before.status.versions[0].blocked == WAITS
    plan = decide(before, around(before, sources={"v3": source("v3")}), NOW)
    assert isinstance(plan, Record)
    assert versions_of(plan)["v3"].blocked is None


def test_a_version_that_is_not_ready_in_mlflow_is_waited_for():
    model = registered(
        registered_model(versions=declared("v3"), stages={"production": {"version": "v3"}}),
        ("1", "v3"),
    )
    pending = replace(tracked_version("1", "v3"), ready=False)
    plan = decide(model, around(model, versions=(pending,)), NOW)
    assert isinstance(plan, Rest)
    assert said(plan) == "Reconciling WaitingForVersion"


def test_an_undeclared_version_is_named_with_the_declared_ones():
    model = registered_model(
        versions=declared("v1", "v2"), stages={"production": {"version": "v9"}}
    )
    model = registered(model, ("1", "v1"), ("2", "v2"))
    plan = decide(model, around(model), NOW)
    assert isinstance(plan, Rest)
    assert said(plan) == "Stalled VersionUnknown"
    assert "v9" in message(plan)
    assert "v1, v2" in message(plan)


def test_one_bad_version_does_not_block_others():
    model = recording(registered_model(versions=declared("v1", "v2")))
    plan = decide(model, around(model, sources={"v1": GONE, "v2": source("v2")}), NOW)
    assert isinstance(plan, Record)
    assert versions_of(plan)["v2"].digest == digest()


@pytest.mark.parametrize(
    ("lies", "word"),
    [
        (None, "ArtifactMissing"),
        (Artifacts("sha256:s", digest("9")), "ArtifactDigestMismatch"),
        (
            VersionBlocker(
                reason=Reason.CONNECTION_REFUSED, message="S3 refused.", needs_action=True
            ),
            "ConnectionRefused",
        ),
        (Artifacts("sha256:s", digest()), None),
    ],
)
def test_the_bytes_in_s3_are_compared_with_the_record(lies: Any, word: str | None):
    """The bytes and MLflow's digest tag may be overwritten together: neither is the record."""
    model = registered(
        registered_model(versions=declared("v1"), stages={"production": {"version": "v1"}}),
        ("1", "v1"),
    )
    forged = replace(
        tracked_version("1", "v1"),
        tags=dict(tracked_version("1", "v1").tags) | {"modelyard.io/digest": digest("9")},
    )
    for there in (tracked_version("1", "v1"), forged):
        seen = around(model, artifacts={"v1": lies}, versions=(there,))
        known = versions_of(decide(model, seen, NOW))["v1"] if word is None else None
        plan = decide(model, seen, NOW)
        if word is None:
            assert isinstance(plan, Record), "the candidate is recorded"
            assert known
            assert (known.blocked, known.listing_digest) == (None, "sha256:s")
            continue
        assert not [each for each in actions(plan) if not isinstance(each, SetTags)]
        plan = decide(model, replace(seen, versions=(tracked_version("1", "v1"),)), NOW)
        assert said(plan) == f"Stalled {word}"
        blocked = versions_of(plan)["v1"].blocked
        assert blocked
        assert (blocked.reason, versions_of(plan)["v1"].listing_digest) == (word, None)
