"""Failing starts: each logs its reason in one line, without a traceback."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.cluster.apiserver import ApiServer, kill, running
from tests.engine.rig import User, operator, until, user


async def test_it_warns_about_missing_crds_and_survives_an_api_server_that_stops() -> None:
    with running() as server:
        async with user(server) as admin, operator(server.kubeconfig) as process:
            await process.says("The API server does not serve experiments: are the CRDs installed?")
            assert (await process.page("/readyz"))[0] == 503
            assert (await process.page("/healthz"))[0] == 200
            await admin.namespace("modelyard-system")
            await admin.namespace("risk")
            await admin.install()
            await process.says("Started reconciling")
            assert (await process.page("/readyz"))[0] == 200
            for number in range(50):
                await admin.create(f"toy-{number}", outside=False)
            await admin.ready("toy-49")
            command = kill(server)
            await asyncio.sleep(5)  # not for a condition: this is how long it is down
            again = await asyncio.create_subprocess_exec(
                *command, cwd=server.folder, stderr=asyncio.subprocess.DEVNULL
            )
            try:
                await until(lambda: _answers(admin), "the API server is back")
                for number in range(50):
                    await admin.patch(f"toy-{number}", {"spec": {"value": "after"}})
                for number in range(50):
                    await admin.ready(f"toy-{number}", value="after")
                assert process.process.returncode is None
                assert await process.stop() == 0
            finally:
                again.terminate()
                await again.wait()


async def _answers(admin: User) -> bool:
    try:
        return (await admin.request("GET", "/readyz?verbose"))[0] == 200
    except Exception:  # noqa: BLE001 - whatever is wrong, it is not back
        return False


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"MODELYARD_WORKERS": "many"}, "MODELYARD_WORKERS: Input should be a valid integer"),
        ({"MODELYARD_LOG_FORMAT": "xml"}, "MODELYARD_LOG_FORMAT: Input should be 'json' or 'text'"),
        ({"KUBECONFIG": "/nowhere"}, "find the cluster: neither in a pod nor by a kubeconfig"),
    ],
)
async def test_a_wrong_configuration_is_reported_in_one_line(
    settings: dict[str, str], words: str, tmp_path: Path
) -> None:
    config = Path(settings.pop("KUBECONFIG", str(tmp_path)))
    async with operator(config, module="modelyard", **settings) as process:
        assert await process.ended() in {1, 2}
        await process.says(words)
        assert not any("Traceback" in line for line in process.log)


async def test_an_occupied_port_is_reported_in_one_line(server: ApiServer) -> None:
    async with operator(server.kubeconfig, "one") as first:
        port = (await first.says("Serving /healthz")).rsplit(":", 1)[1]
        async with operator(
            server.kubeconfig, "two", module="modelyard", MODELYARD_LISTEN_HEALTH=port
        ) as second:
            assert await second.ended() == 1
            await second.says("address already in use")
            assert not any("Traceback" in line for line in second.log)
