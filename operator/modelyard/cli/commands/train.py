"""`train` and `runs follow`: make the run, show its logs, metrics and progress to the end.
Ctrl-C leaves it going.
"""

import threading
from collections import deque
from dataclasses import dataclass

from rich.text import Text

from modelyard.api.training_run import TrainingRun
from modelyard.cli.commands.live import Board, Teller, telling
from modelyard.cli.commands.manifest import Words, training
from modelyard.cli.commands.session import Session, full_name, now, opened
from modelyard.cli.options import Where
from modelyard.cli.views import runs as views
from modelyard.client.errors import ClientError, Failed, NotFound, TimedOut
from modelyard.client.kube import Manifest
from modelyard.client.runs import RunHandle
from modelyard.client.text import lasted
from modelyard.client.training import created

__all__ = ["Following", "follow", "outcome", "train"]


@dataclass(frozen=True)
class Following:
    """How a run is followed."""

    follow: bool = True
    timeout: float | None = None
    dry_run: bool = False


def train(where: Where, words: Words, following: Following) -> None:
    """Make a run, and follow it."""
    wanted = training(words)
    session = opened(where)
    body = created(session.kube, wanted, dry_run=following.dry_run)
    if following.dry_run:
        session.screen.tell(Text("The API server would take it; nothing was made."))
        session.print_objects([body], single=True)
        return
    name = body["metadata"]["name"]
    session.screen.tell(Text(f"{full_name(body)} made."))
    if following.follow:
        body = _followed(session, name, following.timeout)
    else:
        session.screen.tell(Text(f"To follow it: {session.hint(f'runs follow {name}')}"))
    if where.document:
        session.print_objects([body], single=True)


def follow(where: Where, name: str, timeout: float | None) -> None:
    """Follow a run that is there."""
    session = opened(where)
    body = _followed(session, name, timeout)
    if where.document:
        session.print_objects([body], single=True)


def outcome(run: TrainingRun) -> bool | Failed | None:
    """Say how a run stands. Pure.

    Returns:
        True: it succeeded, and what it owes is done. Failed: it did not, or needs somebody. None:
            it goes on.

    """
    condition = run.status.condition("Ready")
    if condition is None or run.status.observed_generation < run.metadata.generation:
        return None
    if run.status.is_true("Ready"):
        return True
    if run.status.is_true("Stalled") or (views.ended(run) and not run.status.is_true("Succeeded")):
        failed = run.status.failure
        log = (
            "".join(f"\n  | {line}" for line in failed.log.rstrip().splitlines()[-5:])
            if failed and failed.log
            else ""
        )
        return Failed(run.key, condition.reason, condition.message + log)
    return None


class _Logs:
    """The lines of a run's pods, read on a thread, taken by whoever draws."""

    def __init__(self, run: RunHandle, board: Board) -> None:
        self._run, self._board = run, board
        self._lines: deque[str] = deque()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def taken(self, *, last: bool = False) -> list[str]:
        """Return the lines since the last time; `last`: the run has ended, so what is still on
        its way is waited for.
        """
        if last:
            self._thread.join(timeout=5)
        return [self._lines.popleft() for _ in range(len(self._lines))]

    def _read(self) -> None:
        try:
            for line in self._run.logs(follow=True):
                self._say(line)
        except NotFound:
            return  # its pods have gone already: the run's status says what came of it
        except ClientError as error:
            self._say(f"No logs: {error}")

    def _say(self, line: str) -> None:
        self._lines.append(line)
        self._board.nudge()


def _followed(session: Session, name: str, seconds: float | None) -> Manifest:
    """Show a run until it ends; return it as it was then."""
    back = session.hint(f"runs follow {name}")
    board = Board()
    board.watch(session.kube, "TrainingRun", name=name)
    logs = _Logs(session.client.runs.get(name), board)
    begun, seen = now(), False
    with telling(
        session.screen, f"\nThe run goes on in the cluster. To come back to it: {back}"
    ) as teller:
        for _ in board.changes():
            bodies = board.of("TrainingRun")
            if not bodies and seen:
                raise NotFound(
                    f"The run {name} was deleted meanwhile.", kind="TrainingRun", name=name
                )
            if bodies:
                seen = True
                run = TrainingRun.parse(bodies[0])
                found = outcome(run)
                _tell(session, teller, logs.taken(last=found is not None), run)
                if isinstance(found, Failed):
                    raise found
                if found:
                    teller.line(_ended(run))
                    return bodies[0]
            if seconds is not None and (now() - begun).total_seconds() > seconds:
                raise TimedOut(
                    f"The run {name} has not ended after {seconds:.0f} s; it goes on. To come back"
                    f" to it: {back}",
                    seconds,
                )
    raise AssertionError("a board has no end")


def _tell(session: Session, teller: Teller, lines: list[str], run: TrainingRun) -> None:
    for line in lines:
        teller.line(Text(line, style="dim"))
    percent = f" {run.status.progress.percent}%" if run.status.progress else ""
    condition = run.status.condition("Ready")
    why = f": {condition.message}" if condition and condition.message and not percent else ""
    teller.now(
        views.line(run, now(), session.screen.width),
        f"{run.metadata.name}  {views.word(run)}{percent}{why}",
    )


def _ended(run: TrainingRun) -> Text:
    took = (
        f" in {lasted(run.status.completion_time - run.status.start_time)}"
        if run.status.completion_time and run.status.start_time
        else ""
    )
    done = run.status.registered
    registered = f"  It is {done.model}@{done.version}." if done else ""
    return Text(
        f"{run.metadata.name} succeeded{took}.  {views.metrics(run)}{registered}".rstrip(),
        style="green",
    )
