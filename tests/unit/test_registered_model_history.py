"""Why a stage changed hands, as the history says it."""

from tests.unit.model_world import World


def test_the_history_says_why_if_it_was_said_of_this_very_change():
    world = World(stages={"production": {"version": "v1"}})
    world.settle()
    for version, why in (
        ("v2", "v2: better on the holdout"),
        ("v1", None),
        ("v2", None),
        (None, "none: retired \x1b[31m"),
        ("v1", "v2: of another"),
    ):
        if why:
            world.annotate(**{"reason.modelyard.io/production": why})
        world.edit(production=version)
        world.settle()
    assert [(entry.to, entry.reason) for entry in world.model.status.history] == [
        ("v1", None),
        ("v2", "better on the holdout"),
        ("v1", None),
        ("v2", None),
        (None, "retired"),
        ("v1", None),
    ]
