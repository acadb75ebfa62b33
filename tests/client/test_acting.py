"""Impersonation by kubeconfig and caller, on a real API server with the chart's policies."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from modelyard.client.client import Client
from modelyard.client.errors import NotAllowed, Unreachable
from modelyard.client.kube import Impersonation, Kind, Kube
from tests.client.conftest import VERBS
from tests.client.side import Side
from tests.harness import until

REVIEW = Kind(
    "authentication.k8s.io/v1", "SelfSubjectReview", "selfsubjectreviews", namespaced=False
)
EDIT = [{"apiGroups": ["modelyard.io"], "resources": ["registeredmodels"], "verbs": VERBS}]


def kubeconfig(side: Side, folder: Path, **user: Any) -> str:
    """The administrator's kubeconfig, with further fields of its user."""
    config = json.loads(side.server.kubeconfig.read_text())
    config["users"][0]["user"].update(user)
    path = folder / "acting.kubeconfig"
    path.write_text(json.dumps(config))
    return str(path)


def who(kube: Kube) -> dict[str, Any]:
    """Return the user as the API server sees it."""
    review = {"apiVersion": REVIEW.api_version, "kind": REVIEW.name}
    return kube._session.ask("create", REVIEW, "", None, body=review)["status"]["userInfo"]


def test_the_user_in_a_kubeconfig_is_impersonated(
    side: Side, tmp_path: Path, opened: Callable[..., Kube]
):
    extra = {"example.com/team": ["fraud", "risk"]}
    config = kubeconfig(
        side,
        tmp_path,
        **{"as": "vera", "as-groups": ["a", "b"], "as-uid": "7", "as-user-extra": extra},
    )
    seen = who(opened(side.namespace, kubeconfig=config))
    assert (seen["username"], seen["uid"], seen["extra"]) == ("vera", "7", extra)
    assert set(seen["groups"]) == {"a", "b", "system:authenticated"}


def test_the_caller_s_impersonation_overrides_the_kubeconfig(
    side: Side, tmp_path: Path, opened: Callable[..., Kube]
):
    config = kubeconfig(side, tmp_path, **{"as": "vera", "as-groups": ["a"]})
    seen = who(opened(side.namespace, kubeconfig=config, acting=Impersonation("dan")))
    assert (seen["username"], set(seen["groups"])) == ("dan", {"a", "system:authenticated"})
    seen = who(opened(side.namespace, kubeconfig=config, acting=Impersonation(groups=("b", "c"))))
    assert (seen["username"], set(seen["groups"])) == ("vera", {"b", "c", "system:authenticated"})


def test_a_promotion_is_refused_if_the_impersonated_user_lacks_the_right(
    side: Side, policies: None, tmp_path: Path
):
    side.ours(
        "RegisteredModel",
        "fraud",
        {"stages": {"production": {}}, "versions": {"v1": {"runId": "a"}}},
    )
    side.user("vera", EDIT, tmp_path)
    vera = Impersonation(f"system:serviceaccount:{side.namespace}:vera")
    with Client(side.namespace, kubeconfig=str(side.server.kubeconfig), acting=vera) as client:

        def refused() -> NotAllowed | None:
            patch = {"spec": {"stages": {"production": {"version": "v1"}}}}
            try:
                client.kube.patch("RegisteredModel", "fraud", patch, dry_run=True)
            except NotAllowed as error:
                return error
            return None

        error = until(refused, "it is refused", 60)
        assert (error.verb, error.resource) == ("promote", "registeredmodels/production")
        assert not client.kube.can("promote", "registeredmodels/production")
        assert client.kube.can("patch", "registeredmodels")


def test_impersonation_without_the_right_is_not_allowed(
    side: Side, as_user: Callable[..., Kube], tmp_path: Path, opened: Callable[..., Kube]
):
    config = str(side.user("ada", EDIT, tmp_path))
    with pytest.raises(NotAllowed, match="ada may not impersonate users in the whole cluster"):
        opened(side.namespace, kubeconfig=config, acting=Impersonation("vera")).list(
            "RegisteredModel"
        )


@pytest.mark.parametrize(
    ("user", "error", "words"),
    [
        ({"as-groups": ["a"]}, ValueError, "no user to act as: name the user too"),
        (
            {"as": "vera", "as-groups": "a"},
            Unreachable,
            "as-groups has to be a list of texts, not 'a'",
        ),
        ({"as": 7}, Unreachable, "as has to be a text, not 7: write it in quotes"),
        (
            {"as": "vera", "as-user-extra": ["a"]},
            Unreachable,
            "as-user-extra has to be a map of lists of texts",
        ),
        (
            {"as": "vera\nImpersonate-Group: system:masters"},
            Unreachable,
            "has characters that are not printable",
        ),
    ],
    ids=["groups alone", "no list", "a number", "no map", "a line break"],
)
def test_an_invalid_impersonation_is_refused_before_any_request(
    user: dict[str, Any], error: type, words: str, tmp_path: Path
):
    config = {
        "clusters": [{"name": "a", "cluster": {"server": "https://127.0.0.1:1"}}],
        "users": [{"name": "a", "user": {"token": "a", **user}}],
        "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}],
        "current-context": "a",
    }
    (tmp_path / "config").write_text(json.dumps(config))
    with Kube("n", kubeconfig=str(tmp_path / "config")) as kube, pytest.raises(error, match=words):
        kube.list("Pod")
