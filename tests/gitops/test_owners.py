"""One RegisteredModel with two owners: one applies versions, the other applies stages."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chart.helm import ROOT, Manifest, Refused, documents, kubectl
from tests.cluster.apiserver import ApiServer
from tests.gitops.synced import Synced

pytestmark = pytest.mark.api

OWNERS = ROOT / "manifests" / "gitops" / "owners"
VERSIONS, STAGES = OWNERS / "versions.yaml", OWNERS / "stages.yaml"
DORA = "dora-the-data-scientist"
RITA = "rita-the-release-manager"
LEA = "lea-the-lead"


class Team:
    """A user who applies files with one field manager."""

    def __init__(self, server: ApiServer, user: str, manager: str) -> None:
        self.server, self.user, self.manager = server, user, manager

    def apply(self, text: str) -> None:
        """Apply files as the samples' first lines say; raises ``Refused``."""
        words = (
            "apply",
            "--server-side",
            f"--field-manager={self.manager}",
            f"--as={self.user}",
            "--validate=strict",
            "--filename",
            "-",
        )
        kubectl(*words, kubeconfig=self.server.kubeconfig, stdin=text)


@pytest.fixture
def science(installed: ApiServer) -> Team:
    return Team(installed, DORA, "data-science")


@pytest.fixture
def release(installed: ApiServer) -> Team:
    return Team(installed, RITA, "release-team")


@pytest.fixture
def model(synced: Synced, science: Team, release: Team) -> Synced:
    """The model as both users have applied it."""
    science.apply(VERSIONS.read_text())
    synced.applied[synced.path(of(VERSIONS))] = of(VERSIONS)
    release.apply(STAGES.read_text())
    return synced


def of(file: Path) -> Manifest:
    (found,) = documents(file.read_text())
    return found


def owned(manifest: Manifest, manager: str) -> set[str]:
    """Return the parts of the spec that a field manager owns, by the object's managedFields."""
    (entry,) = [
        each for each in manifest["metadata"]["managedFields"] if each["manager"] == manager
    ]
    return {name.removeprefix("f:") for name in entry["fieldsV1"]["f:spec"]}


def test_the_samples_are_of_one_model_and_share_no_field():
    one, other = of(VERSIONS), of(STAGES)
    assert one["metadata"] == other["metadata"]
    assert not set(one["spec"]) & set(other["spec"])


def test_each_manager_owns_what_it_applied(model: Synced):
    there = model.live(of(VERSIONS))
    assert owned(there, "data-science") == {"description", "versions"}
    assert owned(there, "release-team") == {"stages"}
    assert set(there["spec"]["versions"]) == {"v1", "v2"}
    assert there["spec"]["stages"]["production"]["version"] == "v1"


def test_data_scientists_apply_first_because_a_release_manager_may_not_create(
    synced: Synced, science: Team, release: Team
):
    with pytest.raises(
        Refused, match='"rita-the-release-manager" cannot create resource "registeredmodels"'
    ):
        release.apply(STAGES.read_text())
    science.apply(VERSIONS.read_text())
    synced.applied[synced.path(of(STAGES))] = of(STAGES)
    release.apply(STAGES.read_text())


def test_applying_again_changes_nothing(model: Synced, science: Team, release: Team):
    before = model.live(of(VERSIONS))["metadata"]["resourceVersion"]
    for team, file in ((science, VERSIONS), (release, STAGES), (science, VERSIONS)):
        team.apply(file.read_text())
    assert model.live(of(VERSIONS))["metadata"]["resourceVersion"] == before


def test_a_new_version_leaves_the_stages_alone(model: Synced, science: Team):
    before = model.live(of(VERSIONS))["spec"]
    science.apply(VERSIONS.read_text() + "    v3: {runId: 2f1e2d3c4b5a69788796a5b4c3d2e1f0}\n")
    after = model.live(of(VERSIONS))["spec"]
    assert set(after["versions"]) == {"v1", "v2", "v3"}
    assert after["stages"] == before["stages"]


def test_a_promotion_leaves_the_versions_alone(model: Synced, release: Team):
    before = model.live(of(VERSIONS))["spec"]
    release.apply(STAGES.read_text().replace("version: v1", "version: v2"))
    after = model.live(of(VERSIONS))["spec"]
    assert after["stages"]["production"]["version"] == "v2"
    assert {**after, "stages": None} == {**before, "stages": None}


def test_fields_that_an_owner_drops_are_removed_and_nothing_else(model: Synced, science: Team):
    before = model.live(of(VERSIONS))["spec"]
    shorter = "\n".join(
        line for line in VERSIONS.read_text().splitlines() if "description" not in line
    )
    science.apply(shorter)
    after = model.live(of(VERSIONS))["spec"]
    assert not after.get("description")
    assert {**after, "description": None} == {**before, "description": None}


def test_a_conflict_is_refused_and_names_the_owner(
    model: Synced, installed: ApiServer, release: Team
):
    """Lea may do both; she still learns whose field it is before she takes it."""
    taken = STAGES.read_text().replace("version: v1", "version: v2")
    with pytest.raises(
        Refused, match=r'conflict with "release-team".*\.spec\.stages\.production\.version'
    ):
        Team(installed, LEA, "data-science").apply(taken)
    words = STAGES.read_text().replace("  stages:", "  description: ours now\n  stages:")
    with pytest.raises(Refused, match=r'conflict with "data-science".*\.spec\.description'):
        release.apply(words)
    assert model.live(of(VERSIONS))["spec"]["stages"]["production"]["version"] == "v1"


def test_a_user_without_the_right_to_promote_owns_versions_and_no_stage(
    synced: Synced, science: Team
):
    with pytest.raises(Refused, match=r"may not change stage .*the verb promote"):
        science.apply(STAGES.read_text())
    science.apply(VERSIONS.read_text())
    synced.applied[synced.path(of(VERSIONS))] = of(VERSIONS)
    with pytest.raises(Refused, match="the verb promote"):
        Team(science.server, DORA, "release-team").apply(STAGES.read_text())
    assert "stages" not in synced.live(of(VERSIONS))["spec"]
