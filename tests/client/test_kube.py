"""`Kube` on a real API server: reading, writing, watching, and the texts of refusals."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest

from modelyard.client.errors import NotAllowed, NotFound, Refused, TimedOut, Unreachable
from modelyard.client.kube import Kube
from tests.cluster.apiserver import kubeconfig
from tests.harness import until

READ = [{"apiGroups": ["modelyard.io"], "resources": ["*"], "verbs": ["get", "list", "watch"]}]
RUN = {"experiment": "fraud", "trainer": {"xgboost": {"task": "classification"}}}


def manifest(kind: str = "Experiment", name: str = "fraud", **spec):
    return {
        "apiVersion": "modelyard.io/v1alpha1",
        "kind": kind,
        "metadata": {"name": name},
        "spec": spec,
    }


def test_an_object_is_created_read_changed_and_deleted(kube: Kube):
    made = kube.create(manifest(description="first"))
    assert made["metadata"]["namespace"] == kube.namespace
    assert kube.get("Experiment", "fraud")["metadata"]["uid"] == made["metadata"]["uid"]
    assert (
        kube.patch("Experiment", "fraud", {"spec": {"description": "second"}})["spec"][
            "description"
        ]
        == "second"
    )
    assert [each["metadata"]["name"] for each in kube.list("Experiment")] == ["fraud"]
    kube.delete("Experiment", "fraud", wait=20)
    with pytest.raises(NotFound, match=f"There is no Experiment {kube.namespace}/fraud."):
        kube.get("Experiment", "fraud")


def test_a_list_is_filtered_by_selectors_and_its_objects_have_their_kind(kube: Kube, side):
    for name, team in (("a", "risk"), ("b", "risk"), ("c", "sales")):
        side.ours("Experiment", name, {}, metadata={"labels": {"team": team}})
    found = kube.list("Experiment", labels="team=risk")
    assert [(each["kind"], each["apiVersion"], each["metadata"]["name"]) for each in found] == [
        ("Experiment", "modelyard.io/v1alpha1", "a"),
        ("Experiment", "modelyard.io/v1alpha1", "b"),
    ]
    assert [
        each["metadata"]["name"] for each in kube.list("Experiment", fields="metadata.name=c")
    ] == ["c"]
    everywhere = {
        each["metadata"]["namespace"] for each in kube.list("Experiment", all_namespaces=True)
    }
    assert kube.namespace in everywhere


def test_a_list_of_many_pages_is_complete(kube: Kube, side):
    for number in range(12):
        side.create("v1", "ConfigMap", f"m{number:03}", data={"a": "b"})
    kube.PAGE = 5
    assert [each["metadata"]["name"] for each in kube.list("ConfigMap")] == [
        f"m{number:03}" for number in range(12)
    ]


def test_a_broken_rule_is_reported_with_its_own_message_only(kube: Kube):
    with pytest.raises(Refused) as caught:
        kube.create(
            manifest(
                "TrainingRun",
                "r",
                experiment="fraud",
                trainer={"xgboost": {}, "container": {"image": "i"}},
            )
        )
    (problem,) = caught.value.problems
    assert problem.startswith("spec.trainer: name exactly one trainer: ")
    assert "Invalid value" not in str(caught.value)


def test_a_broken_pattern_is_reported_by_what_to_write_instead(kube: Kube):
    with pytest.raises(Refused) as caught:
        kube.create(manifest("TrainingRun", "r", experiment="Fraud!", trainer={"xgboost": {}}))
    assert caught.value.problems == (
        (
            "spec.experiment: write lower case letters, digits and dashes, with a letter or digit"
            " at both ends, such as fraud-3"
        ),
    )


def test_each_of_several_mistakes_has_a_line(kube: Kube):
    with pytest.raises(Refused) as caught:
        kube.create(
            manifest(
                "TrainingRun",
                "r",
                experiment="Fraud!",
                trainer={"xgboost": {}},
                dataset={"name": "!"},
            )
        )
    assert [problem.partition(":")[0] for problem in sorted(caught.value.problems)] == [
        "spec.dataset.name",
        "spec.experiment",
    ]
    assert str(caught.value).count("\n") == len(caught.value.problems)
    assert "some validation rules were not checked" not in str(caught.value)


def test_an_unknown_field_is_refused_not_dropped(kube: Kube):
    for write in (kube.create, kube.apply):
        with pytest.raises(Refused) as caught:
            write(manifest(descripton="typo"))
        assert any(
            '"spec.descripton"' in problem or "descripton" in problem
            for problem in caught.value.problems
        ), caught.value
    kube.create(manifest())
    with pytest.raises(Refused, match="descripton"):
        kube.patch("Experiment", "fraud", {"spec": {"descripton": "typo"}})


def test_a_name_in_use_is_refused(kube: Kube):
    kube.create(manifest())
    with pytest.raises(Refused, match="exists already"):
        kube.create(manifest())


def test_an_immutable_field_says_what_to_do(kube: Kube):
    kube.create(manifest("TrainingRun", "r", **RUN))
    with pytest.raises(Refused, match="create another one to train again"):
        kube.patch("TrainingRun", "r", {"spec": {"experiment": "other"}})


def test_a_field_of_another_manager_is_refused_with_its_owner_unless_forced(kube: Kube, side):
    body = manifest(description="theirs")
    body["metadata"]["namespace"] = side.namespace
    media = "application/apply-patch+yaml"
    answer = side.request(
        "PATCH", side.path("Experiment", "fraud"), body, media, fieldManager="gitops", force="true"
    )
    assert answer.ok, answer.message
    with pytest.raises(Refused) as caught:
        kube.apply(manifest(description="mine"))
    assert caught.value.problems == ("spec.description: owned by gitops",)
    assert kube.apply(manifest(description="mine"), force=True)["spec"]["description"] == "mine"


def test_apply_removes_fields_that_it_no_longer_has_and_keeps_those_of_others(kube: Kube):
    kube.apply(manifest(description="mine", tags={"team": "risk"}))
    kube.patch("Experiment", "fraud", {"metadata": {"labels": {"theirs": "yes"}}})
    after = kube.apply(manifest(tags={"team": "risk"}))
    assert "description" not in after["spec"] or not after["spec"]["description"]
    assert after["metadata"]["labels"] == {"theirs": "yes"}


def test_a_dry_run_is_refused_like_the_real_one_and_changes_nothing(kube: Kube):
    assert kube.apply(manifest(description="x"), dry_run=True)["spec"]["description"] == "x"
    with pytest.raises(Refused):
        kube.create(manifest("TrainingRun", "r", experiment="fraud", trainer={}), dry_run=True)
    assert kube.list("Experiment") == []


# --- rights ---------------------------------------------------------------------------------------
def test_a_forbidden_request_names_verb_resource_and_namespace(as_user):
    alice = as_user(READ)
    with pytest.raises(NotAllowed) as caught:
        alice.create(manifest())
    error = caught.value
    assert (error.verb, error.resource, error.namespace) == (
        "create",
        "experiments",
        alice.namespace,
    )
    assert (
        "Ask for the verb create on experiments (group modelyard.io) in the namespace"
        f" {alice.namespace}." in str(error)
    )
    with pytest.raises(NotAllowed) as caught:
        alice.list("Experiment", all_namespaces=True)
    assert "in the whole cluster" in str(caught.value)
    with pytest.raises(NotAllowed) as caught:
        alice.secret("modelyard-connection")
    assert (caught.value.verb, caught.value.resource) == ("get", "secrets")


def test_can_returns_the_user_s_rights(as_user):
    promote = {
        "apiGroups": ["modelyard.io"],
        "resources": ["registeredmodels/staging"],
        "verbs": ["promote"],
    }
    alice = as_user([*READ, promote])
    assert alice.can("list", "experiments")
    assert not alice.can("create", "experiments")
    assert alice.can("promote", "registeredmodels/staging")
    assert not alice.can("promote", "registeredmodels/production")
    assert not alice.can("list", "experiments", all_namespaces=True)


def test_an_unknown_user_is_told_to_log_in(side, opened, tmp_path: Path):
    path = tmp_path / "config"
    path.write_text(kubeconfig(side.server.url, side.server.ca.read_bytes(), "stale"))
    with pytest.raises(
        NotAllowed, match="Log in again, or correct the user of the context api in the kubeconfig"
    ):
        opened("x", kubeconfig=str(path)).list("Experiment")


def test_expired_credentials_are_renewed(side, opened, tmp_path: Path):
    """An exec plugin returns an expired token first, and a valid one on its second run."""
    plugin = tmp_path / "plugin"
    good, count = side.server.token, tmp_path / "count"
    plugin.write_text(f"""#!{sys.executable}
