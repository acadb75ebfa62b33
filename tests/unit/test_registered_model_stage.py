"""A stage that is not being promoted: kept serving, scaled, cleared, its record recovered."""

from dataclasses import replace

from modelyard.api.blocker import Blocker
from modelyard.api.registered_model import Draining, RegisteredModel
from modelyard.api.registered_model import ModelReason as Reason
from modelyard.errors import Invalid, ModelyardError
from modelyard.plan import Apply
from modelyard.registered_model import build
from modelyard.registered_model.build import PodSettings
from modelyard.registered_model.serving import DRAIN
from modelyard.registered_model.stage import decide_stage
from tests.unit.builders import DAY, NOW, RUNTIME, SECOND, live
from tests.unit.models import (
    NEWER,
    A,
    B,
    C,
    after,
    decided,
    deployment_in,
    displaced,
    does,
    pods_of,
    record,
    recorded_first,
    refusing,
    routes_to,
    served,
    stage_of,
    view_of,
)

UP = ["apply ControllerRevision/va", "apply Deployment/va"]
ROUTES = ["apply Service/va", "apply PodDisruptionBudget/va"]


# --- nothing to do --------------------------------------------------------------------------------
def test_nothing_to_do_has_no_actions():
    model = stage_of("va", holds=A)
    decision = decided(model, *pods_of(model, A, routed=True))
    assert (decision.actions, decision.status.blocked) == ((), None)
    assert (decision.entry, decision.record, decision.requeue_after) == (None, False, None)
    assert decision.status.url == "http://fraud-production.risk"
    assert [(step.name, step.state) for step in decision.status.steps] == [
        (name, "Done") for name in ("admit", "start", "switch", "record")
    ]


def test_deleted_or_changed_serving_objects_are_put_back():
    model = stage_of("va", holds=A)
    whole = pods_of(model, A, routed=True)
    for index, words in enumerate([*UP, *ROUTES]):
        assert does(decided(model, *(each for n, each in enumerate(whole) if n != index))) == [
            words
        ]
    revision, deployment, service, budget = whole
    bent = live(service | {"spec": service["spec"] | {"selector": {"app": "else"}}})
    assert does(decided(model, revision, deployment, bent, budget)) == ROUTES[:1]


# --- displaced versions ---------------------------------------------------------------------------
def test_a_displaced_version_serves_until_no_request_is_routed_to_it_and_is_deleted_then():
    drains = (Draining(identity=served(A).runtime.identity, until_time=NOW + 10 * SECOND),)
    model = stage_of("vb", holds=B, since=5 * SECOND, previous=served(A), draining=drains)
    there = (*pods_of(model, A), *pods_of(model, B, routed=True))
    early = decided(model, *there)
    assert (early.actions, early.requeue_after, early.status.blocked) == (
        (),
        DRAIN - 5 * SECOND,
        None,
    )
    late = decided(model, *there, now=NOW + 10 * SECOND)
    assert does(late) == [
        f"delete Deployment/{deployment_in(pods_of(model, A))['metadata']['name']}"
    ]
    assert (late.status.draining, late.requeue_after) == ((), None)


def test_the_template_of_the_previous_version_stays_and_that_of_one_before_it_does_not():
    model = stage_of("vc", holds=C, previous=served(B))
    decision = decided(
        model, pods_of(model, A)[0], pods_of(model, B)[0], *pods_of(model, C, routed=True)
    )
    assert does(decision) == [
        f"delete ControllerRevision/{pods_of(model, A)[0]['metadata']['name']}"
    ]


def test_pods_that_are_neither_effective_nor_draining_are_deleted_at_once():
    drains = (Draining(identity=served(A).runtime.identity, until_time=NOW + DRAIN),)
    model = stage_of("vb", holds=B, draining=drains, previous=served(A))
    decision = decided(
        model, *pods_of(model, A), *pods_of(model, B, routed=True), *pods_of(model, C)
    )
    assert [words.rpartition("-")[0] for words in does(decision)] == [
        "delete Deployment/fraud-production-vc",
        "delete ControllerRevision/fraud-production-vc",
    ]


