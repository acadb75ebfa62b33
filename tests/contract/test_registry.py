"""MLflow's registry, as `modelyard.ports.Tracking` specifies it: one suite for the fake and the
real servers.
"""

from __future__ import annotations

import pytest

from modelyard.errors import Ambiguous, Conflict, Invalid
from modelyard.ports import TrackedModel
from tests.contract.worlds import World

SOURCE = "s3://mlflow-artifacts/risk/fraud/models/x"
UNKNOWN_RUN = "0" * 32
UNKNOWN_MODEL = f"m-{'0' * 32}"


@pytest.fixture
async def model(world: World, name: str) -> str:
    await world.tracking.create_model(f"risk.{name}", "Card fraud", {"modelyard.io/uid": "u1"})
    return f"risk.{name}"


@pytest.fixture
async def run(world: World, name: str) -> str:
    return await world.tracking.create_run(
        await world.tracking.create_experiment(name, "s3://mlflow-artifacts/risk/x", {}), "r", {}
    )


async def stages(world: World, model: str) -> dict[str, str]:
    return {version.version: version.stage for version in await world.tracking.versions(model)}


async def aliases(world: World, model: str) -> dict[str, str]:
    found = await world.tracking.model(model)
    assert found is not None
    return dict(found.aliases)


async def test_a_model_is_created_once(world: World, model: str):
    assert await world.tracking.model(model) == TrackedModel(
        model, "Card fraud", {"modelyard.io/uid": "u1"}, {}
    )
    assert await world.tracking.versions(model) == ()
    with pytest.raises(Conflict, match=model):
        await world.tracking.create_model(model, "", {})


@pytest.mark.parametrize("bad", ["", "a/b", "a:b"])
async def test_a_bad_name_is_refused(world: World, bad: str):
    with pytest.raises(Invalid):
        await world.tracking.create_model(bad, "", {})


async def test_an_unknown_model_is_none_and_refuses_writes(world: World, name: str):
    assert await world.tracking.model(name) is None
    assert await world.tracking.versions(name) == ()
    with pytest.raises(Invalid):
        await world.tracking.set_model_tags(name, {"a": "b"}, None)
    with pytest.raises(Invalid):
        await world.tracking.set_model_tags(name, {}, "text")
    with pytest.raises(Invalid):
        await world.tracking.create_version(name, SOURCE, None, {}, None)
    with pytest.raises(Invalid):
        await world.tracking.set_version_tags(name, "1", {"a": "b"})
    with pytest.raises(Invalid):
        await world.tracking.transition(name, "1", "Production")
    with pytest.raises(Invalid):
        await world.tracking.set_alias(name, "production", "1")


async def test_removing_a_missing_object_is_no_error(world: World, model: str, name: str):
    await world.tracking.delete_alias(model, "production")
    await world.tracking.delete_alias(f"no.{name}", "production")
    await world.tracking.delete_version(model, "7")
    await world.tracking.delete_version(f"no.{name}", "7")
    await world.tracking.delete_model(f"no.{name}")


async def test_tags_and_description_are_set_separately(world: World, model: str):
    await world.tracking.set_model_tags(model, {"team": "risk", "empty": ""}, None)
    found = await world.tracking.model(model)
    assert found == TrackedModel(
        model, "Card fraud", {"modelyard.io/uid": "u1", "team": "risk", "empty": ""}, {}
    )
    await world.tracking.set_model_tags(model, {}, "New")
    await world.tracking.set_model_tags(model, {"team": "cards"}, "")
    found = await world.tracking.model(model)
    assert found is not None
    assert (found.description, found.tags["team"]) == ("", "cards")


async def test_deleting_tags_of_a_model_is_idempotent(world: World, model: str):
    await world.tracking.set_model_tags(model, {"a": "1", "b": "2"}, None)
    for _ in range(2):
        await world.tracking.delete_model_tags(model, ["a", "never"])
    found = await world.tracking.model(model)
    assert found is not None
    assert "a" not in found.tags
    assert found.tags["b"] == "2"
    await world.tracking.delete_model_tags("no-such-model", ["a"])


