"""Draw a version for a request: pure."""

import random
from collections.abc import Sequence
from typing import Any

import pytest

from modelyard_runtime.serve.rule import Rule
from modelyard_runtime.serve.split import Drawn, Split
from tests.runtime.canary import band

USERS = 3000


def split(weight: int, name: str = "fraud", **more: Any) -> Split:
    values: dict[str, Any] = {
        "revision": 1,
        "candidate": "fraud-v4",
        "version": "v4",
        "runtime": "2e3d4c5b",
        "timeout": 2.0,
    }
    return Split(Rule(weight=weight, **(values | more)), name, "v3")


def drawn(by: Split, headers: Sequence[tuple[bytes, bytes]] = (), chance: float = 0.5) -> Drawn:
    return by.draw(headers, lambda: chance)


def user(number: int) -> list[tuple[bytes, bytes]]:
    return [(b"host", b"x"), (b"x-user", b"user-%d" % number)]


def candidates(by: Split) -> set[int]:
    """Return the users whose requests go to the candidate."""
    return {number for number in range(USERS) if drawn(by, user(number)).candidate}


@pytest.mark.parametrize(
    ("weight", "chance", "candidate"),
    [(0, 0.0, False), (100, 0.999999, True), (25, 0.2499, True), (25, 0.25, False)],
)
def test_the_weight_is_a_chance_in_percent(weight: int, chance: float, candidate: bool):
    found = drawn(split(weight), chance=chance)
    assert (found.candidate, found.invited, found.key) == (candidate, False, None)


@pytest.mark.parametrize("weight", [1, 5, 25, 50, 99])
def test_users_are_divided_by_the_weight_and_stay_while_it_grows(weight: int):
    before = candidates(split(weight, header=b"x-user"))
    assert len(before) in band(USERS, weight)
    assert before <= candidates(split(weight + 1, header=b"x-user"))
    assert candidates(split(0, header=b"x-user")) == set()
    assert candidates(split(100, header=b"x-user")) == set(range(USERS))


def test_users_are_divided_differently_for_another_model():
    both = candidates(split(50, header=b"x-user")) & candidates(
        split(50, "prices", header=b"x-user")
    )
    assert len(both) in band(USERS, 25)


def test_a_request_without_a_user_is_drawn_by_chance():
    by = split(50, header=b"x-user")
    for headers in ([], [(b"x-user", b"")], [(b"cookie", b"x-user=a")]):
        assert [drawn(by, headers, chance).candidate for chance in (0.1, 0.9)] == [True, False]
        assert drawn(by, headers).key is None


@pytest.mark.parametrize(
    "line",
    [
        b"uid=ann",
        b"a=b; uid=ann",
        b"a=b;uid=ann;c=d",
        b" uid=ann ;x",
        b"Uid=bob; uid=ann; uid=eve",
        b"xuid=bob; uid=ann",
    ],
)
def test_a_cookie_is_found_among_others(line: bytes):
    by, key = split(50, cookie="uid"), drawn(split(50, header=b"x-user"), [(b"x-user", b"ann")]).key
    assert (
        drawn(by, [(b"cookie", line)]).key
        == drawn(by, [(b"cookie", b"a=b"), (b"cookie", line)]).key
        == key
        is not None
    )


@pytest.mark.parametrize("weight", [0, 100])
def test_an_invitation_is_honoured_whatever_the_weight(weight: int):
    by = split(weight, invite=b"x-modelyard-version", header=b"x-user")

    def asked(value: bytes) -> Drawn:
        return drawn(by, [*user(1), (b"x-modelyard-version", value)])

    assert [asked(value).candidate for value in (b"v4", b"candidate", b"v3", b"stable")] == [
        True,
        True,
        False,
        False,
    ]
    assert all(asked(value).invited for value in (b"v4", b"candidate", b"v3", b"stable"))
    for other in (b"v5", b"", b"V4", b"v4,v3"):
        assert not asked(other).invited
        assert asked(other).candidate == (weight == 100)


def test_in_a_refresh_the_version_s_name_invites_to_the_candidate():
    by = split(0, version="v3", invite=b"x")
    assert [drawn(by, [(b"x", value)]).candidate for value in (b"v3", b"stable")] == [True, False]


def test_without_an_invitation_in_the_rule_there_is_none():
    assert not drawn(split(0), [(b"x-modelyard-version", b"v4"), (b"", b"v4")]).candidate


def test_the_random_draw():
    by = split(5)
    assert sum(by.draw([], random.random).candidate for _ in range(20_000)) in band(20_000, 5)
