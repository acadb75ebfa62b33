"""Whether the registration of a version is complete: a table of states with their results."""

from __future__ import annotations

from typing import Any

import pytest

from modelyard.api.registered_model import RegisteredModel
from modelyard.client.progress import State, version_registration
from tests.cli.objects import model, stalled, version

BY_RUN = {"runId": "3" * 32}
WAITS = {"reason": "WaitingForVersion", "message": "The run has not ended yet."}
GONE = {"reason": "ArtifactMissing", "message": "There is no MLmodel file.", "needsAction": True}


def declared(*versions: dict[str, Any], **more: Any) -> RegisteredModel:
    return model(
        {}, versions=list(versions), wanted=None, **({"spec_versions": {"v3": BY_RUN}} | more)
    )


VERSIONS: dict[str, tuple[RegisteredModel, State, str]] = {
    "it is registered": (declared(version("v3")), State.DONE, ""),
    "it is recorded, and MLflow has no number yet": (declared({"name": "v3"}), State.UNDER_WAY, ""),
    "it has no status yet": (declared(), State.UNDER_WAY, ""),
    "it waits": (declared({"name": "v3", "blocked": WAITS}), State.UNDER_WAY, ""),
    "its source is gone": (
        declared({"name": "v3", "blocked": GONE}),
        State.FAILED,
        "ArtifactMissing",
    ),
    "another source was registered under its name": (
        declared(version("v3", runId="4" * 32)),
        State.FAILED,
        "VersionTaken",
    ),
    "the status is of an older spec": (declared(version("v3"), observed=2), State.UNOBSERVED, ""),
    "the read is older than the write": (
        declared(version("v3"), generation=2),
        State.UNOBSERVED,
        "",
    ),
    "another user has removed it": (
        declared(version("v3"), spec_versions={}),
        State.SUPERSEDED,
        "Superseded",
    ),
    "the model's name is taken": (
        declared(conditions=stalled("NameTaken", "It is another's.")),
        State.FAILED,
        "NameTaken",
    ),
}


@pytest.mark.parametrize("name", VERSIONS)
def test_the_progress_of_a_registration(name: str):
    there, state, reason = VERSIONS[name]
    found = version_registration(there, "v3", BY_RUN, 3)
    assert (found.state, found.reason) == (state, reason)


def test_a_trailing_slash_does_not_make_another_tree():
    there = declared(
        version("v3", uri="s3://bucket/m/"), spec_versions={"v3": {"uri": "s3://bucket/m"}}
    )
    assert version_registration(there, "v3", {"uri": "s3://bucket/m"}, 3).state is State.DONE
    assert version_registration(there, "v3", {"uri": "s3://bucket/n"}, 3).state is State.FAILED
