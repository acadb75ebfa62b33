"""Which tests need the one kind cluster, and in which of the parallel sessions of .ci/test they
run.

    not kind                            needs no cluster
    pages                               the documentation as users follow it, first use, notebook
    faults                              failures: mostly waiting
    kind, and none of the others        what the operator does, by kubectl, command line and client
    alone                               removes what all tests need, and runs last

The fixtures of the cluster and the servers of tests/shared.py are available to all tests.
"""

import os
import signal
from pathlib import Path

import pytest

from tests import watcher
from tests.cluster.settings import TESTS_CLUSTER

# For this process and all its children: no test runs on the demo's cluster.
os.environ["MODELYARD_CLUSTER"] = TESTS_CLUSTER
# Waiting threads of XGBoost sleep. By default they spin: on busy cores, for seconds per training.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

pytest_plugins = ["tests.shared", "tests.e2e.fixtures"]
# Otherwise its failures would not show the difference.
pytest.register_assert_rewrite("tests.goldens")

# Background processes of a shell ignore Ctrl-C, and so would every program that a test starts and
# interrupts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

ON_KIND = {"cluster", "demo", "e2e"}
SESSIONS = {
    "pages": {"notebook", "test_docs.py", "test_first_use.py"},
    "faults": {"test_external.py", "test_failing_parts.py", "test_refused.py"},
}
# Tests that uninstall the operator come last.
LAST = ("test_readme.py", "test_chart.py")


def end_on_sigterm() -> None:
    """Let SIGTERM do what Ctrl-C does: fixtures end what they started."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def pytest_sessionstart() -> None:
    watcher.watch()
    end_on_sigterm()


def pytest_runtest_logstart() -> None:
    """Before every test, because event loops that handled the signal restore the system's
    default.
    """
    end_on_sigterm()


def pytest_keyboard_interrupt() -> None:
    """Let nothing but a second Ctrl-C disturb the fixtures' ends."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        folder = item.path.relative_to(here).parts[0]
        on_cluster = item.get_closest_marker("e2e") is not None
        if on_cluster or folder in ON_KIND:
            item.add_marker(pytest.mark.kind)
            for name, theirs in SESSIONS.items():
                if theirs & {folder, item.path.name}:
                    item.add_marker(name)
        if on_cluster:
            limit = item.get_closest_marker("timeout") or pytest.mark.timeout(1800).mark
            # The fixtures wait for another session or for images without a limit.
            item.add_marker(pytest.mark.timeout(*limit.args, func_only=True), append=False)
    items.sort(key=lambda item: LAST.index(item.path.name) + 1 if item.path.name in LAST else 0)
