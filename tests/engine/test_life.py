"""Life cycles of objects on a real API server, with Kopf, the watches and the Lease."""

from __future__ import annotations

import asyncio

from modelyard.controller import FINALIZER
from modelyard.engine.report import conditions_of
from modelyard.kube.names import CONTENT_ANNOTATION
from tests.cluster.apiserver import ApiServer
from tests.engine.proxy import Proxy
from tests.engine.rig import Operator, User, operator, until

QUIET = {"outside": False}


async def test_an_object_is_created_changed_and_deleted(server: ApiServer, admin: User) -> None:
    async with operator(server.kubeconfig) as process:
        await admin.create("fraud", value="red", children=2, outside=False)
        body = await admin.ready("fraud", value="red")
        assert FINALIZER not in body["metadata"].get("finalizers", [])
        assert [c["type"] for c in body["status"]["conditions"]] == [
            "Ready",
            "Reconciling",
            "Stalled",
            "Toy",
        ]
        child = await admin.config_map("fraud-1")
        assert child is not None
        assert child["metadata"]["ownerReferences"][0]["uid"] == body["metadata"]["uid"]

        await admin.patch("fraud", {"spec": {"value": "blue", "children": 1}})
        await admin.ready("fraud", value="blue")
        assert await admin.config_map("fraud-1") is None
        child = await admin.config_map("fraud-0")
        assert child is not None
        assert child["data"] == {"value": "blue"}

        await admin.delete("fraud")
        await admin.gone("fraud")
        assert await process.stop() == 0


async def test_changes_of_others_to_owned_objects_are_reverted_at_once(
    server: ApiServer, admin: User
) -> None:
    async with operator(server.kubeconfig):
        await admin.create("fraud", value="red", children=2, outside=False)
        await admin.ready("fraud")
        path = "/api/v1/namespaces/risk/configmaps/"
        await admin.must(
            "PATCH",
            path + "fraud-0",
            {"metadata": {"annotations": {CONTENT_ANNOTATION: "scribble"}}},
            "application/merge-patch+json",
        )
        await admin.must("DELETE", path + "fraud-1")

        async def repaired() -> bool:
            children = [await admin.config_map(name) for name in ("fraud-0", "fraud-1")]
            there = [child for child in children if child is not None]
            said = [child["metadata"]["annotations"][CONTENT_ANNOTATION] for child in there]
            return (
                len(there) == 2
                and "scribble" not in said
                and all(child["data"] == {"value": "red"} for child in there)
            )

        await until(repaired, "both children are as they should be")


async def test_fields_that_others_add_to_owned_objects_stay_and_cause_no_write(
    server: ApiServer, admin: User, between: Proxy
) -> None:
    async with operator(between.kubeconfig(server.folder)) as process:
        await admin.create("fraud", value="red", children=1, outside=False)
        await admin.ready("fraud", value="red")

        async def settled() -> str:
            _, metrics = await process.page("/metrics")
            (line,) = [
                line
                for line in metrics.splitlines()
                if 'kind="experiments",outcome="settled"' in line and "_total" in line
            ]
            return line

        before = await settled()
        between.trace.clear()
        path = "/api/v1/namespaces/risk/configmaps/fraud-0"
        more = {
            "data": {"theirs": "1"},
            "metadata": {"labels": {"theirs": "1"}, "annotations": {"theirs": "1"}},
        }
        await admin.must("PATCH", path, more, "application/merge-patch+json")

        async def looked() -> bool:
            return await settled() != before

        await until(looked, "the change was looked at")
        assert between.writes == []
        child = await admin.config_map("fraud-0")
        assert child is not None
        assert child["data"] == {"value": "red", "theirs": "1"}


async def test_users_see_what_happened_as_events(server: ApiServer, admin: User) -> None:
    async with operator(server.kubeconfig):
        await admin.create("told", **QUIET)
        body = await admin.ready("told")

        async def told() -> list[str] | None:
            events = (await admin.must("GET", "/api/v1/namespaces/risk/events"))["items"]
            ours = [
                event
                for event in events
                if event["involvedObject"].get("uid") == body["metadata"]["uid"]
            ]
            reasons = sorted(event["reason"] for event in ours)
            assert all(event["reportingComponent"] == "modelyard.io/operator" for event in ours)
            return reasons if len(reasons) >= 2 else None

        assert await until(told, "events") == ["Synced", "Toy"]


async def test_an_object_without_external_resources_has_no_finalizer(
    server: ApiServer, admin: User
) -> None:
    # There is no Secret here, so nothing could be created.
    async with operator(server.kubeconfig):
        await admin.create("fraud")

        async def complains() -> bool:
            status = ((await admin.get("fraud")) or {}).get("status") or {}
            return conditions_of(status).get("Stalled", {}).get("reason") == "ConnectionMissing"

        await until(complains, "the Secret is missed")
        await admin.delete("fraud")
        await admin.gone("fraud")


async def test_a_restart_writes_nothing(server: ApiServer, admin: User, between: Proxy) -> None:
    config = between.kubeconfig(server.folder)
    names = [f"toy-{number}" for number in range(20)]
    async with operator(config) as process:
        for name in names:
            await admin.create(name, **QUIET)
        for name in names:
            await admin.ready(name)
        assert await process.stop() == 0
    before = {
        body["metadata"]["name"]: body["metadata"]["resourceVersion"] for body in await admin.toys()
    }
    for _ in range(2):
        between.trace.clear()
        async with operator(config) as process:
            await process.says("Started reconciling")
            status, figures = await process.page("/readyz")
            assert status == 200, figures

            async def checked(process: Operator = process) -> bool:
                _, metrics = await process.page("/metrics")
                return (
                    'modelyard_reconciles_total{kind="experiments",outcome="skipped"} 20.0'
                    in metrics
                )

            await until(checked, "every object was checked")
            assert between.writes == []
            assert await process.stop() == 0
    assert {
        body["metadata"]["name"]: body["metadata"]["resourceVersion"] for body in await admin.toys()
    } == before


async def test_statuses_are_written_despite_other_writers(server: ApiServer, admin: User) -> None:
    async with operator(server.kubeconfig):
        await admin.create("fraud", **QUIET)
        await admin.ready("fraud")

        async def scribble() -> None:
            for number in range(20):
                patch = {
                    "metadata": {"annotations": {"note": str(number)}},
                    "spec": {"value": f"v{number}"},
                }
                await admin.patch("fraud", patch)

        await asyncio.gather(scribble(), scribble())
        await admin.ready("fraud", value="v19")


async def test_only_the_configured_namespaces_are_served(server: ApiServer, admin: User) -> None:
    async with operator(server.kubeconfig, MODELYARD_NAMESPACES="fraud,modelyard-system"):
        await admin.create("outside", "risk", **QUIET)
        await admin.create("inside", "fraud", children=1, **QUIET)
        await admin.ready("inside", "fraud")
        await admin.patch("inside", {"spec": {"value": "new"}}, "fraud")
        await admin.ready("inside", "fraud", value="new")
        body = await admin.get("outside", "risk")
        assert body is not None
        assert "status" not in body
