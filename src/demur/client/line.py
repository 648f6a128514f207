"""One exchange with the service: bounded in time and size, never redirected, repeated only where that is safe.

- The whole exchange has one deadline, retries included, whatever the other side does: a header that comes a byte a
  second ends at it as a silent one does.
- Of a reply that says it is compressed, longer than `MAX_BYTES`, or not JSON, nothing is read.
- Proxies and credentials are not taken from the environment: nobody there chooses through whom we ask.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from demur import retrying
from demur.errors import AnswerError, ConfigurationError

if TYPE_CHECKING:
    import ssl
    from types import ModuleType

    import httpx2

MAX_BYTES = 1024 * 1024
"""Of a reply. The longest request has a quarter of that, and a refusal repeats it once."""
ATTEMPTS = 4
_FIRST_WAIT_SECONDS = 0.05
_LONGEST_WAIT_SECONDS = 1.0
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_PASSING = frozenset({429, 502, 503, 504})
"""Statuses that another try may change. 429 means that nothing was begun."""
_JSON = frozenset({"application/json", "application/problem+json"})


class UnreachableError(Exception):
    """No reply came, or none that can be read; the message says which, for those who run the program."""


@dataclass(frozen=True, slots=True)
class Message:
    """What is sent. One that is not `is_repeatable` is sent again only where nothing of it can have arrived."""

    method: str
    path: str
    body: bytes | None = None
    request_id: str = ""
    credential: str = ""
    """Of somebody else than the program, for this message alone."""
    is_repeatable: bool = True

    @property
    def headers(self) -> dict[str, str]:
        """The headers that are its own."""
        found = {
            "Content-Type": "application/json" if self.body is not None else "",
            "X-Request-ID": self.request_id,
            "Authorization": f"Bearer {self.credential}" if self.credential else "",
        }
        return {name: text for name, text in found.items() if text}


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back, as parsed JSON."""

    status: int
    members: dict[str, object]
    request_id: str


class _Again(Exception):  # noqa: N818  (not an error: the next attempt follows)
    """Another try may help; `reply` is what came of this one, if anything."""

    def __init__(self, why: str, reply: Reply | None = None) -> None:
        super().__init__(why)
        self.reply = reply


class Line:
    """To one service. For one event loop."""

    def __init__(
        self, base_url: str, *, credential: str, timeout_seconds: float, verify: bool | ssl.SSLContext
    ) -> None:
        """Raises `ConfigurationError` where the extra is missing, or the URL would send a credential in the clear."""
        self._base_url = check_url(base_url, verify=verify)
        self._http = _library()
        self.timeout_seconds = timeout_seconds
        headers = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "demur"}
        if credential:
            headers["Authorization"] = f"Bearer {credential}"
        self._client: httpx2.AsyncClient = self._http.AsyncClient(
            headers=headers,
            verify=verify,
            follow_redirects=False,
            trust_env=False,
            timeout=timeout_seconds,
            limits=self._http.Limits(max_connections=64, max_keepalive_connections=16),
        )

    async def ask(self, message: Message) -> Reply:
        """The reply, whatever its status; raises `UnreachableError`."""
        try:
            async with asyncio.timeout(self.timeout_seconds):
                return await self._tried(message)
        except TimeoutError as error:
            raise UnreachableError(f"the service did not answer within {self.timeout_seconds:g} s") from error

    async def close(self) -> None:
        """Let go of the connections."""
        await self._client.aclose()

    async def _tried(self, message: Message) -> Reply:
        attempts = retrying.retry_context(
            _Again, attempts=ATTEMPTS, timeout=None, wait_initial=_FIRST_WAIT_SECONDS, wait_max=_LONGEST_WAIT_SECONDS
        )
        try:
            async for attempt in attempts:
                with attempt:
                    return await self._once(message)
        except _Again as last:
            if last.reply is not None:
                return last.reply
            raise UnreachableError(str(last)) from last
        raise UnreachableError("no attempt was made")

    async def _once(self, message: Message) -> Reply:
        http, url = self._http, self._base_url + message.path
        try:
            async with self._client.stream(
                message.method, url, content=message.body, headers=message.headers
            ) as response:
                reply = Reply(response.status_code, await _read(response), response.headers.get("x-request-id", ""))
        except (http.ConnectError, http.ConnectTimeout, http.PoolTimeout) as error:
            raise _Again(f"the service could not be reached: {type(error).__name__}") from error
        except (http.RequestError, OSError, ValueError) as error:
            why = f"the connection to the service broke: {type(error).__name__}"
            raise (_Again(why) if message.is_repeatable else UnreachableError(why)) from error
        except AnswerError as error:
            raise UnreachableError(str(error)) from error
        if reply.status in _PASSING and (message.is_repeatable or reply.status == 429):
            raise _Again(f"the service answered with the status {reply.status}", reply)
        return reply


def check_url(base_url: str, *, verify: bool | ssl.SSLContext) -> str:
    """The URL without a slash at its end; raises `ConfigurationError`.

    Without TLS whoever stands between could grant anything, so that takes the loopback, or saying `verify=False`.
    """
    scheme, _, rest = base_url.partition("://")
    authority = rest.partition("/")[0]
    if scheme not in {"https", "http"} or not authority or "@" in authority or "?" in rest or "#" in rest:
        raise ConfigurationError(
            f"expected the URL of a service such as `https://demur.example`, found `{base_url[:80]}`"
        )
    host = authority.rpartition("]")[0].lstrip("[") or authority.partition(":")[0]
    if scheme == "http" and host.lower() not in _LOOPBACK and verify is not False:
        raise ConfigurationError(
            f"expected `https` for the service at `{host[:80]}`, found `http`",
            hint="without TLS others can read the credential and answer in its place; `verify=False` accepts that",
        )
    return base_url.rstrip("/")


async def _read(response: httpx2.Response) -> dict[str, object]:
    """The members of the body. A reply without one that can be read has none, unless it claims success."""
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    coding = response.headers.get("content-encoding", "identity").strip().lower()
    if kind not in _JSON or coding != "identity":
        if response.status_code != 200:
            return {}
        raise AnswerError(f"expected JSON from the service, found `{kind[:40]}` coded `{coding[:20]}`")
    body = bytearray()
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > MAX_BYTES:
            raise AnswerError(f"expected at most {MAX_BYTES} bytes from the service, found more")
    return parse(bytes(body))


def parse(body: bytes) -> dict[str, object]:
    """The members of a JSON object in which no name stands twice; raises `AnswerError`."""
    try:
        found = json.loads(body.decode("utf-8"), object_pairs_hook=_once_each, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise AnswerError("expected JSON from the service, found something else") from error
    if not isinstance(found, dict):
        raise AnswerError("expected a JSON object from the service, found another value")
    return found


def _once_each(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a name stands twice")
    return members


def _no_constant(name: str) -> object:
    raise ValueError(name)


def _library() -> ModuleType:
    try:
        import httpx2  # noqa: PLC0415  (only programs that ask a service need it)
        import stamina  # noqa: F401, PLC0415  (as above)
    except ImportError as error:
        raise ConfigurationError(
            f"the module `{error.name}` is not installed", hint='run `pip install "demur[client]"`'
        ) from error
    return httpx2
