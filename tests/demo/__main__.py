"""`python -m tests.demo up | down`, from the repository's root."""

import argparse
import sys

from tests.cluster.console import Console
from tests.cluster.settings import Settings
from tests.demo import install
from tests.demo.kube import Failed, Kube
from tests.demo.screen import Screen
from tests.demo.story import Story

__all__ = ["main"]


def up(screen: Screen) -> None:
    """Bring up the cluster and run the demo."""
    screen.title(
        "modelyard: from an empty machine to a served model, and to the next version without a"
        " lost request."
    )
    screen.step("1. A cluster: kind, with the project's own images")
    kube = install.cluster(Console(sys.stdout))
    Story(kube, screen).tell()


def down(screen: Screen) -> None:
    """Remove what `up` created, except the cluster."""
    settings = Settings.read()
    if not settings.kubeconfig.exists():
        screen.say("There is no cluster, so there is nothing to remove.")
        return
    kube = Kube(settings.bin, settings.kubeconfig)
    screen.say("Removing the release, its objects, CRDs and namespaces")
    install.uninstall(kube)
    screen.good("The demo is removed. The cluster stays; make down deletes it.")


def main(arguments: list[str] | None = None) -> int:
    """Run the demo or remove it; return 1 if something failed."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.demo", description="Run the demo on a real cluster, or remove it."
    )
    parser.add_argument("command", choices=["up", "down"])
    options = parser.parse_args(arguments)
    screen = Screen(sys.stdout)
    try:
        (up if options.command == "up" else down)(screen)
    except (Failed, ValueError) as error:
        screen.bad(str(error))
        return 1
    except KeyboardInterrupt:
        screen.bad("interrupted. make demo continues from here.")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
