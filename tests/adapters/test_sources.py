"""All sources together: whatever goes wrong in one of them, its facts are unknown and the others are not (S2.1)."""

from __future__ import annotations

import datetime as dt
import threading
import time
from typing import TYPE_CHECKING

import pytest

from demur.adapters.callables import CallableOpener
from demur.adapters.sources import DeclaredSources, open_sources
from demur.core.resolution import Learned
from demur.core.schema import Kind, Schema, Source, Type
from demur.core.terms import Missing, Request, Timestamp, Value
from demur.errors import ConfigurationError
from tests.adapters.facts import BOOL, INT, NOW, STRING, request, schema

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from demur.adapters.callables import Registered

LONG = 10.0


@pytest.fixture
def release() -> Iterator[threading.Event]:
    """Set at the end, so that no thread of a test outlives it."""
    event = threading.Event()
    yield event
    event.set()


def opened(
    function: Callable[[Request], Mapping[str, object]],
    *,
    workers: int = 8,
    key: list[Value] | None = None,
    timeout_ms: int = 1_000,
    ttl_ms: int = 0,
) -> DeclaredSources:
    settings: dict[str, Value] = {} if key is None else {"key": key}
    source = Source(name="crm", kind="python", settings=settings, timeout_ms=timeout_ms, ttl_ms=ttl_ms)
    types = {"crm.vip": BOOL, "crm.limit": INT, "crm.name": STRING}
    declared = schema(source, types, optional=frozenset({"crm.name"}))
    return open_sources(declared, {"python": CallableOpener({"crm": function})}, workers=workers)


def learn(
    sources: DeclaredSources, *paths: str, now: Timestamp = NOW, asked: Request | None = None
) -> Mapping[str, Learned]:
    return sources.learn(asked or request(), {"crm": paths or ("crm.vip",)}, now)


def test_a_learned_value_carries_its_instant() -> None:
    assert learn(opened(lambda _: {"crm.vip": True})) == {"crm.vip": Learned(True, NOW)}


def test_a_function_per_fact_is_asked_only_for_the_wanted_facts() -> None:
    source = Source(name="crm", kind="python")
    asked: list[str] = []

    def vip(_: Request) -> bool:
        asked.append("vip")
        return True

    def limit(_: Request) -> int:
        asked.append("limit")
        return 5

    functions: dict[str, Registered] = {"crm": {"crm.vip": vip, "crm.limit": limit}}
    sources = open_sources(schema(source, {"crm.vip": BOOL, "crm.limit": INT}), {"python": CallableOpener(functions)})

    assert learn(sources, "crm.limit") == {"crm.limit": Learned(5, NOW)}
    assert asked == ["limit"]


@pytest.mark.parametrize(
    ("said", "path", "why"),
    [
        ({}, "crm.vip", "the source does not know it"),
        ({"crm.vip": "yes"}, "crm.vip", "the source gave a wrong value: expected a bool, found a string"),
        ({"crm.vip": None}, "crm.vip", "the source gave a wrong value: expected a bool, found null"),
        (
            {"crm.limit": 1.0},
            "crm.limit",
            "the source gave a wrong value: expected an int within +-(2^53-1), found a double",
        ),
        (
            {"crm.limit": 2**53},
            "crm.limit",
            "the source gave a wrong value: expected an int within +-(2^53-1), found an int beyond 2^53-1",
        ),
        (
            {"crm.name": "\ud800"},
            "crm.name",
            "the source gave a wrong value: expected a string, found a string with a lone surrogate",
        ),
        ({"crm.vip": Missing.ABSENT}, "crm.vip", "the source says that there is none, but the fact is not optional"),
        ({"crm.vip": Missing.UNKNOWN}, "crm.vip", "the source does not know it"),
        ([("crm.vip", True)], "crm.vip", "expected facts by path, found a list"),
        (None, "crm.vip", "expected facts by path, found null"),
    ],
)
def test_what_is_not_a_value_of_the_fact_is_unknown(said: object, path: str, why: str) -> None:
    answer = learn(opened(lambda _: said), path)  # type: ignore[arg-type, return-value]

    assert answer == {path: Learned(Missing.UNKNOWN, NOW, why)}


