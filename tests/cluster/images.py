"""The project's own images, built from its real Dockerfiles, and MinIO's."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass

from tests.cluster import context
from tests.cluster.bases import (
    KEY_LABEL,
    build_image,
    builder_environment,
    fresh_context,
    image_done,
)
from tests.cluster.console import Failed, Log
from tests.cluster.engine import Engine
from tests.cluster.load import load, node_has
from tests.cluster.settings import Settings
from tests.cluster.steps import Step, hash_files

__all__ = ["MINIO", "PROJECT", "image_steps", "put_into_node", "tag_of"]

MINIO = "modelyard/minio:dev"


@dataclass(frozen=True)
class Project:
    """An image of the project: its Dockerfile's path from the repository's root, which is its build
    context.
    """

    tag: str
    dockerfile: str


PROJECT = {
    "operator": Project("modelyard/operator:dev", "operator/Dockerfile"),
    "runtime": Project("modelyard/runtime:dev", "operator/runtime.Dockerfile"),
}


def tag_of(name: str) -> str:
    """Return the tag of the image ``operator``, ``runtime`` or ``minio``."""
    return PROJECT[name].tag if name in PROJECT else MINIO


def pack_project(settings: Settings, image: Project) -> tuple[bytes, str]:
    """Return the build context of an image and its hash; raises ``ValueError`` or
    ``FileNotFoundError``.
    """
    dockerfile = (settings.root / image.dockerfile).read_text()
    return context.pack(
        settings.root, dockerfile, context.files_of(settings.root, context.copied(dockerfile))
    )


def build_minio(settings: Settings, log: Log, key: str) -> None:
    folder = fresh_context(settings, "image-minio")
    (folder / "Dockerfile").write_bytes((settings.here / "bases" / "minio.Dockerfile").read_bytes())
    (folder / "minio").write_bytes((settings.bin / "minio").read_bytes())
    (folder / "minio").chmod(0o755)
    build_image(log, folder, MINIO, key)


def project_step(
    settings: Settings, engine: Engine, name: str, image: Project, building: bool
) -> Step:
    # Packed once: the built files must be the hashed ones, even if they are edited meanwhile.
    packed, digest, trouble = b"", "", ""
    try:
        packed, digest = pack_project(settings, image)
    except (FileNotFoundError, ValueError) as error:
        trouble = str(error)

    def run(log: Log, key: str) -> None:
        if trouble:
            raise Failed(trouble)
        with tempfile.TemporaryFile() as stream:
            stream.write(packed)
            stream.seek(0)
            words = ["docker", "build", "--label", f"{KEY_LABEL}={key}", "-t", image.tag, "-"]
            log.run(words, stdin=stream, env=builder_environment() if building else None)

    return Step(
        f"image-{name}",
        run,
        image_done(engine, image.tag),
        inputs=(digest, trouble),
        after=("engine", *(("python",) if building else ())),
        doing=f"building {image.tag} from {image.dockerfile}",
    )


def image_steps(settings: Settings, engine: Engine, building: bool) -> list[Step]:
    """Return the steps for the project's images and MinIO; on bases of our own if ``building``."""
    dockerfile = settings.here / "bases" / "minio.Dockerfile"
    minio = Step(
        "image-minio",
        lambda log, key: build_minio(settings, log, key),
        image_done(engine, MINIO),
        inputs=(hash_files([dockerfile], dockerfile.parent),),
        after=("engine", "minio", *(("debian",) if building else ())),
        doing=f"building {MINIO}",
    )
    return [
        minio,
        *(project_step(settings, engine, name, image, building) for name, image in PROJECT.items()),
    ]


def put_into_node(settings: Settings, engine: Engine, name: str, log: Log) -> int | None:
    """Load an image into the node; ``None`` if the node has it already, else the bytes sent."""
    tag, folder = tag_of(name), settings.build
    folder.mkdir(parents=True, exist_ok=True)
    image_id = engine.image_id(tag)
    if image_id is None:
        raise Failed(f"the image {tag} does not exist")
    return None if node_has(settings.node, tag, image_id) else load(settings.node, tag, log, folder)
