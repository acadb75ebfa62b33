"""The credentials of a namespace's Secrets, and the texts that must not show them."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from modelyard.api.text import HIDDEN
from modelyard.errors import Invalid
from tests.unit.test_adapters_connection import GOOD, World


@pytest.fixture
async def world() -> AsyncIterator[World]:
    made = World()
    yield made
    await made.tenants.close()


async def test_texts_are_cleaned_with_the_secrets_that_tenant_read(world: World):
    assert world.tenants.text_filter("risk")("the-password") == HIDDEN
    world.kubernetes.pods["risk"] = {"AWS_SECRET_ACCESS_KEY": "the-pods-key"}
    await world.tenants.tenant("risk")
    asked = list(world.kubernetes.asked)
    text_filter = world.tenants.text_filter("risk")
    assert (
        text_filter("the-password the-pods-key the-secret-key mlflow-artifacts risk anna")
        == "*** *** *** mlflow-artifacts risk anna"
    )
    assert world.tenants.text_filter("other")("the-password") == HIDDEN
    assert world.kubernetes.asked == asked, "no Secret is read for it"


async def test_texts_are_cleaned_of_old_keys_after_a_rotation(world: World):
    await world.tenants.tenant("risk")
    world.kubernetes.secrets["risk"] = GOOD | {"AWS_SECRET_ACCESS_KEY": "another-key"}
    world.now += 61
    await world.tenants.tenant("risk")
    assert world.tenants.text_filter("risk")("the-secret-key, another-key") == "***, ***"


async def test_an_invalid_secret_still_cleans_texts(world: World):
    await world.tenants.tenant("risk")
    world.kubernetes.secrets["risk"] = {"AWS_SECRET_ACCESS_KEY": "another-key"}
    world.now += 61
    with pytest.raises(Invalid):
        await world.tenants.tenant("risk")
    assert world.tenants.text_filter("risk")("the-secret-key, another-key") == "***, ***"
    world.kubernetes.secrets["risk"] = None
    world.now += 61
    with pytest.raises(Invalid):
        await world.tenants.tenant("risk")
    assert world.tenants.text_filter("risk")("the-secret-key, another-key") == "***, ***"
