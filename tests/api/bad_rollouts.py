"""Invalid rollouts: rows of `test_bad_input`."""

from tests.api.objects import Manifest, model

__all__ = ["ROLLOUTS"]

STEPS = [{"weight": 10}, {"hold": "10m"}]


def rollout(**asked: object) -> Manifest:
    """A model whose stage has this rollout."""
    return model(stages={"production": {"rollout": asked}})


def step(**asked: object) -> Manifest:
    """A canary with this step."""
    return rollout(strategy="Canary", steps=[asked])


ROLLOUTS: dict[str, tuple[Manifest, str]] = {
    "no strategy of ours": (rollout(strategy="BlueGreen"), 'supported values: "Replace", "Canary"'),
    "a canary without steps": (rollout(strategy="Canary"), "a canary has steps, such as"),
    "a canary with an empty list": (
        rollout(strategy="Canary", steps=[]),
        "a canary has steps, such as",
    ),
    "steps without a canary": (rollout(steps=STEPS), "belong to strategy: Canary"),
    "an invitation without a canary": (
        rollout(strategy="Replace", invite={"header": "x"}),
        "belong to strategy: Canary",
    ),
    "a step of nothing": (step(), "a step has exactly one of weight, hold, pause and replicas"),
    "a step of two": (
        step(weight=5, hold="1m"),
        "a step has exactly one of weight, hold, pause and replicas",
    ),
    "a weight above all": (step(weight=101), "less than or equal to 100"),
    "a weight below nothing": (step(weight=-1), "greater than or equal to 0"),
    "a pause of a time": (
        step(pause={"duration": "5m"}),
        "a pause has no fields: write pause: {}, or to wait for a time hold: 5m",
    ),
    "an analysis at weight 100": (
        rollout(strategy="Canary", steps=[{"weight": 100}, {"hold": "1h"}], analysis={}),
        "with an analysis write weights below 100",
    ),
    "no pods": (step(replicas=0), "greater than or equal to 1"),
    "no time": (step(hold="0s"), "write a duration above zero, such as 10m"),
    "a time of no unit": (step(hold="10"), "write a whole number and s, m, h or d"),
    "a time without an end": (step(hold="9999d"), "write at most 99d"),
    "sticky by nothing": (
        rollout(strategy="Canary", steps=STEPS, sticky={}),
        "write either header or cookie",
    ),
    "sticky by both": (
        rollout(strategy="Canary", steps=STEPS, sticky={"header": "a", "cookie": "b"}),
        "write either header or cookie",
    ),
    "a header with a space": (
        rollout(strategy="Canary", steps=STEPS, invite={"header": "x y"}),
        "write letters, digits, dashes",
    ),
}