async def test_versions_are_numbered_from_one_and_never_reused(world: World, model: str, run: str):
    first = await world.tracking.create_version(
        model, SOURCE, run, {"modelyard.io/version": "v1"}, None
    )
    second = await world.tracking.create_version(model, f"{SOURCE}2", None, {}, None)
    await world.tracking.delete_version(model, second)
    third = await world.tracking.create_version(
        model, f"{SOURCE}3", None, {"modelyard.io/version": "v3"}, None
    )
    assert (first, second, third) == ("1", "2", "3")
    versions = await world.tracking.versions(model)
    assert [
        (each.model, each.version, each.source, each.run, each.stage, each.ready)
        for each in versions
    ] == [
        (model, "1", SOURCE, run, "None", True),
        (model, "3", f"{SOURCE}3", None, "None", True),
    ]
    assert [dict(each.tags) for each in versions] == [
        {"modelyard.io/version": "v1"},
        {"modelyard.io/version": "v3"},
    ]
    assert all(each.created is not None for each in versions)


async def test_versions_come_oldest_first_by_number(world: World, model: str):
    for _ in range(11):
        await world.tracking.create_version(model, SOURCE, None, {}, None)
    await world.tracking.set_version_tags(model, "2", {"touched": "yes"})
    assert [each.version for each in await world.tracking.versions(model)] == [
        str(number) for number in range(1, 12)
    ]


async def test_versions_of_a_run_are_found_in_every_model(
    world: World, model: str, run: str, name: str
):
    other = f"other.{name}"
    await world.tracking.create_model(other, "", {})
    await world.tracking.create_version(model, SOURCE, run, {}, None)
    await world.tracking.create_version(model, SOURCE, None, {}, None)
    await world.tracking.create_version(other, SOURCE, run, {}, None)
    gone = await world.tracking.create_version(other, SOURCE, run, {}, None)
    await world.tracking.delete_version(other, gone)
    assert [(each.model, each.version) for each in await world.tracking.versions_of_run(run)] == [
        (other, "1"),
        (model, "1"),
    ]
    assert await world.tracking.versions_of_run(UNKNOWN_RUN) == ()
    assert await world.tracking.versions_of_run("x' OR name != '") == ()


async def test_a_name_with_both_quotes_finds_nothing_else(world: World, model: str):
    await world.tracking.create_version(model, SOURCE, None, {}, None)
    assert await world.tracking.versions(f"{model}' OR name = '{model}") == ()


@pytest.mark.parametrize("form", ["models:/{}", "{uri}"])
async def test_a_logged_model_becomes_a_version_of_its_run(
    world: World, model: str, run: str, form: str
):
    logged = world.log_model(run, "model")
    source = logged.uri if form == "{uri}" else form.format(logged.id)
    version = await world.tracking.create_version(
        model, source, None, {"modelyard.io/version": "v1"}, logged.id
    )
    found = await world.tracking.versions(model)
    assert [(each.version, each.source, each.run, each.ready) for each in found] == [
        (version, source, run, True)
    ]


async def test_a_source_that_is_not_the_logged_model_s_is_refused(
    world: World, model: str, run: str
):
    logged = world.log_model(run, "model")
    other = world.log_model(run, "other")
    for link in (None, other.id):
        with pytest.raises(Invalid):
            await world.tracking.create_version(model, f"models:/{logged.id}", run, {}, link)
    for source in ("s3://mlflow-artifacts/../x", "/etc", f"runs:/{UNKNOWN_RUN}/model"):
        with pytest.raises(Invalid):
            await world.tracking.create_version(model, source, None, {}, None)
    assert await world.tracking.versions(model) == ()


async def test_registering_an_unknown_logged_model_is_ambiguous(world: World, model: str):
    """MLflow creates the version before it links it with its logged model, so the caller has to
    check.
    """
    with pytest.raises(Ambiguous):
        await world.tracking.create_version(model, SOURCE, None, {}, UNKNOWN_MODEL)
    with pytest.raises(Ambiguous):
        await world.tracking.create_version(
            model, f"models:/{UNKNOWN_MODEL}", None, {}, UNKNOWN_MODEL
        )


