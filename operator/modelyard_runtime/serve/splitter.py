"""Split a worker's requests by its rule: draw a version, ask the candidate, count the outcome.

A request that the candidate fails is answered here, and counted for the candidate.
"""

import asyncio
import random
import time
from hashlib import blake2b

from modelyard_runtime.outcome import one_line
from modelyard_runtime.serve.arms import CANDIDATE, INVITED, STABLE, Arms
from modelyard_runtime.serve.callers import Callers
from modelyard_runtime.serve.forward import Failed, Forwarder, NoMemory, Passed
from modelyard_runtime.serve.predictor import Answer
from modelyard_runtime.serve.rule import Rule
from modelyard_runtime.serve.split import Drawn, Headers, Split

__all__ = ["Splitter"]

_REFUSED, _FAILED = 400, 500
_REFUSALS = 0x5EF05A150FA115E7
"""Makes of a user's key the one of their refusals."""
_QUIET = 10.0
"""Seconds between two log lines about failures of a candidate."""


class Splitter:
    """Splits the requests of one worker. Used only in the event loop."""

    def __init__(
        self,
        name: str,
        version: str,
        arms: Arms,
        callers: Callers,
        forwarder: Forwarder,
        *,
        longest: float,
    ) -> None:
        """Start without a rule.

        Args:
            name: The model's name.
            version: The version of this server.
            arms: The counters.
            callers: The users that are no longer counted, under `sticky`.
            forwarder: Asks the candidate.
            longest: Most seconds for either version's answer, unless the rule has less: half the
                time limit of a prediction. So a failing candidate delays a caller by at most this;
                this server then has its full time limit.

        """
        self.split: Split | None = None
        """None: there is no rule, and this object does nothing."""
        self._name = name
        self._version = version
        self._arms = arms
        self._forwarder = forwarder
        self._longest = self._allowed = longest
        """Seconds after which an answer counts as a failure: `longest`, or the rule's if lower."""
        self._callers = callers
        self._said = -_QUIET

    async def apply(self, rule: Rule | None) -> None:
        """Apply another rule; None: there is no rule."""
        if rule is not None and not self._forwarder.loaded:
            try:
                await asyncio.to_thread(self._forwarder.load)
            except ImportError as error:
                print(
                    "traffic: the rule cannot be applied, this pod answers all requests:"
                    f" {one_line(error)}",
                    flush=True,
                )
                rule = None
        if rule == (self.split.rule if self.split else None):
            return
        if rule is None:
            self.split = None
            self._arms.begin(0, 0)
            print("traffic: no rule, this pod answers all requests", flush=True)
            return
        if rule.header is not None or rule.cookie is not None:
            rollout = blake2b(f"{rule.version} {rule.runtime}".encode(), digest_size=8).digest()
            self._callers.begin(int.from_bytes(rollout) or 1)
        self._allowed = min(rule.timeout, self._longest)
        self._arms.begin(rule.revision, rule.weight)
        self.split = Split(rule, self._name, self._version)
        print(
            f"traffic: revision {rule.revision}, {rule.weight} % of requests to {rule.version}"
            f" ({rule.runtime})",
            flush=True,
        )

    def draw(self, headers: Headers, size: int) -> Drawn | None:
        """Draw the version for a request; None: this pod answers it, and it is not counted.

        While the limit of requests that wait for the candidate is reached, none is drawn, so that
        the counted requests remain a random sample.

        Args:
            headers: The request's headers.
            size: Bytes of its body.

        """
        split = self.split
        if split is None:
            return None
        if split.only is not None:
            return split.only
        if self._forwarder.full(size):
            return None
        drawn = split.draw(headers, random.random)
        if not drawn.invited:
            self._arms.drew(CANDIDATE if drawn.candidate else STABLE)
        return drawn

    async def asked(self, drawn: Drawn, asked: Passed) -> Answer | None:
        """Return the candidate's answer; None: there is none, and this pod has to answer.

        Every failure of the candidate is counted; that this pod lacks memory for its answer is not.

        Args:
            drawn: The draw.
            asked: The request.

        """
        try:
            answer, took = await self._forwarder.ask(
                drawn.rule, asked, min(drawn.rule.timeout, self._longest)
            )
        except NoMemory:
            return None
        except Failed as error:
            self.count(drawn, _FAILED, 0.0)
            self._say(drawn.rule, str(error))
            return None
        self.count(drawn, answer.status, took)
        return answer

    def count(self, drawn: Drawn, status: int, seconds: float) -> None:
        """Count the outcome of a request for the version that was drawn.

        Args:
            drawn: The draw.
            status: The status of that version's answer.
            seconds: The latency in that version's model server, from the end of the body.

        """
        split = self.split
        if split is None or drawn.rule is not split.rule:  # drawn by an earlier rule
            return
        failed = status >= _FAILED or seconds > self._allowed
        refused = not failed and status >= _REFUSED
        if drawn.key is not None and not self._counts(drawn.key, failed=failed, refused=refused):
            return
        arm = INVITED if drawn.invited else CANDIDATE if drawn.candidate else STABLE
        if failed:
            self._arms.failed(arm)
        elif refused:
            self._arms.refused(arm)
        else:
            self._arms.answered(arm, seconds)

    def _counts(self, user: int, *, failed: bool, refused: bool) -> bool:
        """Tell whether a user's request counts: up to the first failure, and one refusal of each.

        The rule sends all requests of a user to one version, so a user whose requests always fail
        must not count as often as they come.
        """
        if failed:
            return self._callers.add(user)
        if user in self._callers:
            return False
        return not refused or self._callers.add(user ^ _REFUSALS)

    def _say(self, rule: Rule, why: str) -> None:
        """Print why a candidate fails, at most once in a while."""
        if (now := time.monotonic()) - self._said >= _QUIET:
            self._said = now
            print(
                f"traffic: {rule.version} failed a request, which this pod answers: {why}",
                flush=True,
            )

    async def close(self) -> None:
        """Close the connections to the candidate."""
        await self._forwarder.close()
