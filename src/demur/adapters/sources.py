"""All sources of facts that a schema declares: they run in parallel, and are on time, or their facts are unknown.

- What a source says is checked against the declared type. Anything else that happens (an exception, a timeout, a wrong
  type, a path left out, "there is none" for a fact that is not optional) makes the fact unknown and says why (S2.1).
- Sources that answer from memory run in the caller's thread. Each of the others has threads of its own, so a source
  that hangs delays nothing but its own facts, and after a while is not asked any more until it returns.
- A source with a `ttl` or a `key` is asked once for equal keys: answers are remembered for the `ttl`, and callers that
  ask at the same time share one call. The key is the parts of the request that `key` lists; by default the subject and
  the resource, by type and id. A source that reads anything else of the request must list it.
- Only what is known is remembered; the instant at which a fact was learned travels with it.

Clauses: S2.
"""

from __future__ import annotations

import threading
import time
import traceback
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from concurrent.futures import CancelledError
from pathlib import PurePath
from typing import TYPE_CHECKING, Protocol, TypeAlias, runtime_checkable

from demur.adapters.workers import Workers
from demur.core import resolution
from demur.core.conform import ConformError, conform, describe
from demur.core.resolution import Learned
from demur.core.schema import BUILT_IN, REQUEST
from demur.core.terms import Missing, Request, State, Timestamp
from demur.errors import ConfigurationError, DemurError, OverloadedError
from demur.ports import Listing

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from demur.adapters.workers import Call
    from demur.core.schema import Fact, Schema, Source
    from demur.ports import FactSource

    Opener = Callable[[Source, Sequence[Fact]], FactSource]
    """Opens the source of a kind for the facts that name it; raises `ConfigurationError` where it cannot work."""

MAX_REMEMBERED = 10_000
"""Facts that one source remembers; the least recently used go first."""

_DEFAULT_KEY = ("subject.type", "subject.id", "resource.type", "resource.id")
_PARTS = frozenset({"subject", "actor", "action", "resource", "context"})
_KEYED_BY_THEMSELVES = frozenset({"static", "content", "claims"})
_Key: TypeAlias = tuple[object, ...]
_Flight: TypeAlias = tuple[_Key, tuple[str, ...]]


@runtime_checkable
class Closing(Protocol):
    """A source that holds connections."""

    def close(self) -> None: ...


class DeclaredSources:
    """`ports.Sources` for one schema. Safe to use from any thread."""

    def __init__(self, schema: Schema, opened: Mapping[str, FactSource], *, workers: int = 8) -> None:
        self._facts = dict(schema.facts)
        self._arguments = {
            (name, fact.path): fact for name, action in schema.actions.items() for fact in action.arguments
        }
        self._sources = {name: _Asked(schema.sources[name], source, workers=workers) for name, source in opened.items()}

    def learn(self, request: Request, wanted: Mapping[str, Sequence[str]], now: Timestamp) -> Mapping[str, Learned]:
        """Learn the wanted paths, given by source name; never raises for a failing source."""
        learned: dict[str, Learned] = {}
        begun: list[tuple[_Asked, _Question]] = []
        for name, paths in wanted.items():
            asked = self._sources.get(name)
            if asked is None:
                learned.update(_unknown(paths, now, f"there is no source `{name}`"))
            elif paths:
                begun.append((asked, asked.begin(request, tuple(paths), now)))
        for asked, question in begun:
            learned.update(asked.finish(question, self._declared(request, question.paths)))
        return learned

    def keys(self, path: str) -> frozenset[str]:
        """The values of a part of a request, such as `subject.id`, that sources know; those that fail know none."""
        return frozenset[str]().union(*(asked.keys(path) for asked in self._sources.values()))

    def close(self) -> None:
        """Take no more questions; what hangs is left to itself."""
        for asked in self._sources.values():
            asked.close()

    def _declared(self, request: Request, paths: Sequence[str]) -> dict[str, Fact | None]:
        return {path: self._facts.get(path) or self._arguments.get((request.action, path)) for path in paths}