# --- cleared --------------------------------------------------------------------------------------
def test_clearing_a_stage_is_recorded_and_then_its_objects_are_deleted_the_service_first():
    model = stage_of(None, holds=A)
    there = pods_of(stage_of("va"), A, routed=True)
    cleared = decided(model, *there)
    assert (cleared.actions, cleared.record) == ((), True)
    assert cleared.entry
    assert (cleared.entry.from_, cleared.entry.to, cleared.entry.outcome) == ("va", None, "Cleared")
    assert (cleared.status.version, cleared.status.previous) == (None, displaced(A))
    gone = decided(after(model, cleared), *there)
    assert does(gone) == [
        "delete Service/fraud-production",
        "delete PodDisruptionBudget/fraud-production",
        f"delete Deployment/{deployment_in(there)['metadata']['name']}",
    ], "its template stays: promoting it again restores it whole"
    assert decided(stage_of(None)).actions == ()


def test_a_stage_that_was_removed_keeps_not_even_the_template():
    model = stage_of("va", holds=A)
    without = model.model_copy(update={"spec": model.spec.model_copy(update={"stages": {}})})
    there = pods_of(model, A, routed=True)
    gone = decided(after(without, decided(without, *there)), *there)
    assert [words.split("/")[0].removeprefix("delete ") for words in does(gone)] == [
        "Service",
        "PodDisruptionBudget",
        "Deployment",
        "ControllerRevision",
    ]


def test_a_stage_is_not_cleared_while_mlflow_is_down_and_reports_that():
    model = stage_of(None, holds=A)
    decision = decided(model, *pods_of(stage_of("va"), A, routed=True), dependencies_down=True)
    assert (decision.actions, decision.record, decision.status.effective) == ((), False, served(A))
    assert decision.status.blocked
    assert "when MLflow and S3 answer" in decision.status.blocked.message


def test_clearing_ends_a_promotion_too():
    model = stage_of(None, holds=A, candidate=served(B))
    there = (*pods_of(stage_of("va"), A, routed=True), *pods_of(stage_of("va"), B))
    cleared = after(model, decided(model, *there))
    assert cleared.status.stages["production"].candidate is None
    cleared = after(cleared, decided(cleared, *there))
    assert [words.split("/")[0] for words in does(decided(cleared, *there))].count(
        "delete Deployment"
    ) == 2


# --- replicas -------------------------------------------------------------------------------------
def test_without_replicas_a_version_becomes_effective_and_nothing_is_served():
    none = {"replicas": 0}
    model = recorded_first(stage_of("va", serving=none))
    decision = decided(model)
    assert decision.actions == ()
    assert decision.entry
    assert decision.entry.to == "va"
    held = decided(stage_of("va", holds=A, serving=none), *pods_of(stage_of("va"), A, routed=True))
    assert [words.split("/")[0] for words in does(held)] == [
        "delete Service",
        "delete PodDisruptionBudget",
        "delete Deployment",
    ]
    assert (held.status.url, held.status.desired_replicas) == (None, 0)


def test_without_replicas_a_promotion_that_cannot_be_admitted_keeps_no_pods_either():
    model = stage_of("vb", holds=A, serving={"replicas": 0})
    decision = decided(model, *pods_of(model, A, routed=True), versions=(A,))
    assert [words.split("/")[0] for words in does(decision)] == [
        "delete Service",
        "delete PodDisruptionBudget",
        "delete Deployment",
    ]
    assert (decision.status.url, decision.status.desired_replicas, decision.status.version) == (
        None,
        0,
        "va",
    )


def test_a_changed_serving_spec_is_rolled_out_and_reported_until_it_is():
    model = stage_of("va", holds=A, serving={"resources": {"limits": {"memory": "4Gi"}}})
    assert does(decided(model, *pods_of(stage_of("va"), A, routed=True))) == UP[1:]
    rolling = decided(model, *pods_of(model, A, routed=True, updatedReplicas=0))
    assert rolling.actions == ()
    assert rolling.status.blocked
    assert "being replaced" in rolling.status.blocked.message
    assert (
        "by the spec, by the Secret that they read, or by a restart"
        in rolling.status.blocked.message
    )


