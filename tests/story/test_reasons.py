"""Every documented reason is reached by a story, and every reason of a story is documented."""

import pytest

from modelyard.api.conditions import EngineReason
from modelyard.api.kinds import KINDS
from modelyard.engine.engine import Options
from tests.story import approval_stories, model_stories, rollout_stories, run_stories
from tests.story.world import World

STORIES = {
    **run_stories.STORIES,
    **model_stories.STORIES,
    **approval_stories.STORIES,
    **rollout_stories.STORIES,
}
EVERY_KIND = {f"Every kind {reason}" for reason in EngineReason}
DOCUMENTED = EVERY_KIND | {
    f"{kind.resource.KIND} {reason}" for kind in KINDS for reason in kind.reasons
}
OWED: set[str] = set()
"""Documented, and reached by no story yet. A reason is here for no longer than a branch lives."""


@pytest.mark.parametrize("name", STORIES)
async def test_a_story_reaches_the_reasons_that_it_names_and_none_that_is_undocumented(
    name: str, caplog: pytest.LogCaptureFixture
):
    story = STORIES[name]
    world = World(Options(deadline=story.deadline))
    await story.live(world)
    world.check_statuses()
    engines = {each for each in world.reasons if f"Every kind {each.split()[1]}" in EVERY_KIND}
    given = (world.reasons - engines) | {f"Every kind {each.split()[1]}" for each in engines}
    assert given >= story.reaches, "reached otherwise"
    assert given <= DOCUMENTED, "written, and documented nowhere"
    if story.logs:
        assert [record for record in caplog.records if record.levelname == "ERROR"]
        caplog.clear()


def test_every_documented_reason_is_reached_by_a_story():
    reached = frozenset().union(*(story.reaches for story in STORIES.values()))
    assert sorted(DOCUMENTED - reached - OWED) == [], "no story reaches these"
    assert sorted(reached & OWED) == [], "no longer owed"