def open_sources(schema: Schema, openers: Mapping[str, Opener], *, workers: int = 8) -> DeclaredSources:
    """All sources that the schema declares, opened by kind; raises `ConfigurationError` where one cannot work.

    `workers` bounds the calls that run at a time, for each source.
    """
    facts: dict[str, list[Fact]] = {name: [] for name in schema.sources}
    arguments = (fact for action in schema.actions.values() for fact in action.arguments)
    for fact in (*schema.facts.values(), *arguments):
        if fact.source in facts:
            facts[fact.source].append(fact)
    opened: dict[str, FactSource] = {}
    for name, source in schema.sources.items():
        opener = openers.get(source.kind)
        if opener is None:
            kinds = ", ".join(sorted(openers)) or "none"
            raise ConfigurationError(f"source `{name}`: expected a kind among {kinds}, found `{source.kind}`")
        _check_reads(schema, source, facts[name])
        opened[name] = opener(source, facts[name])
    return DeclaredSources(schema, opened, workers=workers)


def _check_reads(schema: Schema, source: Source, facts: Sequence[Fact]) -> None:
    """What a source looks up by must be the request's own: a claim may not stand for a resolved fact (S2.2)."""
    for path in (*(_declared_key(source) or ()), *(fact.detect.of for fact in facts if fact.detect)):
        declared = schema.facts.get(path)
        if path not in BUILT_IN and (
            path.partition(".")[0] not in _PARTS or (declared is not None and declared.source != REQUEST)
        ):
            hint = "take a part such as `subject.id` or `action.text`; a fact of another source cannot be looked up by"
            raise ConfigurationError(f"source `{source.name}`: `{path}` is no part of the request", hint=hint)


class _Question:
    """One request to one source: what is remembered already, and what the rest hangs on."""

    __slots__ = ("asking", "at", "call", "deadline", "key", "known", "paths", "said", "why")

    def __init__(self, paths: tuple[str, ...], at: Timestamp, key: _Key | None, deadline: float) -> None:
        self.paths = paths
        self.at = at
        self.key = key
        self.deadline = deadline
        self.known: dict[str, Learned] = {}
        self.asking: tuple[str, ...] = paths
        self.call: Call[object] | None = None
        self.said: object = {}
        self.why = ""


class _Asked:
    """One source with its threads, its memory and the calls under way."""

    def __init__(self, declared: Source, source: FactSource, *, workers: int) -> None:
        self._source = source
        self._timeout = declared.timeout_ms / 1_000
        self._ttl_nanos = declared.ttl_ms * 1_000_000
        self._key = _key_of(declared)
        self._workers: Workers[object] = Workers(declared.name, size=workers, max_abandoned=workers)
        self._lock = threading.Lock()
        self._memory: OrderedDict[tuple[_Key, str], Learned] = OrderedDict()
        self._flights: dict[_Flight, tuple[Call[object], Timestamp]] = {}

    def begin(self, request: Request, paths: tuple[str, ...], now: Timestamp) -> _Question:
        """Recall what is remembered, and set out to learn the rest."""
        key = None if self._key is None else tuple(_part(request, path) for path in self._key)
        question = _Question(paths, now, key, time.monotonic() + self._timeout)
        if key is not None and self._ttl_nanos:
            question.known = self._recall(key, paths, now)
            question.asking = tuple(path for path in paths if path not in question.known)
        if question.asking and self._source.is_local:
            self._ask_here(question, request)
        elif question.asking:
            self._depart(question, request)
        return question

    def finish(self, question: _Question, declared: Mapping[str, Fact | None]) -> dict[str, Learned]:
        """What was learned by the deadline; everything else is unknown and says why."""
        if question.call is not None:
            self._await(question, question.call)
        asked = {path: _settle(question, path, declared[path]) for path in question.asking}
        if question.key is not None and self._ttl_nanos:
            self._remember(question.key, asked)
        return question.known | asked

    def keys(self, path: str) -> Collection[str]:
        """What can be listed at once, from memory."""
        if not isinstance(self._source, Listing) or not self._source.is_local:
            return ()
        try:
            return self._source.keys(path)
        except DemurError:
            return ()

    def close(self) -> None:
        self._workers.close()
        if isinstance(self._source, Closing):
            self._source.close()

    def _ask_here(self, question: _Question, request: Request) -> None:
        try:
            question.said = self._source.learn(request, question.asking)
        except Exception as error:  # noqa: BLE001  (whatever a source raises means that its facts are unknown)
            question.why = _failure(error)

    def _depart(self, question: _Question, request: Request) -> None:
        asking = question.asking

        def work() -> object:
            return self._source.learn(request, asking)

        try:
            if question.key is None:
                question.call = self._workers.submit(work)
            else:
                question.call, question.at = self._share((question.key, asking), work, question.at)
        except OverloadedError as error:
            question.why = f"the source was not asked: {error}"

    def _share(self, flight: _Flight, work: Callable[[], object], now: Timestamp) -> tuple[Call[object], Timestamp]:
        """The call under way for this key, or a new one, with the instant at which it was begun."""
        with self._lock:
            begun = self._flights.get(flight)
            if begun is not None:
                return begun
            call = self._workers.submit(work)
            self._flights[flight] = call, now
        call.future.add_done_callback(lambda _: self._land(flight, call))
        return call, now

    def _land(self, flight: _Flight, call: Call[object]) -> None:
        with self._lock:
            if flight in self._flights and self._flights[flight][0] is call:
                del self._flights[flight]

    def _await(self, question: _Question, call: Call[object]) -> None:
        try:
            error = call.future.exception(max(0.0, question.deadline - time.monotonic()))
        except TimeoutError:
            self._workers.abandon(call)
            if question.key is not None:
                self._land((question.key, question.asking), call)
            question.why = f"the source did not answer within {self._timeout * 1_000:.0f} ms"
        except CancelledError:
            question.why = "the source was not asked: no thread was free in time"
        else:
            question.why = "" if error is None else _failure(error)
            question.said = {} if error is not None else call.future.result()

    def _recall(self, key: _Key, paths: Sequence[str], now: Timestamp) -> dict[str, Learned]:
        known: dict[str, Learned] = {}
        with self._lock:
            for path in paths:
                item = self._memory.get((key, path))
                if item is not None and 0 <= now.nanos - item.at.nanos < self._ttl_nanos:
                    self._memory.move_to_end((key, path))
                    known[path] = item
        return known

    def _remember(self, key: _Key, learned: Mapping[str, Learned]) -> None:
        with self._lock:
            for path, item in learned.items():
                if item.state is not Missing.UNKNOWN:
                    self._memory[key, path] = item
                    self._memory.move_to_end((key, path))
            while len(self._memory) > MAX_REMEMBERED:
                self._memory.popitem(last=False)


