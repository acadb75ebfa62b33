"""The candidate for the gate `smoke`: its server, and a store with its files."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.runtime.programs import Ended, Server, program
from tests.servers import Minio

__all__ = ["Side", "digest"]


@dataclass(frozen=True)
class Side:
    """The servers of a gate's pod: a candidate's server, and a store with its files."""

    folder: Path
    store: Minio
    server: Server
    tree: str = "s3://datasets/risk/models/classifier"

    def smoke(self, *arguments: str, **env: str) -> Ended:
        """Run the gate's program as its pod does."""
        told = self.store.environment | {
            "MODELYARD_CANDIDATE_URL": f"http://127.0.0.1:{self.server.port}",
            "MODELYARD_CANDIDATE_URI": self.tree,
            "MODELYARD_BUCKET": "datasets",
        }
        return program(
            self.folder,
            "smoke",
            "--name",
            "fraud",
            "--namespace",
            "risk",
            *arguments,
            env=told | env,
        )

    def asks(self, requests: Any, *more: str, pinned: str | None = None, **env: str) -> Ended:
        """Run the program with requests from a ConfigMap; None: it is missing."""
        data = requests if isinstance(requests, bytes) else json.dumps(requests).encode()
        if requests is not None:
            (self.folder / "requests.json").write_bytes(data)
        where = (
            "--config-map",
            "cases",
            "--key",
            "cases.json",
            "--digest",
            pinned or digest(data),
            "--folder",
            str(self.folder),
        )
        return self.smoke(*where, *more, **env)


def digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"
