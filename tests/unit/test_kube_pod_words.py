"""Messages of pods reach decisions with their reason and without credentials."""

from __future__ import annotations

import json
from typing import Any

from modelyard.api.pod_end import PodReason
from modelyard.api.text import HIDDEN, TextFilter
from modelyard.kube.pod_state import pod_end
from modelyard.kube.pod_words import cleaned

WORDS = TextFilter(("the-secret-key", "ContainerFailed!", "ArtifactDigestMismatch"))


def pod(said: str, /, **status: Any) -> dict[str, Any]:
    ended = {"exitCode": 65, "reason": "Error", "message": said}
    return {
        "kind": "Pod",
        "metadata": {"name": "p"},
        "status": {
            "containerStatuses": [{"name": "trainer", "state": {"terminated": ended}}],
            **status,
        },
    }


def test_the_last_lines_of_a_log_lose_credentials_and_keep_their_lines():
    found = pod_end(cleaned(pod("KEY=the-secret-key\n\x1b[31mTraceback\n"), WORDS))
    assert found is not None
    assert (found.reason, found.log) == (PodReason.CONTAINER_FAILED, "KEY=***\nTraceback\n")


def test_a_termination_message_keeps_its_reason_whatever_the_secret_is():
    said = json.dumps(
        {"reason": "ArtifactDigestMismatch", "message": "got the-secret-key\u202e\x1b[2J"}
    )
    for words, message in ((WORDS, "got ***"), (TextFilter(unknown=True), HIDDEN)):
        found = pod_end(cleaned(pod(said), words))
        assert found is not None
        assert (found.reason, found.message) == (PodReason.DIGEST_MISMATCH, message)


def test_json_of_others_is_cleaned_throughout():
    log = (
        '{"level": "error", "the-secret-key": [{"reason": "the-secret-key"}],'
        ' "\\u0074he-secret-key": 1}'
    )
    found = pod_end(cleaned(pod(log), WORDS))
    assert found is not None
    assert "the-secret" not in found.log
    assert "level" in found.log


def test_invalid_json_is_cleaned_as_text():
    for log in (
        '{"a": the-secret-key',
        "{" * 4000 + "the-secret-key",
        '{"a":' * 3000 + "1" + "}" * 3000,
    ):
        assert "the-secret-key" not in json.dumps(cleaned(pod(log), WORDS))


def test_all_messages_of_a_status_are_cleaned_and_nothing_else_is_touched():
    waiting = {
        "name": "fetch",
        "image": "the-secret-key:1",
        "state": {"waiting": {"reason": "x", "message": "the-secret-key"}},
    }
    before = pod(
        "",
        message="the-secret-key",
        conditions=[{"type": "PodScheduled", "message": "the-secret-key \u202e"}],
        initContainerStatuses=[
            waiting,
            {"name": "m", "lastState": {"terminated": {"message": "the-secret-key"}}},
        ],
    )
    status = cleaned(before, WORDS)["status"]
    assert (status["message"], status["conditions"][0]["message"]) == ("***", "*** ")
    assert status["initContainerStatuses"][0] == {
        "name": "fetch",
        "image": "the-secret-key:1",
        "state": {"waiting": {"reason": "x", "message": "***"}},
    }
    assert status["initContainerStatuses"][1]["lastState"]["terminated"]["message"] == "***"
    assert before["status"]["message"] == "the-secret-key"


def test_an_object_without_messages_is_returned_unchanged():
    quiet = {
        "kind": "Job",
        "metadata": {"name": "j"},
        "status": {"active": 1, "conditions": [{"type": "x"}]},
    }
    for each in (quiet, {"kind": "ConfigMap", "metadata": {"name": "c"}}):
        assert cleaned(each, TextFilter(unknown=True)) is each