def test_there_is_none_is_absent_where_the_fact_is_optional() -> None:
    assert learn(opened(lambda _: {"crm.name": Missing.ABSENT}), "crm.name") == {
        "crm.name": Learned(Missing.ABSENT, NOW)
    }


def test_an_exception_is_named_by_kind_and_place_and_never_quoted() -> None:
    def crm(_: Request) -> Mapping[str, object]:
        raise KeyError("the password is hunter2")

    item = learn(opened(crm))["crm.vip"]

    assert item.state is Missing.UNKNOWN
    assert item.why.startswith("the source failed: `KeyError` in test_sources.py, line ")
    assert "hunter2" not in item.why


def test_a_source_that_raises_system_exit_ends_nothing() -> None:
    def crm(_: Request) -> Mapping[str, object]:
        raise SystemExit(3)

    assert learn(opened(crm))["crm.vip"].why.startswith("the source failed: `SystemExit`")


def test_an_answer_that_fails_while_it_is_read_is_unknown() -> None:
    class Trap(dict):
        def get(self, *_: object) -> object:
            raise RuntimeError

    assert learn(opened(lambda _: Trap()))["crm.vip"].state is Missing.UNKNOWN


def test_a_source_that_nobody_declared_is_unknown() -> None:
    sources = opened(lambda _: {})

    assert sources.learn(request(), {"erp": ("erp.x",)}, NOW) == {
        "erp.x": Learned(Missing.UNKNOWN, NOW, "there is no source `erp`")
    }


def test_a_late_answer_is_unknown_at_the_timeout(release: threading.Event) -> None:
    def crm(_: Request) -> Mapping[str, object]:
        release.wait(LONG)
        return {"crm.vip": True}

    start = time.monotonic()
    item = learn(opened(crm, timeout_ms=50))["crm.vip"]

    assert item == Learned(Missing.UNKNOWN, NOW, "the source did not answer within 50 ms")
    assert time.monotonic() - start < 2


def test_hanging_calls_are_capped_and_then_refused_at_once(release: threading.Event) -> None:
    calls: list[int] = []

    def crm(_: Request) -> Mapping[str, object]:
        calls.append(1)
        release.wait(LONG)
        return {"crm.vip": True}

    sources = opened(crm, timeout_ms=20, workers=2)
    whys = [learn(sources)["crm.vip"].why for _ in range(5)]

    assert whys[:2] == ["the source did not answer within 20 ms"] * 2
    assert whys[2:] == ["the source was not asked: 2 earlier calls still hang"] * 3
    assert len(calls) == 2


def test_a_source_that_stops_hanging_is_asked_again(release: threading.Event) -> None:
    hangs = True

    def crm(_: Request) -> Mapping[str, object]:
        if hangs:
            release.wait(LONG)
        return {"crm.vip": True}

    sources = opened(crm, timeout_ms=100, workers=1)
    assert learn(sources)["crm.vip"].state is Missing.UNKNOWN
    hangs = False
    release.set()

    def answers() -> bool:
        return learn(sources)["crm.vip"].state is True

    assert eventually(answers)


def eventually(question: Callable[[], bool]) -> bool:
    end = time.monotonic() + LONG
    while time.monotonic() < end:
        if question():
            return True
        time.sleep(0.01)
    return False


