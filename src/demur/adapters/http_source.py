r"""Facts from a service by HTTP GET: a path with ids filled in, a JSON object back.

    people: {kind: http, service: directory, path: "/people/{id}", parameters: {id: subject.id},
             pointers: {subject.grade: /employment/grade}}

- The policy names the service; address and bearer token stand in the environment of whoever runs the gate
  (`DEMUR_SERVICE_DIRECTORY`, `DEMUR_SERVICE_DIRECTORY_TOKEN`): a policy can send a token nowhere else.
- What is filled in is percent-encoded and stays within its segment, or within its value of the query. An id that is
  empty, `.` or `..`, or holds `/`, `\` or a control character cannot stand in a path: servers read those variously.
- Redirects are not followed. TLS is needed but on the loopback. A reply has one deadline and at most `MAX_BYTES`.
- A fact is what its pointer (RFC 6901) names or, without one, the member called like the fact. Null or nothing there
  means that there is none. A 404 means so only where the policy says `absent_on_404`: a wrong path answers 404 too.

Clauses: S2.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import threading
from concurrent.futures import Future
from concurrent.futures import TimeoutError as LateError
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from demur.adapters import outside
from demur.adapters.breaker import Breaker, SourceError, UnfitError
from demur.adapters.callables import UnregisteredSource
from demur.adapters.static_tables import column
from demur.core.terms import Missing
from demur.errors import ConfigurationError
from demur.retrying import retry_context

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import ModuleType

    import httpx2

    from demur.core.schema import Fact, Source
    from demur.core.terms import Request, State

KIND = "http"
PREFIX = "DEMUR_SERVICE_"
MAX_BYTES = 256 * 1024
ATTEMPTS = 2
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_PLACE = re.compile(r"\{([^{}]*)\}")
_NO_SEGMENT = re.compile(r"[/\\\x00-\x1f\x7f]|\A\.{0,2}\Z")
_PASSING = frozenset({429, 502, 503, 504})


class HttpSource:
    """`ports.FactSource` over one path of a service."""

    is_local = False

    def __init__(self, source: Source, line: _Line, breaker: Breaker) -> None:
        self._path = str(source.settings["path"])
        self._parameters = outside.table(source, "parameters")
        self._pointers = outside.table(source, "pointers")
        self._is_404_absent = source.settings.get("absent_on_404") is True
        self._line = line
        self._breaker = breaker

    def learn(self, request: Request, paths: Sequence[str]) -> Mapping[str, State]:
        given = {name: str(_text(outside.stated(request, path))) for name, path in self._parameters.items()}
        target = expand(self._path, given)
        with self._breaker.guarding():
            body = self._fetch(target)
        if body is None:
            return dict.fromkeys(paths, Missing.ABSENT)
        return {path: self._value(body, path) for path in paths}

    def close(self) -> None:
        """Let go of the connections."""
        self._line.close()

    def _fetch(self, target: str) -> Mapping[str, object] | None:
        status, kind, body = self._line.get(target)
        if status == 404 and self._is_404_absent:
            return None
        if status in {400, 404, 410, 414, 422}:
            raise UnfitError(f"the service answered with the status {status}")
        if status != 200:
            raise SourceError(f"the service answered with the status {status}")
        if kind != "application/json" and not kind.endswith("+json"):
            raise SourceError("expected JSON from the service, found another content type")
        return _parse(body)

    def _value(self, body: Mapping[str, object], path: str) -> State:
        pointer = self._pointers.get(path)
        return column(body, path) if pointer is None else outside.at(body, pointer)


class HttpOpener:
    """Opens sources of kind `http`. `services` are base URLs by name, `tokens` their credentials; what is not there is
    looked for in the environment. Without `must_exist` a source whose service nobody named is opened, and its facts
    are unknown.
    """

    def __init__(
        self,
        services: Mapping[str, str] | None = None,
        tokens: Mapping[str, str] | None = None,
        *,
        must_exist: bool = True,
    ) -> None:
        self._services = dict(services or {})
        self._tokens = dict(tokens or {})
        self._must_exist = must_exist

    def __call__(self, source: Source, facts: Sequence[Fact]) -> HttpSource | UnregisteredSource:
        del facts
        name = str(source.settings["service"])
        variable = outside.variable(PREFIX, name)
        base = self._services.get(name) or os.environ.get(variable, "")
        token = self._tokens.get(name) or os.environ.get(f"{variable}_TOKEN", "")
        if not base and not self._must_exist:
            return UnregisteredSource(source.name)
        line = _Line(_address(source.name, name, variable, base), token, source.timeout_ms / 1_000)
        return HttpSource(source, line, Breaker(source.name))


def expand(template: str, given: Mapping[str, str]) -> str:
    """The path with what is given filled in; raises `UnfitError` for what would be another path."""
    path, mark, query = template.partition("?")

    def segment(match: re.Match[str]) -> str:
        return quote(given[match[1]], safe="")

    for match in _PLACE.finditer(path):
        if _NO_SEGMENT.search(given[match[1]]):
            raise UnfitError("the request holds an id that cannot stand in a path")
    filled = _PLACE.sub(segment, path)
    if any(part in {".", ".."} for part in filled.split("/")):
        raise UnfitError("the request holds an id that cannot stand in a path")
    return filled + mark + _PLACE.sub(segment, query)


def _text(value: str | int | bool) -> str:  # noqa: FBT001  (a value, not a switch)
    if isinstance(value, bool):
        return "true" if value else "false"
    text = str(value)
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise UnfitError("the request holds an id with a lone surrogate") from error
    return text


def _address(source: str, name: str, variable: str, url: str) -> str:
    hint = f"set `{variable}` to a URL such as `https://directory.example`"
    if not url:
        raise ConfigurationError(f"source `{source}`: nothing says where the service `{name}` is", hint=hint)
    parts = urlsplit(url)
    is_near = parts.hostname in _LOOPBACK
    if parts.scheme not in {"https", "http"} or not parts.hostname or parts.username or parts.query or parts.fragment:
        raise ConfigurationError(f"source `{source}`: `{name}` is no URL of a service", hint=hint)
    if parts.scheme == "http" and not is_near:
        raise ConfigurationError(
            f"source `{source}`: expected `https` for the service `{name}`, found `http`", hint=hint
        )
    return url.rstrip("/")


class _Line:
    """To one service: connections on an event loop in a thread of its own, so that a deadline ends whatever happens."""

    def __init__(self, base: str, token: str, timeout_seconds: float) -> None:
        self._base = base
        self._timeout_seconds = timeout_seconds
        self._http = _library()
        headers = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "demur"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        self._client: httpx2.AsyncClient = self._http.AsyncClient(
            headers=headers, follow_redirects=False, trust_env=False, timeout=timeout_seconds
        )
        self._lock = threading.Lock()
        self._running: tuple[asyncio.AbstractEventLoop, threading.Thread] | None = None
        self._is_closed = False

    def get(self, target: str) -> tuple[int, str, bytes]:
        """Status, content type and body; raises `SourceError`."""
        with self._lock:
            if self._is_closed:
                raise SourceError("the source is closed")
            if self._running is None:
                self._running = self._start()
            done: Future[tuple[int, str, bytes]] = asyncio.run_coroutine_threadsafe(self._get(target), self._running[0])
        try:
            return done.result(self._timeout_seconds + 1)
        except (TimeoutError, LateError) as error:
            done.cancel()
            raise SourceError("the service did not answer in time") from error
        except self._http.RequestError as error:
            raise SourceError(f"the service could not be asked: `{type(error).__name__}`") from error
        except (OSError, ValueError) as error:
            raise SourceError(f"the service could not be asked: `{type(error).__name__}`") from error

    def close(self) -> None:
        """Let go of the connections and the thread."""
        with self._lock:
            self._is_closed = True
            running, self._running = self._running, None
        if running is not None:
            running[0].call_soon_threadsafe(running[0].stop)
            running[1].join()

    def _start(self) -> tuple[asyncio.AbstractEventLoop, threading.Thread]:
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=self._serve, args=(loop,), name="demur-http-source", daemon=True)
        thread.start()
        return loop, thread

    def _serve(self, loop: asyncio.AbstractEventLoop) -> None:
        """Until it is stopped; then what is on its way is cancelled, and the connections are closed."""
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.get_loop().run_forever()
            loop.run_until_complete(self._client.aclose())

    async def _get(self, target: str) -> tuple[int, str, bytes]:
        attempts = retry_context(_Again, attempts=ATTEMPTS, timeout=None, wait_initial=0.02, wait_max=0.1)
        async with asyncio.timeout(self._timeout_seconds):
            try:
                async for attempt in attempts:
                    with attempt:
                        return await self._once(target)
            except _Again as last:
                return last.status, "", b""
        raise SourceError("no attempt was made")

    async def _once(self, target: str) -> tuple[int, str, bytes]:
        async with self._client.stream("GET", self._base + target) as response:
            if response.status_code in _PASSING:
                raise _Again(response.status_code)
            kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
            if response.status_code != 200:
                return response.status_code, kind, b""
            if response.headers.get("content-encoding", "identity").lower() != "identity":
                raise SourceError("expected a reply that is not compressed, found another")
            body = bytearray()
            async for chunk in response.aiter_raw():
                body += chunk
                if len(body) > MAX_BYTES:
                    raise SourceError(f"expected at most {MAX_BYTES} bytes from the service, found more")
            return response.status_code, kind, bytes(body)


class _Again(Exception):  # noqa: N818  (not an error: the next attempt follows)
    """Another try may help."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


def _parse(body: bytes) -> Mapping[str, object]:
    def once(pairs: list[tuple[str, object]]) -> dict[str, object]:
        members = dict(pairs)
        if len(members) != len(pairs):
            raise ValueError("a name stands twice")
        return members

    try:
        found = json.loads(body.decode("utf-8"), object_pairs_hook=once)
    except (ValueError, RecursionError) as error:
        raise SourceError("expected JSON from the service, found something else") from error
    if not isinstance(found, dict):
        raise SourceError("expected a JSON object from the service, found another value")
    return found


def _library() -> ModuleType:
    try:
        import httpx2  # noqa: PLC0415  (only gates with such a source need it)
        import stamina  # noqa: F401, PLC0415  (as above)
    except ImportError as error:
        raise ConfigurationError(
            f"sources of kind `http` need the module `{error.name}`", hint="install `demur[server]`"
        ) from error
    return httpx2