def _key_of(declared: Source) -> tuple[str, ...] | None:
    """The parts of the request that tell one question from another; `None` where every question is its own."""
    if declared.kind in _KEYED_BY_THEMSELVES:
        return None
    return _declared_key(declared) or (_DEFAULT_KEY if declared.ttl_ms else None)


def _declared_key(declared: Source) -> tuple[str, ...] | None:
    key = declared.settings.get("key")
    if isinstance(key, str):
        return (key,)
    return tuple(str(path) for path in key) if isinstance(key, Sequence) else None


def _part(request: Request, path: str) -> object:
    """A part of the request as a part of a key; its kind is kept, so that `1`, `1.0`, `true` and `"1"` differ."""
    state = resolution.stated(request, path)
    return type(state).__name__, repr(state)


def _settle(question: _Question, path: str, fact: Fact | None) -> Learned:
    """One fact from what the source said."""
    if question.why or fact is None:
        return Learned(Missing.UNKNOWN, question.at, question.why or "no such fact is declared")
    try:
        state, why = _judge(question.said, path, fact)
    except Exception as error:  # noqa: BLE001  (a source may hand out objects of its own that fail when they are read)
        state, why = Missing.UNKNOWN, _failure(error)
    return Learned(state, question.at, why)


def _judge(said: object, path: str, fact: Fact) -> tuple[State, str]:
    if not isinstance(said, Mapping):
        return Missing.UNKNOWN, f"expected facts by path, found {describe(said)}"
    found = said.get(path, Missing.UNKNOWN)
    if found is Missing.ABSENT:
        return (found, "") if fact.optional else (Missing.UNKNOWN, _NOT_OPTIONAL)
    if found is Missing.UNKNOWN:
        return found, "the source does not know it"
    try:
        value = conform(found, fact.type)
    except ConformError as error:
        return Missing.UNKNOWN, f"the source gave a wrong value: {error}"
    if fact.one_of and value not in fact.one_of:
        return Missing.UNKNOWN, "the source gave a value that is not among those allowed"
    return value, ""


_NOT_OPTIONAL = "the source says that there is none, but the fact is not optional"


def _unknown(paths: Sequence[str], now: Timestamp, why: str) -> dict[str, Learned]:
    return {path: Learned(Missing.UNKNOWN, now, why) for path in paths}


def _failure(error: BaseException) -> str:
    """What went wrong and where, without the message: it may quote a secret. Our own messages quote none."""
    if isinstance(error, DemurError):
        return str(error)
    frames = traceback.extract_tb(error.__traceback__)
    place = f" in {PurePath(frames[-1].filename).name}, line {frames[-1].lineno}" if frames else ""
    return f"the source failed: `{type(error).__name__}`{place}"