def test_a_hanging_source_delays_no_other(release: threading.Event) -> None:
    one, two = Source(name="slow", kind="python", timeout_ms=50), Source(name="crm", kind="python", timeout_ms=5_000)
    slow, crm = schema(one, {"slow.x": INT}), schema(two, {"crm.vip": BOOL})
    both = Schema(facts={**slow.facts, **crm.facts}, sources={**slow.sources, **crm.sources})

    def hang(_: Request) -> Mapping[str, object]:
        release.wait(LONG)
        return {}

    functions: dict[str, Registered] = {"slow": hang, "crm": lambda _: {"crm.vip": True}}
    sources = open_sources(both, {"python": CallableOpener(functions)}, workers=1)

    for _ in range(3):
        answer = sources.learn(request(), {"slow": ("slow.x",), "crm": ("crm.vip",)}, NOW)
        assert (answer["slow.x"].state, answer["crm.vip"].state) == (Missing.UNKNOWN, True)


def test_sources_run_in_parallel() -> None:
    """Facts that need I/O run in a pool (S11.2)."""
    meeting = threading.Barrier(3, timeout=LONG)

    def meet(_: Request) -> Mapping[str, object]:
        meeting.wait()
        return {"a.x": 1, "b.x": 2, "c.x": 3}

    named = [Source(name=name, kind="python", timeout_ms=5_000) for name in "abc"]
    facts = {path: fact for source in named for path, fact in schema(source, {f"{source.name}.x": INT}).facts.items()}
    declared = Schema(facts=facts, sources={source.name: source for source in named})
    sources = open_sources(declared, {"python": CallableOpener(dict.fromkeys("abc", meet))})

    answer = sources.learn(request(), {name: (f"{name}.x",) for name in "abc"}, NOW)

    assert {path: item.state for path, item in answer.items()} == {"a.x": 1, "b.x": 2, "c.x": 3}


def counting() -> tuple[list[Request], Callable[[Request], Mapping[str, object]]]:
    calls: list[Request] = []

    def crm(asked: Request) -> Mapping[str, object]:
        calls.append(asked)
        return {"crm.vip": True, "crm.limit": len(calls)}

    return calls, crm


def test_without_ttl_every_question_is_asked() -> None:
    calls, crm = counting()
    sources = opened(crm)
    learn(sources)
    learn(sources)

    assert len(calls) == 2


def test_within_the_ttl_the_answer_is_remembered_with_its_instant() -> None:
    calls, crm = counting()
    sources = opened(crm, ttl_ms=5_000)
    learn(sources, "crm.limit")

    assert learn(sources, "crm.limit", now=NOW.plus(4.9)) == {"crm.limit": Learned(1, NOW)}
    assert learn(sources, "crm.limit", now=NOW.plus(5)) == {"crm.limit": Learned(2, NOW.plus(5))}
    assert len(calls) == 2


def test_a_clock_that_ran_backwards_is_not_trusted_with_a_remembered_answer() -> None:
    _, crm = counting()
    sources = opened(crm, ttl_ms=5_000)
    learn(sources, "crm.limit")

    assert learn(sources, "crm.limit", now=NOW.plus(-1))["crm.limit"].state == 2


def test_the_answer_for_one_resource_is_not_given_for_another() -> None:
    calls, crm = counting()
    sources = opened(crm, ttl_ms=5_000)
    learn(sources)
    learn(sources, asked=request(resource="i-2"))
    learn(sources, asked=request(subject="bob"))

    assert len(calls) == 3


def test_a_declared_key_decides_what_is_the_same_question() -> None:
    calls, crm = counting()
    sources = opened(crm, ttl_ms=5_000, key=["action.amount"])
    learn(sources, asked=request(amount=1))
    learn(sources, asked=request(amount=1, note="x"))
    learn(sources, asked=request(amount=True))
    learn(sources, asked=request(amount="1"))

    assert len(calls) == 3


def test_what_is_unknown_is_not_remembered() -> None:
    answers = iter([{}, {"crm.vip": True}])
    sources = opened(lambda _: next(answers), ttl_ms=5_000)

    assert learn(sources)["crm.vip"].state is Missing.UNKNOWN
    assert learn(sources)["crm.vip"].state is True


