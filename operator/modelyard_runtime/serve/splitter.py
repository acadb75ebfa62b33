"""Split a worker's requests by a rule: draw a version, forward to the candidate, count outcomes.

If the candidate fails a request, this pod answers it; the failure is counted for the candidate.
"""

import asyncio
import random
import time
from hashlib import blake2b

from modelyard_runtime.outcome import one_line
from modelyard_runtime.serve.arms import CANDIDATE, INVITED, STABLE, Arms
from modelyard_runtime.serve.callers import Callers
from modelyard_runtime.serve.forward import Failed, ForwardedRequest, Forwarder, NoMemory
from modelyard_runtime.serve.predictor import Answer
from modelyard_runtime.serve.rule import Rule
from modelyard_runtime.serve.split import Drawn, Headers, Split

__all__ = ["Splitter"]

_REFUSED, _FAILED = 400, 500
_REFUSAL_KEY = 0x5EF05A150FA115E7
"""XORed with a user's key, it gives a second key, under which the user's refusal is recorded."""
_PRINT_INTERVAL = 10.0
"""Least seconds between two printed lines about failures of a candidate."""


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
            callers: With `sticky`, the users that are no longer counted.
            forwarder: Forwards requests to the candidate.
            longest: Seconds after which an answer of either version counts as a failure, unless the
                rule's timeout is shorter. It is half the time limit of a prediction. A failing
                candidate delays a caller by at most this; after that this server has its full time
                limit.

        """
        self.split: Split | None = None
        """None: there is no rule, and this object does nothing."""
        self._name = name
        self._version = version
        self._arms = arms
        self._forwarder = forwarder
        self._longest = self._allowed = longest
        """Seconds after which an answer counts as a failure: `longest`, or the rule's timeout."""
        self._callers = callers
        self._printed_at = -_PRINT_INTERVAL

    async def apply(self, rule: Rule | None) -> None:
        """Apply another rule; None: split no requests any longer."""
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

        While too many requests wait for the candidate, no version is drawn for any request. If only
        the candidate's requests were left out, the counted ones would not be a random sample.

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

    async def forward(self, drawn: Drawn, request: ForwardedRequest) -> Answer | None:
        """Return the candidate's answer; None: there is none, and this pod has to answer.

        Each failure of the candidate is counted. A lack of memory in this pod is not.

        Args:
            drawn: The draw.
            request: The request to forward.

        """
        try:
            answer, took = await self._forwarder.ask(
                drawn.rule, request, min(drawn.rule.timeout, self._longest)
            )
        except NoMemory:
            return None
        except Failed as error:
            self.count(drawn, _FAILED, 0.0)
            self._print_failure(drawn.rule, str(error))
            return None
        self.count(drawn, answer.status, took)
        return answer

    def count(self, drawn: Drawn, status: int, seconds: float) -> None:
        """Count the outcome of a request for the version that was drawn.

        Args:
            drawn: The draw.
            status: The status of that version's answer.
            seconds: The latency in that version's model server, from when the body had arrived.

        """
        split = self.split
        if split is None or drawn.rule is not split.rule:  # drawn by an earlier rule
            return
        failed = status >= _FAILED or seconds > self._allowed
        refused = not failed and status >= _REFUSED
        if drawn.key is not None and not self._is_counted(
            drawn.key, failed=failed, refused=refused
        ):
            return
        arm = INVITED if drawn.invited else CANDIDATE if drawn.candidate else STABLE
        if failed:
            self._arms.failed(arm)
        elif refused:
            self._arms.refused(arm)
        else:
            self._arms.answered(arm, seconds)

    def _is_counted(self, user: int, *, failed: bool, refused: bool) -> bool:
        """Tell whether a user's request is counted.

        Of each user, requests are counted up to the first failure, and at most one refusal. With
        `sticky` all requests of a user go to one version, so a single user whose requests always
        fail would otherwise decide the analysis.
        """
        if failed:
            return self._callers.add(user)
        if user in self._callers:
            return False
        return not refused or self._callers.add(user ^ _REFUSAL_KEY)

    def _print_failure(self, rule: Rule, why: str) -> None:
        """Print why the candidate failed, unless that was printed in the last seconds."""
        if (now := time.monotonic()) - self._printed_at >= _PRINT_INTERVAL:
            self._printed_at = now
            print(
                f"traffic: {rule.version} failed a request, which this pod answers: {why}",
                flush=True,
            )

    async def close(self) -> None:
        """Close the connections to the candidate."""
        await self._forwarder.close()
