"""Messages of pods and scripts lose credentials and hidden characters before users see them."""

from __future__ import annotations

import base64
import json
import logging

import pytest

from modelyard.kube.names import FAILURE_TAG
from tests.story.model_acts import registers
from tests.story.stories import Fate, ends, trains
from tests.story.world import World

SECRET = "the-secret-of-risk"
BASIC = base64.b64encode(f"anna:{SECRET}".encode()).decode()
HOSTILE = f"\x1b]52;c;cm0gLXJm\x07{SECRET}\u202e {BASIC} \x9b31mred"


def shown(world: World, plural: str, name: str, caplog: pytest.LogCaptureFixture) -> str:
    """Return everything that users and the operator's log see."""
    events = [list(event) for event in world.cluster.events]
    logged = [record.getMessage() for record in caplog.records]
    return json.dumps([world.status(plural, name), events, logged], ensure_ascii=False)


def assert_clean(text: str) -> None:
    assert "***" in text
    assert "red" in text
    assert SECRET not in text
    assert "YW5uYTp0aGUtc2Vj" not in text
    assert not any(char in text for char in "\x1b\x9b\u202e\x07")
    assert not any(f"\\u{code}" in text for code in ("001b", "009b", "202e", "0007"))


@pytest.fixture
def world(caplog: pytest.LogCaptureFixture) -> World:
    caplog.set_level(logging.DEBUG)
    made = World()
    made.tenants.credentials = (SECRET,)
    return made


async def test_the_last_lines_of_a_pod_that_failed(world: World, caplog: pytest.LogCaptureFixture):
    state = {"exitCode": 1, "message": f"AWS_SECRET_ACCESS_KEY={HOSTILE}\n", "reason": "Error"}
    pod = {
        "phase": "Failed",
        "containerStatuses": [{"name": "trainer", "state": {"terminated": state}}],
    }
    trains(world, fate=Fate(pod, failed="BackoffLimitExceeded"), backoffLimit=0)
    await world.run()
    text = shown(world, "trainingruns", "run", caplog)
    assert_clean(text)
    assert "AWS_SECRET_ACCESS_KEY=***" in world.status("trainingruns", "run")["failure"]["log"]


async def test_a_termination_message(world: World, caplog: pytest.LogCaptureFixture):
    trains(world, fate=ends(65, reason="DatasetDigestMismatch", message=HOSTILE), backoffLimit=0)
    await world.run()
    assert world.condition("trainingruns", "run", "Succeeded") == ("False", "DatasetDigestMismatch")
    assert_clean(shown(world, "trainingruns", "run", caplog))


async def test_why_a_version_cannot_be_served(world: World, caplog: pytest.LogCaptureFixture):
    world.fates["v1"] = ends(67, container="model", reason="LoadFailed", message=HOSTILE)
    registers(world, production="v1")
    await world.run()
    assert_clean(shown(world, "registeredmodels", "fraud", caplog))


async def test_what_a_script_logged_to_mlflow(world: World, caplog: pytest.LogCaptureFixture):
    world.notebooks["run"] = ["beat"]
    trains(world, trainer={"external": {}}, backoffLimit=0)
    await world.run()
    run = world.status("trainingruns", "run")["mlflow"]["runId"]
    await world.tracking.log_parameters(run, {"key": HOSTILE, f"{SECRET}\u202e": "1"})
    await world.tracking.set_run_tags(run, {FAILURE_TAG: HOSTILE})
    await world.tracking.finish_run(run, "FAILED")
    await world.run()
    status = world.status("trainingruns", "run")
    assert sorted(status["parameters"]) == ["***", "key"]
    assert status["parameters"]["key"].startswith("*** YW5uYTp***")
    assert status["failure"]["message"].startswith("***")
    assert_clean(shown(world, "trainingruns", "run", caplog))
