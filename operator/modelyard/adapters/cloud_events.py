"""Send CloudEvents to the receiver that the administrator configured, by HTTP in structured mode.

https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/http-protocol-binding.md.
Nothing is retried here, redirects are not followed, bodies of answers are not read. The address is
never a tenant's, so the rules for tenants' addresses (`api.addresses`) do not apply.
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
"""Answers about the event itself. All others, including redirects, are about the receiver or a
proxy before it.
"""
_CREDENTIALS = frozenset({401, 403})
_TOKEN = 16 * 1024
_HEADERS = {
    "Content-Type": "application/cloudevents+json; charset=utf-8",
    "User-Agent": "modelyard",
}


class CloudEvents:
    """A client of one receiver. Create it inside a running event loop."""

    def __init__(
        self, url: str, timer: CallTimer, *, token_file: str = "", deadline: float = 10.0
    ) -> None:
        """Open the session; no request is made.

        Args:
            url: The receiver's address, http or https.
            timer: Measures every request.
            token_file: A file with a bearer token, read for each event since it may be replaced;
                empty: no token is sent.
            deadline: Seconds for one event.

        """
        self._url = URL(url)
        self._subject = f"{self._url.scheme}://{self._url.host}"  # a path or a query may hold a key
        self._timer = timer
        self._token_file = token_file
        self._session = aiohttp.ClientSession(
            # Events are rare: the receiver would close an idle connection before the next one.
            connector=aiohttp.TCPConnector(limit=1, force_close=True),
            timeout=aiohttp.ClientTimeout(total=deadline),
            headers=_HEADERS,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            # The environment's proxy is used for addresses outside the cluster only.
            trust_env=not direct(url, inside=True),
        )

    async def close(self) -> None:
        """Close the session."""
        await self._session.close()

    async def post(self, event: Manifest) -> None:
        """Send one event.

        Args:
            event: The CloudEvent, in its JSON format.

        Raises:
            Invalid: The receiver refuses this event; `Forbidden` because of the token.
            Unavailable: The answer is unclear, or asks to retry later.

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