import json, pathlib
count = pathlib.Path({str(count)!r})
calls = len(count.read_text()) if count.exists() else 0
count.write_text("x" * (calls + 1))
token = {good!r} if calls else "stale"
status = {{"token": token}}
version = "client.authentication.k8s.io/v1"
print(json.dumps({{"apiVersion": version, "kind": "ExecCredential", "status": status}}))
""")
    plugin.chmod(0o755)
    config = json.loads(kubeconfig(side.server.url, side.server.ca.read_bytes(), ""))
    config["users"][0]["user"] = {
        "exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": str(plugin)}
    }
    (tmp_path / "config").write_text(json.dumps(config))
    kube = opened(side.namespace, kubeconfig=str(tmp_path / "config"))
    assert kube.list("Experiment") == []
    assert kube.list("Experiment") == []
    assert len(count.read_text()) == 2


# --- failing connections --------------------------------------------------------------------------
def test_an_address_without_a_server_is_unreachable(side, opened, tmp_path: Path):
    path = tmp_path / "config"
    path.write_text(kubeconfig("https://127.0.0.1:1", side.server.ca.read_bytes(), "t"))
    with pytest.raises(Unreachable, match=r"https://127\.0\.0\.1:1 does not answer"):
        opened("x", kubeconfig=str(path)).list("Experiment")


def test_a_missing_kubeconfig_and_a_wrong_context_have_different_errors(
    side, opened, tmp_path: Path
):
    with pytest.raises(Unreachable, match="There is no kubeconfig at"):
        opened("x", kubeconfig=str(tmp_path / "absent")).list("Experiment")
    with pytest.raises(Unreachable, match="has no context nowhere"):
        opened("x", context="nowhere", kubeconfig=str(side.server.kubeconfig)).list("Experiment")
    (tmp_path / "broken").write_text("{")
    with pytest.raises(Unreachable, match="cannot be used"):
        opened("x", kubeconfig=str(tmp_path / "broken")).list("Experiment")


def test_the_namespace_is_that_of_the_context_that_is_used(side, opened, tmp_path: Path):
    config = json.loads(kubeconfig(side.server.url, side.server.ca.read_bytes(), side.server.token))
    config["contexts"][0]["context"]["namespace"] = "first"
    config["contexts"].append(
        {"name": "other", "context": {"cluster": "api", "user": "admin", "namespace": "second"}}
    )
    (tmp_path / "config").write_text(json.dumps(config))
    assert opened(kubeconfig=str(tmp_path / "config")).namespace == "first"
    assert opened(context="other", kubeconfig=str(tmp_path / "config")).namespace == "second"
    assert opened(kubeconfig=str(side.server.kubeconfig)).namespace == "default"


def test_two_clients_do_not_share_a_session(side, opened, tmp_path: Path):
    """One has a wrong address: a client that reused its session would fail."""
    (tmp_path / "config").write_text(
        kubeconfig("https://127.0.0.1:1", side.server.ca.read_bytes(), "t")
    )
    nowhere = opened("x", kubeconfig=str(tmp_path / "config"))
    with pytest.raises(Unreachable):
        nowhere.list("Experiment")
    assert opened(side.namespace, kubeconfig=str(side.server.kubeconfig)).list("Experiment") == []


def test_a_missing_namespace_is_not_found(side, opened):
    with pytest.raises(NotFound, match="There is no namespace nowhere in this cluster"):
        opened("nowhere", kubeconfig=str(side.server.kubeconfig)).create(manifest())


def test_keys_of_a_kubeconfig_are_not_left_in_the_temporary_folder(side, tmp_path: Path):
    code = f"""
