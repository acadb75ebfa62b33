"""What a worker does by its rule: draws, asks the candidate, answers itself where that fails, and
counts as drawn.

How a version is chosen belongs to `split`, how the candidate is asked to `forward`, where counts
are kept to `arms`.
"""

import asyncio
import random
import time

from modelyard_runtime.outcome import one_line
from modelyard_runtime.serve.arms import CANDIDATE, INVITED, STABLE, Arms
from modelyard_runtime.serve.forward import Failed, Forwarder, Passed
from modelyard_runtime.serve.predictor import Answer
from modelyard_runtime.serve.rule import Rule
from modelyard_runtime.serve.split import Drawn, Headers, Split

__all__ = ["Splitter"]

_REFUSED, _FAILED = 400, 500
_KEYS = 10_000
_QUIET = 10.0
"""Seconds between two lines about failures of a candidate."""


class Splitter:
    """One worker's. Used in the event loop only."""

    def __init__(
        self, name: str, version: str, arms: Arms, forwarder: Forwarder, longest: float
    ) -> None:
        """Begin without a rule.

        Args:
            name: The model's.
            version: The version that is served here.
            arms: Where requests are counted.
            forwarder: Asks the candidate.
            longest: Seconds that either version may take, if the rule does not give it less: half
                of what a prediction may take, which is what a candidate that fails may cost a
                caller. This version then has its whole time.

        """
        self.split: Split | None = None
        """None: there is no rule, and nothing of this is used."""
        self._name = name
        self._version = version
        self._arms = arms
        self._forwarder = forwarder
        self._longest = self._allowed = longest
        """After how many seconds an answer is a failure, whichever version gives it: by what a
        request has, and by the rule.
        """
        self._failed: dict[int, None] = {}
        """Keys of users of whom a request has failed in this rollout, the oldest first."""
        self._rollout = ("", "")
        self._said = -_QUIET

    async def apply(self, rule: Rule | None) -> None:
        """Split by another rule from now on; None: by none."""
        if rule is not None and not self._forwarder.loaded:
            try:
                await asyncio.to_thread(self._forwarder.load)
            except ImportError as error:
                print(
                    "traffic: the rule cannot be applied, all requests are answered here:"
                    f" {one_line(error)}",
                    flush=True,
                )
                rule = None
        if rule == (self.split.rule if self.split else None):
            return
        if rule is None:
            self.split = None
            self._arms.begin(0, 0)
            print("traffic: no rule, all requests are answered here", flush=True)
            return
        if (rollout := (rule.version, rule.runtime)) != self._rollout:
            self._rollout = rollout
            self._failed.clear()
        self._allowed = min(rule.timeout, self._longest)
        self._arms.begin(rule.revision, rule.weight)
        self.split = Split(rule, self._name, self._version)
        print(
            f"traffic: revision {rule.revision}, {rule.weight} % for {rule.version}"
            f" ({rule.runtime})",
            flush=True,
        )

    def draw(self, headers: Headers, size: int) -> Drawn | None:
        """Return for which version a request is; None: it is answered here, and not counted.

        While as many requests wait for the candidate as may, none is drawn: so those that are
        counted are still drawn by chance.

        Args:
            headers: The request's.
            size: Bytes of its body.

        """
        split = self.split
        if split is None:
            return None
        if split.only is not None:
            return split.only
        if self._forwarder.full(size):
            return None
        return split.draw(headers, random.random)

    async def asked(self, drawn: Drawn, asked: Passed) -> Answer | None:
        """Return the candidate's answer to a request that was drawn for it; None: it has failed,
        and is to be answered here.

        Args:
            drawn: What was drawn.
            asked: The request.

        """
        try:
            answer, took = await self._forwarder.ask(
                drawn.rule, asked, min(drawn.rule.timeout, self._longest)
            )
        except Failed as error:
            self.count(drawn, _FAILED, 0.0)
            self._say(drawn.rule, str(error))
            return None
        self.count(drawn, answer.status, took)
        return answer

    def count(self, drawn: Drawn, status: int, seconds: float) -> None:
        """Count what came of a request, for the version that it was drawn for.

        Args:
            drawn: What was drawn.
            status: That version's answer.
            seconds: How long its model server took for it, from when it had the body.

        """
        split = self.split
        if (
            split is None or drawn.rule is not split.rule
        ):  # it was drawn by another rule, whose counts are over
            return
        failed = status >= _FAILED or seconds > self._allowed
        if (key := drawn.key) is not None:
            if key in self._failed:
                return
            if failed:
                self._remember(key)
        arm = INVITED if drawn.invited else CANDIDATE if drawn.candidate else STABLE
        if failed:
            self._arms.failed(arm)
        elif status >= _REFUSED:
            self._arms.refused(arm)
        else:
            self._arms.answered(arm, seconds)

    def _remember(self, key: int) -> None:
        """Keep a user whose request has failed: users that always fail must not be counted for
        as often as they come.
        """
        if len(self._failed) >= _KEYS:
            del self._failed[next(iter(self._failed))]
        self._failed[key] = None

    def _say(self, rule: Rule, why: str) -> None:
        """Say why a candidate fails, now and then."""
        if (now := time.monotonic()) - self._said >= _QUIET:
            self._said = now
            print(
                f"traffic: {rule.version} failed a request, which is answered here: {why}",
                flush=True,
            )

    async def close(self) -> None:
        """Close the connections to the candidate."""
        await self._forwarder.close()
