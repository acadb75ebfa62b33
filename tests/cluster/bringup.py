"""The commands: which steps they run, under which lock, and their messages."""

from __future__ import annotations

import contextlib
import fcntl
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO

from tests.cluster.bases import base_steps, prune
from tests.cluster.console import Console, Failed, Log
from tests.cluster.engine import Engine, lacks_sys_resource
from tests.cluster.forecast import Forecast
from tests.cluster.gobuild import KUBE_NAMES, TOOLS, go_steps
from tests.cluster.images import MINIO, PROJECT, image_steps, put_into_node, tag_of
from tests.cluster.kindup import Cluster
from tests.cluster.nodeimage import node_steps
from tests.cluster.settings import CLUSTERS, NODE_IMAGE, PULLED_NODE_IMAGE, Settings
from tests.cluster.steps import Plan, Step

__all__ = ["IMAGES", "Bringup", "locked"]

PULL_SECONDS = 600.0
# Shorter builds are not announced.
LONG_SECONDS = 60.0
# The time to create the cluster and to load the images, on two cores.
CREATE_SECONDS, LOAD_SECONDS = 45.0, 60.0
IMAGES = (*PROJECT, "minio")
CLUSTER_PROGRAMS = ("kind", "kubectl")


@contextlib.contextmanager
def locked(path: Path, console: Console, *, shared: bool = False) -> Iterator[bool]:
    """Hold a file's lock, exclusive or shared; report when another process holds it.

    Yields:
        Whether no other process held the lock, not even shared, when this one took it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    with path.open("a") as handle:
        alone = at_once(handle, fcntl.LOCK_EX)
        if not alone and not at_once(handle, kind):
            console.say(f"waiting for another process that holds {path}")
            fcntl.flock(handle, kind)
        if alone and shared:
            fcntl.flock(handle, kind)
        yield alone or not shared


def at_once(handle: IO[str], kind: int) -> bool:
    """Try to take a lock without waiting; return whether it was taken."""
    try:
        fcntl.flock(handle, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


class Bringup:
    """The commands of one process."""

    def __init__(self, settings: Settings, console: Console) -> None:
        self._settings = settings
        self._console = console
        self._engine = Engine(settings, console)
        self.cluster = Cluster(settings, self._engine, console)
        self._building: bool | None = None
        self._announced = False

    def lock(self) -> contextlib.AbstractContextManager[bool]:
        return locked(self._settings.cache / "lock", self._console)

    def ready(self) -> Path:
        """Bring the cluster up with every image in it; return the folder of kubectl and helm."""
        there = self.cluster.container() is not None
        self.announce([*self._for_cluster(there), *self._for_images(IMAGES), "helm"], there)
        self.up()
        self.images(IMAGES)
        return self.programs(["kubectl", "helm"])

    def up(self) -> None:
        """Bring up the cluster, if it is not running."""
        if not self.cluster.troubles():
            self._console.say(f"the cluster is up; kubeconfig: {self._settings.kubeconfig}")
            return
        there = self.cluster.container() is not None
        self.announce(self._for_cluster(there), there)
        with self.lock():
            if not self.cluster.troubles():
                self._console.say("the cluster is up: another process brought it up")
                return
            self._up()
        self._console.say(
            f"the cluster is Ready after {self._console.elapsed:.0f} s; kubeconfig:"
            f" {self._settings.kubeconfig}"
        )

    def _up(self) -> None:
        self.engine()
        log = Log(self._settings.logs / "cluster.log")
        self.plan(False).run(CLUSTER_PROGRAMS)
        if self.cluster.container() is not None:
            self._console.say("cluster: it exists and is not healthy; restarting it")
            if self.cluster.revive(log):
                return
            self._console.say("cluster: the restart failed; deleting and creating it again")
        self.cluster.delete(log)
        building = self._building_now()
        if building:
            self.plan(True).run(["node"])
        self._console.say("cluster: creating it")
        try:
            self.cluster.create(
                log, NODE_IMAGE if building else PULLED_NODE_IMAGE, pulled=not building
            )
        except Failed as error:
            raise Failed(f"cluster: {error}\n--- log: {log.path}") from error

    def engine(self) -> None:
        """Install and start a Docker engine if none answers. Only a machine that needs the wrapper
        of runc needs the Go toolchain first.
        """
        if not self._engine.answers():
            Plan(self._engine_steps(), self._settings.cache, self._console).run(["engine"])

    def tools(self) -> Path:
        """Return the folder with the programs; build those that are missing."""
        return self.programs(["kube", *(tool for tool in TOOLS if tool not in KUBE_NAMES)])

    def programs(self, names: Sequence[str]) -> Path:
        """Return the folder with the named programs; build those that are missing or whose sources
        changed.
        """
        if self.plan(False).missing(names):
            self.announce(names)
            with self.lock():
                self.plan(False).run(names)
        return self._settings.bin

    def images(self, names: Sequence[str]) -> None:
        """Build images whose inputs changed, and load those that the node does not have."""
        self.announce(self._for_images(names))
        with self.lock():
            self.engine()
            built = self.plan(self._building_now()).run(self._for_images(names))
            if self.cluster.container() != "running":
                self._console.say("there is no cluster to load the images into")
                return
            for name in names:
                start = self._console.elapsed
                log = Log(self._settings.logs / f"load-{name}.log")
                sent = put_into_node(self._settings, self._engine, name, log)
                what = (
                    "already in the node"
                    if sent is None
                    else f"loaded in {self._console.elapsed - start:.0f} s, {sent / 1e6:.0f} MB"
                    " sent"
                )
                self._console.say(f"{tag_of(name)}: {what}")
            if built:
                prune(Log(self._settings.logs / "prune.log"))
        self._console.say(f"images: done in {self._console.elapsed:.0f} s")

    def clusters(self) -> dict[str, Cluster]:
        """Return all possible clusters by name."""
        settings = {name: replace(self._settings, cluster=name) for name in CLUSTERS}
        return {name: Cluster(each, self._engine, self._console) for name, each in settings.items()}

    def down(self) -> None:
        """Delete the clusters of the demo and of the tests; the cache stays."""
        with self.lock():
            for cluster in self.clusters().values():
                cluster.delete(Log(self._settings.logs / "cluster.log"))
        self._console.say(f"both clusters are deleted; the cache stays in {self._settings.cache}")

    def status(self) -> list[str]:
        """Return lines about the cache, the engine, the clusters and the images."""
        size = sum(
            file.stat().st_size
            for file in self._settings.cache.rglob("*")
            if file.is_file() and not file.is_symlink()
        )
        lines = [
            f"cache      {self._settings.cache}, {size / 1e9:.1f} GB",
            f"mode       {self._settings.mode}",
        ]
        if not self._engine.answers():
            return [*lines, "engine     none answers"]
        lines.append(
            f"engine     {self._engine.read('version', '--format', '{{.Server.Version}}')}"
        )
        for name, cluster in self.clusters().items():
            state = cluster.container()
            health = "; ".join(cluster.troubles()) or "healthy"
            said = "none" if state is None else f"its node is {state}, {health}"
            lines.append(f"cluster    {name}: {said}")
        for tag in [NODE_IMAGE, *(image.tag for image in PROJECT.values()), MINIO]:
            size_text = self._engine.read("image", "inspect", "--format", "{{.Size}}", tag)
            lines.append(
                f"image      {tag}: {int(size_text) / 1e6:.0f} MB"
                if size_text
                else f"image      {tag}: none"
            )
        return lines

    def _engine_steps(self) -> list[Step]:
        wrapper = self._settings.bin / "modelyard-runc" if lacks_sys_resource() else None

        def run(log: Log, key: str) -> None:
            if not self._engine.answers():
                self._engine.install(log)
                self._engine.start(log, wrapper)

        after = ("modelyard-runc",) if wrapper else ()
        engine = Step(
            "engine",
            run,
            lambda key: self._engine.answers(),
            after=after,
            doing="installing and starting the Docker engine",
        )
        return [engine, *go_steps(self._settings)]

    def plan(self, building: bool) -> Plan:
        """Return all steps, with those that build every image if ``building``."""
        steps = [*self._engine_steps(), *image_steps(self._settings, self._engine, building)]
        if building:
            steps += [
                *base_steps(self._settings, self._engine),
                *node_steps(self._settings, self._engine),
            ]
        return Plan(steps, self._settings.cache, self._console)

    def _for_cluster(self, there: bool) -> list[str]:
        """Return the steps that the cluster needs; the node's image only to create a cluster."""
        building = not there and self._probably_building()
        return [*CLUSTER_PROGRAMS, *(["node"] if building else [])]

    def _for_images(self, names: Sequence[str]) -> list[str]:
        return [f"image-{name}" for name in names]

    def announce(self, wanted: Sequence[str], there: bool = True) -> None:
        """Print what has to be built and how long it takes, once, if it takes long.

        Args:
            wanted: Names of steps.
            there: Whether the cluster exists; otherwise it has to be created.

        """
        if self._announced:
            return
        todo = self.plan(self._probably_building()).todo(wanted)
        forecast = Forecast(tuple(todo))
        seconds = forecast.seconds + (0 if there else CREATE_SECONDS + LOAD_SECONDS)
        if todo and seconds >= LONG_SECONDS:
            self._announced = True
            self._console.say(forecast.words(seconds))

    def _probably_building(self) -> bool:
        """Return whether images are built here, without asking a registry, unlike
        ``_building_now``.
        """
        if self._building is not None or self._settings.mode != "auto":
            return self._building or self._settings.mode == "build"
        pulled = self._answer.exists() and self._answer.read_text() == "yes"
        return not pulled and self._engine.image_id(PULLED_NODE_IMAGE) is None

    def _building_now(self) -> bool:
        """Return whether images are built here; in the mode ``auto`` try one pull per cache."""
        if self._building is None:
            self._building = self._settings.mode == "build" or not self._pulled()
        return self._building

    @property
    def _answer(self) -> Path:
        """Return the file that records whether the registry answered."""
        return self._settings.cache / "registry-answer"

    def _pulled(self) -> bool:
        """Return whether the public node image is available; raise ``Failed`` in the mode ``pull``
        if it is not.
        """
        if self._engine.image_id(PULLED_NODE_IMAGE):
            return True
        answer = self._answer
        known = self._engine.image_id(NODE_IMAGE) or (
            answer.exists() and answer.read_text() == "no"
        )
        if self._settings.mode == "auto" and known:
            return False
        self._console.say(f"trying once to pull {PULLED_NODE_IMAGE}")
        try:
            done = subprocess.run(
                ["docker", "pull", PULLED_NODE_IMAGE],
                capture_output=True,
                check=False,
                timeout=PULL_SECONDS,
            )
            error = done.stderr.decode().strip() if done.returncode else ""
        except subprocess.TimeoutExpired:
            error = f"timed out after {PULL_SECONDS:.0f} s"
        if error and self._settings.mode == "pull":
            raise Failed(f"{PULLED_NODE_IMAGE} cannot be pulled: {error}")
        answer.write_text("no" if error else "yes")
        return not error