from modelyard.client.kube import Kube
Kube({side.namespace!r}, kubeconfig={str(side.server.kubeconfig)!r}).list("Experiment")
"""
    environment = os.environ | {"TMPDIR": str(tmp_path), "PYTHONPATH": "operator"}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)
    assert list(tmp_path.iterdir()) == []
    assert tempfile.gettempdir() != str(tmp_path)


# --- watching -------------------------------------------------------------------------------------
def test_a_watch_yields_existing_objects_and_then_changes(kube: Kube, side):
    side.ours("Experiment", "a", {})
    events = kube.watch("Experiment", seconds=180)
    assert [(event.type, event.object["metadata"]["name"]) for event in (next(events),)] == [
        ("Added", "a")
    ]
    side.ours("Experiment", "b", {})
    side.patch("Experiment", "a", {"spec": {"description": "x"}})
    side.delete("Experiment", "a")
    seen = [
        (event.type, event.object["metadata"]["name"])
        for event in (next(events), next(events), next(events))
    ]
    assert seen == [("Added", "b"), ("Modified", "a"), ("Deleted", "a")]
    events.close()


def test_a_watch_ends_when_its_time_is_over(kube: Kube):
    assert list(kube.watch("Experiment", seconds=0.3)) == []


def test_a_timeout_says_what_was_waited_for(kube: Kube):
    with pytest.raises(TimedOut, match=r"waiting for the moon"):
        kube.until("Experiment", "fraud", lambda _: None, what="the moon", seconds=0.3)


def test_a_wait_observes_an_object_that_is_created_later(kube: Kube, side):
    with side.meanwhile(
        "Namespace", side.namespace, lambda there: there.ours("Experiment", "late", {})
    ):
        found = kube.until("Experiment", "late", lambda body: body, what="it", seconds=180)
    assert found["metadata"]["name"] == "late"


def test_deleting_waits_for_the_finalizer(kube: Kube, side):
    side.ours("Experiment", "held", {}, metadata={"finalizers": ["example.com/held"]})
    with pytest.raises(TimedOut, match="it has finalizers"):
        kube.delete("Experiment", "held", wait=0.3)
    side.ours("Experiment", "other", {}, metadata={"finalizers": ["example.com/held"]})

    def let_go(there) -> None:
        until(
            lambda: there.get("Experiment", "other")["metadata"].get("deletionTimestamp"),
            "it is being deleted",
        )
        there.patch("Experiment", "other", {"metadata": {"finalizers": None}})

    with side.meanwhile("Experiment", "other", let_go):
        kube.delete("Experiment", "other", wait=30)
    assert side.gone("Experiment", "other")


def test_many_threads_use_one_client(kube: Kube, side):
    side.ours("Experiment", "a", {})
    found: list[str] = []
    threads = [
        threading.Thread(
            target=lambda: found.append(kube.get("Experiment", "a")["metadata"]["name"])
        )
        for _ in range(8)
    ]
    for each in threads:
        each.start()
    for each in threads:
        each.join(30)
    assert found == ["a"] * 8


def test_config_maps_and_secrets_are_text(kube: Kube, side):
    side.secret("s", {"key": "välue"})
    side.create("v1", "ConfigMap", "m", data={"a": "b"})
    assert kube.secret("s") == {"key": "välue"}
    assert kube.config_map("m") == {"a": "b"}


def test_a_missing_pod_has_no_log(kube: Kube):
    with pytest.raises(NotFound, match="There is no Pod"):
        list(kube.logs("absent"))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_a_forked_process_opens_its_own_connection(side):
    """As in a notebook's worker processes, the child does not have the loop's thread."""
    code = f"""
import os
from modelyard.client.kube import Kube
kube = Kube({side.namespace!r}, kubeconfig={str(side.server.kubeconfig)!r})
kube.list("Experiment")
child = os.fork()
if not child:
    kube.list("Experiment")
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
"""
    environment = os.environ | {"PYTHONPATH": "operator"}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True, timeout=240)
