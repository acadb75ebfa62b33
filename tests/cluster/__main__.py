"""``python3 -m tests.cluster <command>``, from the repository's root."""

from __future__ import annotations

import argparse
import sys

from tests.cluster.bringup import IMAGES, Bringup
from tests.cluster.console import Console, Failed
from tests.cluster.settings import Settings

__all__ = ["main"]

ALL = ", ".join(IMAGES)


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="python3 -m tests.cluster",
        description="A real Kubernetes cluster for the tests and the demo.",
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="command")
    commands.add_parser("up", help="bring up the cluster, if it is not running")
    commands.add_parser("ready", help="bring up the cluster and load every image")
    images = commands.add_parser(
        "images", help="build the project's images and load them into the cluster"
    )
    any_of = f"any of {ALL}; all when none is named"
    images.add_argument("names", nargs="*", metavar="image", help=any_of)
    tools = commands.add_parser(
        "tools",
        help="print the folder of kubectl, helm, kind, etcd and others; build what is missing",
    )
    tools.add_argument(
        "names",
        nargs="*",
        metavar="program",
        help="only these: kubectl helm; all when none is named",
    )
    commands.add_parser("status", help="show the cache, the engine, the clusters and the images")
    commands.add_parser("down", help="delete the clusters of demo and tests; the cache stays")
    return top


def main(arguments: list[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    try:
        settings = Settings.read()
        # `tools` prints one line for a script to read.
        bringup = Bringup(
            settings, Console(sys.stderr if options.command == "tools" else sys.stdout)
        )
        if options.command == "up":
            bringup.up()
        elif options.command == "ready":
            bringup.ready()
        elif options.command == "images":
            names = options.names or list(IMAGES)
            if unknown := sorted(set(names) - set(IMAGES)):
                raise Failed(f"there is no image called {', '.join(unknown)}; there are {ALL}")
            bringup.images(names)
        elif options.command == "tools":
            print(bringup.programs(options.names) if options.names else bringup.tools())
        elif options.command == "status":
            print("\n".join(bringup.status()))
        else:
            bringup.down()
    except (Failed, ValueError) as error:
        print(f"failed: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
