"""Tests that never end, with every server that a test can start. `test_ended.py` kills them."""

import os
import signal
import subprocess
import threading
from pathlib import Path

from tests import servers
from tests.cluster.apiserver import running


def wait_for_the_end() -> None:
    """Report that everything is running, then wait."""
    Path(os.environ["ENDLESS_READY"]).touch()
    threading.Event().wait()


def test_with_every_server(tmp_path: Path) -> None:
    with (
        servers.minio(tmp_path) as store,
        servers.postgres() as database,
        servers.mlflow(tmp_path, database, "s3://mlflow-artifacts/", store),
        running(controllers=True),
    ):
        wait_for_the_end()


def test_before_a_few_servers_the_default_signal_handler_is_restored() -> None:
    """As asyncio's `remove_signal_handler` does."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def test_with_a_few_servers(tmp_path: Path) -> None:
    with servers.minio(tmp_path), running():
        wait_for_the_end()


def test_with_one_server(tmp_path: Path) -> None:
    with servers.minio(tmp_path):
        wait_for_the_end()


def test_with_a_command_and_what_it_started_in_a_session_of_its_own() -> None:
    script = "setsid sh -c 'sleep 1000 & touch $ENDLESS_READY; wait' & wait"
    subprocess.run(["sh", "-c", script], check=True)
