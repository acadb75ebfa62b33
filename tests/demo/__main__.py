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
    """Everything, from nothing."""
    screen.title(
        "modelyard: from an empty machine to a model that answers, and to the next version without"
        " a lost request."
    )
    screen.step("1. A cluster: kind, with the project's own images")
    kube = install.cluster(Console(sys.stdout))
    Story(kube, screen).tell()


def down(screen: Screen) -> None:
    """Remove what `up` made, except for the cluster."""
    settings = Settings.read()
    if not settings.kubeconfig.exists():
        screen.say("There is no cluster, and so nothing of the demo.")
        return
    kube = Kube(settings.bin, settings.kubeconfig)
    screen.say("Removing the release, its objects, its kinds and its namespaces")
    install.uninstall(kube)
    screen.good("Nothing of the demo is left. The cluster stays; make down deletes it.")


def main(arguments: list[str] | None = None) -> int:
    """Tell the story, or clear it away; 1 when something failed."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.demo", description="The whole story on a real cluster."
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
        screen.bad("stopped by hand. make demo goes on from here.")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