def test_a_serving_field_removed_from_the_spec_is_removed_from_the_deployment():
    old = stage_of(
        "va",
        holds=A,
        serving={
            "nodeSelector": {"disk": "fast"},
            "tolerations": [{"key": "gpu", "operator": "Exists"}],
        },
    )
    assert does(decided(stage_of("va", holds=A), *pods_of(old, A, routed=True))) == UP[1:]


STORE = ("MLFLOW_S3_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
IF_THERE = ("AWS_SESSION_TOKEN", "AWS_DEFAULT_REGION", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")


def test_pods_get_a_namespace_s_second_secret():
    model = stage_of("va", holds=A)
    view = view_of(model, *pods_of(model, A, routed=True))
    what = build.template(model, "production", served(A), str(A.uri), RUNTIME.pull_policy)
    whole = build.with_serving(
        what, view.serving, PodSettings(allow_code=True, pods_secret="modelyard-connection-pods")
    )
    (fetch,) = whole["spec"]["initContainers"]
    assert "envFrom" not in fetch, (
        "anyone who may write the Secret could set PYTHONWARNINGS and run their own code"
    )
    given = {
        each["name"]: each["valueFrom"]["secretKeyRef"]["name"]
        for each in fetch["env"]
        if "valueFrom" in each
    }
    assert given == dict.fromkeys((*STORE, *IF_THERE), "modelyard-connection-pods")
    assert all(fetch["env"].count(each) == 1 for each in fetch["env"])
    assert {"name": "MODELYARD_ALLOW_CODE_MODELS", "value": "true"} in whole["spec"]["containers"][
        0
    ]["env"]
    assert fetch["env"] != what["spec"]["initContainers"][0]["env"], (
        "the template that is kept says nothing of the namespace"
    )
    # One that an operator kept before revision 3, which has no port for metrics, is applied as it
    # was.
    what["spec"]["containers"][0]["ports"].pop()
    (fetch,) = build.with_serving(what, view.serving, view.pod_settings)["spec"]["initContainers"]
    assert fetch["envFrom"] == [{"secretRef": {"name": "modelyard-connection"}}]


def test_pull_secrets_reach_new_pods_and_roll_no_serving_ones():
    """With an operator that was given their names, the candidate starts with them and the effective
    version is unchanged.
    """
    runtime = replace(RUNTIME, pull_secrets=("registry", "mirror"))
    starting = stage_of("vb", holds=A, candidate=served(B))
    # A candidate whose image could not be pulled before the names were set is repaired too.
    begun = pods_of(starting, B, ready=0)
    there = (*pods_of(starting, A, routed=True), *begun)
    decision = decide_stage(replace(view_of(starting, *there), runtime=runtime), NOW)
    (applied,) = (each.manifest for each in decision.actions if isinstance(each, Apply))
    assert applied["spec"]["template"]["spec"]["imagePullSecrets"] == [
        {"name": "registry"},
        {"name": "mirror"},
    ]
    switched = stage_of("vb", holds=B)
    serves = live(applied) | {"status": pods_of(switched, B)[1]["status"]}
    now = (begun[0], serves, *pods_of(switched, B, routed=True)[2:])
    for given in (runtime, RUNTIME, replace(RUNTIME, pull_secrets=("renamed",))):
        assert decide_stage(replace(view_of(switched, *now), runtime=given), NOW).actions == ()
    plain = stage_of("va", holds=A)
    assert (
        decide_stage(
            replace(view_of(plain, *pods_of(plain, A, routed=True)), runtime=runtime), NOW
        ).actions
        == ()
    )


def test_a_stage_that_has_too_few_pods_says_so_and_is_served_by_the_rest():
    model = stage_of("va", holds=A, serving={"replicas": 3})
    decision = decided(model, *pods_of(model, A, ready=2, replicas=3, routed=True))
    assert decision.actions == ()
    blocked = decision.status.blocked
    assert blocked
    assert (blocked.reason, "2 of 3 pods of va" in blocked.message, blocked.needs_action) == (
        "NotServing",
        True,
        False,
    )
    assert (decision.status.ready_replicas, decision.status.desired_replicas) == (2, 3)


SCALED = {"autoscaling": {"minReplicas": 2, "maxReplicas": 8}}


def test_an_autoscaler_s_number_is_left_to_it_within_its_bounds():
    model = stage_of("va", holds=A, serving=SCALED)
    for now, wanted in ((5, 5), (1, 2), (20, 8)):
        decision = decided(model, *pods_of(model, A, ready=now, replicas=now))
        assert decision.status.desired_replicas == wanted
        assert ("apply Deployment/va" in does(decision)) == (now != wanted)


def test_a_candidate_starts_with_as_many_pods_as_the_stable_version_has_now():
    model = stage_of("vb", holds=A, candidate=served(B), serving=SCALED)
    decision = decided(model, *pods_of(model, A, ready=6, replicas=6))
    deployment = next(
        a.manifest
        for a in decision.actions
        if isinstance(a, Apply) and a.manifest["kind"] == "Deployment"
    )
    assert deployment["spec"]["replicas"] == 6
    switch = decided(
        model, *pods_of(model, A, ready=6, replicas=6), *pods_of(model, B, ready=6, replicas=6)
    )
    scaler = next(
        a.manifest
        for a in switch.actions
        if isinstance(a, Apply) and a.manifest["kind"] == "HorizontalPodAutoscaler"
    )
    assert (
        scaler["spec"]["scaleTargetRef"]["name"]
        == deployment_in(pods_of(model, B))["metadata"]["name"]
    )
    assert routes_to(switch) == "vb"


def test_while_a_candidate_starts_the_autoscaler_still_scales_the_stable_version():
    model = stage_of("vb", holds=A, candidate=served(B), serving=SCALED)
    decision = decided(
        model,
        *pods_of(model, A, ready=3, replicas=3, routed=True),
        *pods_of(model, B, ready=0, replicas=3),
    )
    scaler = next(
        a.manifest
        for a in decision.actions
        if isinstance(a, Apply) and a.manifest["kind"] == "HorizontalPodAutoscaler"
    )
    assert (
        scaler["spec"]["scaleTargetRef"]["name"]
        == deployment_in(pods_of(model, A))["metadata"]["name"]
    )


def test_an_autoscaler_that_is_no_longer_wanted_is_deleted():
    scaled, plain = (
        stage_of("va", holds=A, serving=SCALED),
        stage_of("va", holds=A, serving={"replicas": 2}),
    )
    there = build.autoscaler(scaled, "production", served(A))
    assert there
    decision = decided(plain, *pods_of(plain, A, ready=2, replicas=2, routed=True), live(there))
    assert does(decision) == ["delete HorizontalPodAutoscaler/fraud-production"]


# --- refused, unwell ------------------------------------------------------------------------------
def test_an_apply_that_the_api_server_refuses_is_named_and_the_rest_is_done():
    model = stage_of("va", holds=A)
    there = pods_of(model, A)
    decision = decided(
        model, *there, refusals=refusing(("PodDisruptionBudget", "fraud-production"))
    )
    assert does(decision) == ROUTES[:1]
    assert decision.status.blocked
    assert (decision.status.blocked.reason, decision.requeue_after) == (
        "RequestRefused",
        30 * SECOND,
    )
    assert (
        "what comes from the spec is spec.stages.production.serving."
        in decision.status.blocked.message
    )
    assert "automatically" not in decision.status.blocked.message


def test_a_refused_limit_names_the_field_of_the_stage():
    """The API server's message for a limit below the request."""
    model = stage_of("va", holds=A, serving={"resources": {"limits": {"memory": "16Mi"}}})
    name = deployment_in(pods_of(model, A))["metadata"]["name"]
    said = (
        'spec.template.spec.containers[0].resources.requests: Invalid value: "512Mi": must be less'
        " than or equal to memory limit"
    )
    refused: dict[tuple[str, str], ModelyardError] = {
        ("Deployment", name): Invalid("Kubernetes", "apply Deployment", name, said)
    }
    decision = decided(model, *pods_of(stage_of("va"), A, routed=True), refusals=refused)
    assert decision.status.blocked
    assert (
        "what comes from the spec is spec.stages.production.serving.resources."
        in decision.status.blocked.message
    )


LOST = Blocker(reason=Reason.ARTIFACT_MISSING, message="Nothing is stored.", needs_action=True)


def test_a_version_whose_bytes_are_missing_is_still_serving_and_gets_no_new_pods():
    model = stage_of("va", holds=A)
    gone = (A.model_copy(update={"blocked": LOST}),)
    decision = decided(model, *pods_of(model, A, routed=True), versions=gone)
    assert (decision.actions, decision.status.effective) == ((), served(A))
    assert decision.status.blocked
    assert decision.status.blocked.reason == "ArtifactMissing"
    assert "va is still serving" in decision.status.blocked.message
    assert [words for words in does(decided(model, versions=gone)) if "Deployment/" in words] == []


def test_a_version_that_mlflow_has_lost_is_still_serving_and_says_what_happens():
    model = stage_of("va", holds=A)
    lost = decided(
        model,
        *pods_of(model, A, routed=True),
        versions=(A.model_copy(update={"mlflow_version": None}),),
    )
    assert lost.actions == ()
    assert lost.status.blocked
    assert (lost.status.blocked.reason, lost.status.blocked.needs_action) == ("Registering", False)
    unknown = decided(model, *pods_of(model, A, routed=True), versions=())
    assert unknown.status.blocked
    assert (unknown.status.blocked.reason, unknown.status.blocked.needs_action) == (
        "VersionUnknown",
        True,
    )
    assert "va is still serving" in unknown.status.blocked.message


# --- an incomplete record -------------------------------------------------------------------------
def half(version: str | None = "va") -> RegisteredModel:
    """Return a stage whose effective version va has no recorded digest."""
    model = stage_of(version, desired="va")
    status = model.status.stages["production"].model_copy(update={"version": "va"})
    return model.model_copy(
        update={"status": model.status.model_copy(update={"stages": {"production": status}})}
    )


def test_a_stage_without_a_recorded_digest_takes_it_from_its_deployment_never_from_the_version():
    model = half()
    there = pods_of(model, served(A, NEWER), routed=True)
    other = record("va", "1", "9", uri=A.uri)
    for versions in ((A,), (other,), ()):
        model = recorded_first(half(), *there, versions=versions)
        assert model.status.stages["production"].effective == served(A, NEWER)
    mismatch = decided(model, *there, versions=(other,))
    assert mismatch.actions == ()
    assert mismatch.status.blocked
    assert (mismatch.status.blocked.reason, mismatch.status.blocked.needs_action) == (
        "ArtifactDigestMismatch",
        True,
    )


def test_of_two_deployments_the_routed_one_counts():
    there = (*pods_of(half(), A), *pods_of(half(), served(A, NEWER), routed=True))
    for order in (there, there[::-1]):
        assert recorded_first(half(), *order).status.stages["production"].effective == served(
            A, NEWER
        )


def test_without_a_deployment_the_digest_is_that_of_the_version_s_record():
    assert recorded_first(half()).status.stages["production"].effective == served(A)


def test_without_either_the_stage_says_so_and_another_version_can_be_promoted():
    decision = decided(half(), versions=(B,))
    assert (decision.actions, decision.record) == ((), False)
    assert decision.status.blocked
    assert (decision.status.blocked.reason, decision.status.blocked.needs_action) == (
        "VersionUnknown",
        True,
    )
    other = recorded_first(half("vb"), versions=(B,))
    assert other.status.stages["production"].candidate == served(B)
    assert decided(
        other, *pods_of(other, B, routed=True), versions=(B,)
    ).status.effective == served(B)
    cleared = decided(half(None), versions=(B,))
    assert cleared.status.version is None


def test_the_since_time_of_a_stage_is_that_of_its_switch():
    model = stage_of("vb", holds=A, candidate=served(B))
    decision = decided(model, *pods_of(model, A), *pods_of(model, B, routed=True))
    assert (decision.status.since_time, model.status.stages["production"].since_time) == (
        NOW,
        NOW - DAY,
    )