async def test_tags_of_a_version_are_set_and_others_stay(world: World, model: str):
    version = await world.tracking.create_version(
        model, SOURCE, None, {"modelyard.io/version": "v1"}, None
    )
    await world.tracking.set_version_tags(model, version, {"digest": "sha256:0", "empty": ""})
    [found] = await world.tracking.versions(model)
    assert found.tags == {"modelyard.io/version": "v1", "digest": "sha256:0", "empty": ""}
    with pytest.raises(Invalid):
        await world.tracking.set_version_tags(model, "9", {"a": "b"})


async def test_a_transition_moves_one_version_and_no_other(world: World, model: str):
    for _ in range(2):
        await world.tracking.create_version(model, SOURCE, None, {}, None)
    await world.tracking.transition(model, "1", "Production")
    await world.tracking.transition(model, "2", "Production")
    assert await stages(world, model) == {"1": "Production", "2": "Production"}
    await world.tracking.transition(model, "1", "Archived")
    await world.tracking.transition(model, "2", "Staging")
    assert await stages(world, model) == {"1": "Archived", "2": "Staging"}
    await world.tracking.transition(model, "2", "None")
    await world.tracking.transition(model, "2", "None")
    assert await stages(world, model) == {"1": "Archived", "2": "None"}
    with pytest.raises(Invalid):
        await world.tracking.transition(model, "9", "Production")


async def test_a_transition_that_displaces_archives_only_the_version_in_the_stage(
    world: World, model: str
):
    for _ in range(3):
        await world.tracking.create_version(model, SOURCE, None, {}, None)
    for version, stage in (("1", "Production"), ("3", "Staging")):
        await world.tracking.transition(model, version, stage)
    for _ in range(2):
        await world.tracking.transition(model, "2", "Production", displacing=True)
        assert await stages(world, model) == {"1": "Archived", "2": "Production", "3": "Staging"}


async def test_an_alias_is_on_one_version_at_a_time(world: World, model: str):
    for _ in range(2):
        await world.tracking.create_version(model, SOURCE, None, {}, None)
    await world.tracking.set_alias(model, "production", "1")
    await world.tracking.set_alias(model, "staging", "2")
    assert await aliases(world, model) == {"production": "1", "staging": "2"}
    await world.tracking.set_alias(model, "production", "2")
    await world.tracking.set_alias(model, "production", "2")
    assert await aliases(world, model) == {"production": "2", "staging": "2"}
    await world.tracking.delete_alias(model, "staging")
    await world.tracking.delete_alias(model, "staging")
    assert await aliases(world, model) == {"production": "2"}


@pytest.mark.parametrize("alias", ["latest", "v1", "V12"])
async def test_reserved_aliases_are_refused(world: World, model: str, alias: str):
    await world.tracking.create_version(model, SOURCE, None, {}, None)
    with pytest.raises(Invalid):
        await world.tracking.set_alias(model, alias, "1")


async def test_an_alias_needs_its_version_and_is_deleted_with_it(world: World, model: str):
    with pytest.raises(Invalid):
        await world.tracking.set_alias(model, "production", "1")
    await world.tracking.create_version(model, SOURCE, None, {}, None)
    await world.tracking.set_alias(model, "production", "1")
    await world.tracking.delete_version(model, "1")
    await world.tracking.delete_version(model, "1")
    assert await aliases(world, model) == {}
    with pytest.raises(Invalid):
        await world.tracking.transition(model, "1", "Production")


async def test_a_model_is_deleted_with_everything_and_can_be_created_again(
    world: World, model: str, run: str
):
    await world.tracking.create_version(model, SOURCE, run, {}, None)
    await world.tracking.set_alias(model, "production", "1")
    await world.tracking.delete_model(model)
    await world.tracking.delete_model(model)
    assert await world.tracking.model(model) is None
    assert await world.tracking.versions(model) == ()
    assert await world.tracking.versions_of_run(run) == ()
    await world.tracking.create_model(model, "", {})
    assert await world.tracking.model(model) == TrackedModel(model, "", {}, {})
    assert await world.tracking.create_version(model, SOURCE, None, {}, None) == "1"
