"""The whole process, with a receiver of CloudEvents from its settings."""

from __future__ import annotations

import asyncio
from pathlib import Path

from aiohttp import web

from tests.cluster.apiserver import ApiServer
from tests.engine.rig import User, operator
from tests.receiver import receiver


async def test_finished_changes_are_sent_and_a_hanging_receiver_blocks_no_work(
    server: ApiServer, admin: User, tmp_path: Path
) -> None:
    token = tmp_path / "token"
    token.write_text("opener")
    async with receiver() as there:
        settings = {"MODELYARD_EVENTS_SINK": there.url, "MODELYARD_EVENTS_TOKEN_FILE": str(token)}
        async with operator(server.kubeconfig, **settings) as process:
            await admin.create("painted", value="red", children=1, outside=False)
            await there.until(1)
            hangs = asyncio.Event()

            async def hanging(_: web.Request) -> web.StreamResponse:
                await hangs.wait()
                return web.Response()

            there.answer = hanging
            await admin.patch("painted", {"spec": {"value": "blue"}})
            await there.until(2)
            await admin.patch("painted", {"spec": {"value": "green"}})
            await admin.ready("painted", value="green")
            _, page = await process.page("/metrics")
            assert 'modelyard_cloudevents_total{outcome="delivered"} 1.0' in page
            assert "modelyard_cloudevents_waiting 2.0" in page
            hangs.set()
            await there.until(3)
            assert await process.stop() == 0
    assert [event.data["value"] for event in there.events] == ["red", "blue", "green"]
    assert set(there.tokens) == {"Bearer opener"}