def test_equal_questions_at_the_same_time_share_one_call(release: threading.Event) -> None:
    calls, crm = counting()

    def slow(asked: Request) -> Mapping[str, object]:
        release.wait(LONG)
        return crm(asked)

    sources = opened(slow, ttl_ms=5_000, timeout_ms=5_000)
    answers: list[object] = []
    threads = [threading.Thread(target=lambda: answers.append(learn(sources)["crm.vip"].state)) for _ in range(8)]
    for thread in threads:
        thread.start()
    time.sleep(0.05)
    release.set()
    for thread in threads:
        thread.join()

    assert answers == [True] * 8
    assert len(calls) == 1


def test_without_key_or_ttl_no_call_is_shared(release: threading.Event) -> None:
    """Two requests that differ in an argument must not see each other's facts."""

    def crm(asked: Request) -> Mapping[str, object]:
        release.wait(LONG)
        return {"crm.limit": asked.arguments["amount"]}

    sources = opened(crm, timeout_ms=5_000)
    answers: dict[int, object] = {}

    def ask(amount: int) -> None:
        answers[amount] = learn(sources, "crm.limit", asked=request(amount=amount))["crm.limit"].state

    threads = [threading.Thread(target=ask, args=(amount,)) for amount in range(6)]
    for thread in threads:
        thread.start()
    release.set()
    for thread in threads:
        thread.join()

    assert answers == {amount: amount for amount in range(6)}


def test_times_may_be_text_or_instants_with_an_offset() -> None:
    source = Source(name="crm", kind="python")
    declared = schema(
        source, {"crm.a": Type(Kind.TIMESTAMP), "crm.b": Type(Kind.TIMESTAMP), "crm.c": Type(Kind.TIMESTAMP)}
    )
    noon = dt.datetime(2026, 11, 20, 12, tzinfo=dt.timezone(dt.timedelta(hours=2)))
    said = {"crm.a": "2026-11-20T10:00:00Z", "crm.b": noon, "crm.c": noon.replace(tzinfo=None)}
    sources = open_sources(declared, {"python": CallableOpener({"crm": lambda _: said})})

    answer = learn(sources, "crm.a", "crm.b", "crm.c")

    assert answer["crm.a"].state == answer["crm.b"].state == Timestamp(1_795_168_800 * 10**9)
    assert answer["crm.c"].state is Missing.UNKNOWN


def test_after_closing_nothing_is_learned() -> None:
    sources = opened(lambda _: {"crm.vip": True})
    sources.close()

    assert learn(sources)["crm.vip"].why == "the source was not asked: the fact sources are closed"


def test_a_source_without_a_function_does_not_open() -> None:
    with pytest.raises(ConfigurationError, match="no function is registered under `crm`"):
        open_sources(schema(Source(name="crm", kind="python"), {}), {"python": CallableOpener({})})


def test_a_source_without_a_function_is_unknown_where_that_is_allowed() -> None:
    declared = schema(Source(name="crm", kind="python"), {"crm.vip": BOOL})
    sources = open_sources(declared, {"python": CallableOpener({}, must_exist=False)})

    assert learn(sources) == {"crm.vip": Learned(Missing.UNKNOWN, NOW, "no function is registered under `crm`")}


def test_a_coroutine_function_does_not_open() -> None:
    async def crm(_: Request) -> dict[str, object]:
        return {}

    with pytest.raises(ConfigurationError, match="expected a plain function for `crm`, found a coroutine function"):
        opened(crm)  # type: ignore[arg-type]


def test_a_mapping_without_a_function_for_a_declared_fact_does_not_open() -> None:
    declared = schema(Source(name="crm", kind="python"), {"crm.vip": BOOL})

    with pytest.raises(ConfigurationError, match=r"the source `crm` has no function for `crm\.vip`"):
        open_sources(declared, {"python": CallableOpener({"crm": {}})})


def test_a_kind_that_nobody_opens_does_not_open() -> None:
    with pytest.raises(ConfigurationError, match="source `crm`: expected a kind among python, found `oracle`"):
        open_sources(schema(Source(name="crm", kind="oracle"), {}), {"python": CallableOpener({})})
