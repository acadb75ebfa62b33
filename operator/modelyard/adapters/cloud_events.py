"""Sending CloudEvents to the receiver that the administrator names, by HTTP in structured mode.

https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/http-protocol-binding.md.
Nothing is retried here, no redirect is followed, no answer's body is read. The address is never a
tenant's, so it is not judged as theirs are (`api.addresses`).
"""

import asyncio
import json
from pathlib import Path
from typing import Final

import aiohttp
from yarl import URL

from modelyard.adapters.instrument import CallTimer
from modelyard.api.proxies import direct
from modelyard.errors import Forbidden, Invalid, Unavailable
from modelyard.plan import Manifest

__all__ = ["DEPENDENCY", "CloudEvents"]

DEPENDENCY: Final = "CloudEvents"
_OPERATION = "send event"
_REFUSALS = frozenset({400, 413, 415, 422})
"""Answers that speak of the event itself. All others, redirects too, speak of the receiver, or
of what stands before it.
"""
_CREDENTIALS = frozenset({401, 403})
_TOKEN = 16 * 1024
_HEADERS = {
    "Content-Type": "application/cloudevents+json; charset=utf-8",
    "User-Agent": "modelyard",
}


class CloudEvents:
    """The way to one receiver. Make it inside of a running event loop."""

    def __init__(
        self, url: str, timer: CallTimer, *, token_file: str = "", deadline: float = 10.0
    ) -> None:
        """Open the session; no request is made.

        Args:
            url: The receiver's address, http or https.
            timer: Measures every request.
            token_file: A file with a bearer token, read for each event, for it may be replaced;
                empty: none is sent.
            deadline: Seconds for one event.

        """
        self._url = URL(url)
        self._subject = f"{self._url.scheme}://{self._url.host}"  # a path or a query may hold a key
        self._timer = timer
        self._token_file = token_file
        self._session = aiohttp.ClientSession(
            # Events are rare: a connection that is kept would be closed by the receiver by the time
            # of the next one.
            connector=aiohttp.TCPConnector(limit=1, force_close=True),
            timeout=aiohttp.ClientTimeout(total=deadline),
            headers=_HEADERS,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            # A proxy of the environment hears of addresses outside of the cluster alone.
            trust_env=not direct(url, inside=True),
        )

    async def close(self) -> None:
        """Close the session."""
        await self._session.close()

    async def post(self, event: Manifest) -> None:
        """Send one.

        Args:
            event: The CloudEvent, in its JSON format.

        Raises:
            Invalid: The receiver refuses this event; `Forbidden` because of the token.
            Unavailable: There is no clear answer, or one that says "later".

        """
        with self._timer(_OPERATION):
            headers = await self._authorization()
            body = json.dumps(event, separators=(",", ":")).encode()
            try:
                async with self._session.post(
                    self._url, data=body, headers=headers, allow_redirects=False
                ) as answer:
                    status, later = answer.status, answer.headers.get("Retry-After", "")
            except TimeoutError:
                raise Unavailable(
                    DEPENDENCY, _OPERATION, self._subject, "no answer in time"
                ) from None
            except (aiohttp.ClientError, OSError, ValueError) as error:
                raise Unavailable(
                    DEPENDENCY, _OPERATION, self._subject, type(error).__name__
                ) from None
            self._judge(status, later)

    def _judge(self, status: int, later: str) -> None:
        if 200 <= status < 300:
            return
        if status in _CREDENTIALS:
            raise Forbidden(
                DEPENDENCY,
                _OPERATION,
                self._subject,
                f"answered {status}: check the token (events.tokenSecret)",
            )
        if status in _REFUSALS:
            raise Invalid(DEPENDENCY, _OPERATION, self._subject, f"answered {status}")
        moved = (
            "; redirects are not followed: give the address that it leads to (events.sink)"
            if 300 <= status < 400
            else ""
        )
        error = Unavailable(DEPENDENCY, _OPERATION, self._subject, f"answered {status}{moved}")
        error.retry_after = float(later) if later.isdecimal() and len(later) < 6 else 0.0
        raise error

    async def _authorization(self) -> dict[str, str]:
        if not self._token_file:
            return {}
        try:
            token = (await asyncio.to_thread(_read, self._token_file)).strip()
        except (OSError, ValueError) as error:
            problem = f"the token cannot be read ({type(error).__name__}): check events.tokenSecret"
            raise Unavailable(DEPENDENCY, _OPERATION, self._subject, problem) from None
        if not token.isprintable() or not token.isascii() or not token:
            raise Unavailable(
                DEPENDENCY,
                _OPERATION,
                self._subject,
                "the token is not one line of ASCII: check events.tokenSecret",
            )
        return {"Authorization": f"Bearer {token}"}


def _read(path: str) -> str:
    with Path(path).open(encoding="ascii") as file:
        return file.read(_TOKEN)
