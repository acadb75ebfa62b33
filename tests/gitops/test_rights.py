"""With manifests/gitops/rights.yaml the engine can sync, promote and prune; with less it cannot."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml

from tests.chart.api import Api, Manifest, eventually, path_of
from tests.chart.helm import ROOT, Refused, documents, kubectl
from tests.chart.policies.objects import plural_path
from tests.cluster.apiserver import ApiServer
from tests.gitops.synced import objects

GITOPS = ROOT / "manifests" / "gitops"
REPOSITORY = GITOPS / "repository"
BINDINGS = path_of("rbac.authorization.k8s.io/v1/rolebindings", "risk")
FORBIDDEN = 403


def named(body: Manifest, name: str) -> Manifest:
    """Return the object under another name, so that it does not conflict with other tests;
    references keep theirs.
    """
    return body | {"metadata": body["metadata"] | {"name": name}}


def apply(engine: Api, body: Manifest) -> int:
    return engine.apply(plural_path(body, body["metadata"]["name"]), body).code


@pytest.mark.api
def test_both_engines_sync_the_repository_promote_and_prune(installed: ApiServer):
    kubectl("apply", "--server-side", "-f", GITOPS / "rights.yaml", kubeconfig=installed.kubeconfig)
    admin = Api(installed)
    for number, account in enumerate(
        ("argocd:argocd-application-controller", "flux-system:kustomize-controller")
    ):
        engine = admin.as_user(f"system:serviceaccount:{account}")
        bodies = [
            named(each, f"{each['metadata']['name']}-{number}") for each in objects(REPOSITORY)
        ]
        eventually(
            lambda engine=engine, bodies=bodies: apply(engine, bodies[0]) == 201,
            "the rights are in force",
        )
        assert [apply(engine, each) for each in bodies[1:]] == [201] * (len(bodies) - 1)
        model = next(each for each in bodies if each["kind"] == "RegisteredModel")
        model["spec"]["stages"]["production"]["version"] = "v2"
        assert apply(engine, model | {"spec": model["spec"] | {"deletionPolicy": "Delete"}}) == 200
        # Pruned: also a model in production. The policies leave it to the account's rights.
        assert [
            engine.delete(plural_path(each, each["metadata"]["name"])).code for each in bodies
        ] == [200] * len(bodies)


@pytest.mark.api
def test_the_role_of_a_release_manager_alone_is_not_enough(installed: ApiServer):
    editor, releases = documents((GITOPS / "rights.yaml").read_text())
    admin = Api(installed)
    for body, user in ((releases, "releases-only"), (editor, "edits-only")):
        subject = {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}
        assert (
            admin.create(BINDINGS, body | {"metadata": {"name": user}, "subjects": [subject]}).code
            == 201
        )
    run, model = (
        {each["kind"]: each for each in objects(REPOSITORY)}[kind]
        for kind in ("TrainingRun", "RegisteredModel")
    )
    run, model = named(run, "rights"), named(model, "rights")
    edits, releases = admin.as_user("edits-only"), admin.as_user("releases-only")
    eventually(lambda: apply(edits, run) in (200, 201), "the right is in force")
    assert apply(edits, model) == FORBIDDEN, "its stages have versions"
    assert (apply(releases, model), apply(releases, run)) == (FORBIDDEN, FORBIDDEN)
    assert admin.delete(plural_path(run, "rights")).code == 200


def test_the_model_of_the_sample_is_not_pruned():
    (model,) = (each for each in objects(REPOSITORY) if each["kind"] == "RegisteredModel")
    assert model["metadata"]["annotations"] == {
        "argocd.argoproj.io/sync-options": "Prune=false",
        "kustomize.toolkit.fluxcd.io/prune": "disabled",
    }


def test_an_owner_of_models_alone_cannot_remove_one(tmp_path: Path):
    copy = tmp_path / "models"
    shutil.copytree(REPOSITORY, copy)
    file = copy / "models" / "fraud" / "kustomization.yaml"
    said = yaml.safe_load(file.read_text())
    said["resources"].remove("model.yaml")
    file.write_text(yaml.safe_dump(said))
    with pytest.raises(Refused, match="no matches for Id RegisteredModel"):
        kubectl("kustomize", copy)
