"""A source that fails again and again is left alone for a while, and then asked once (S2.1)."""

from __future__ import annotations

import contextlib
import threading

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, precondition, rule

from demur.adapters.breaker import Breaker, Circuit, OpenError, UnfitError

LIMIT = 3
OPEN_SECONDS = 10.0


class Machine(RuleBasedStateMachine):
    """The breaker beside the three-line model of it: failures in a row, and when it opened."""

    begun = Bundle("begun")

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.breaker = Breaker("crm", failures=LIMIT, open_seconds=OPEN_SECONDS, monotonic=lambda: self.now)
        self.in_a_row = 0
        self.opened_at: float | None = None
        self.round = 0

    def admitted(self) -> bool:
        return self.opened_at is None or self.now - self.opened_at >= OPEN_SECONDS

    @rule(seconds=st.floats(0.5, 12.0))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule(target=begun)
    def begin(self) -> object:
        entered = self.breaker.guarding()
        if not self.admitted():
            with pytest.raises(OpenError):
                entered.__enter__()
            return None
        if self.opened_at is not None:  # the probe; until it ends nobody else is let through
            self.opened_at = self.now
            self.round += 1
        entered.__enter__()
        return entered, self.round, self.opened_at is not None

    @rule(question=consumes(begun), error=st.sampled_from([None, OSError(), UnfitError("it")]))
    def end(self, question: tuple | None, error: Exception | None) -> None:
        if question is None:
            return
        entered, number, is_probe = question
        assert not entered.__exit__(type(error) if error else None, error, None)
        if number != self.round:
            return
        if isinstance(error, OSError):
            self.in_a_row += 1
            if is_probe or self.in_a_row >= LIMIT:
                self.opened_at = self.now
                self.round += 1
        elif error is None:
            self.in_a_row = 0
            self.opened_at = None
        elif is_probe:
            self.opened_at = self.now - OPEN_SECONDS
            self.round += 1

    @invariant()
    def says_so(self) -> None:
        assert (self.breaker.state is Circuit.CLOSED) is (self.opened_at is None)

    @precondition(lambda self: self.opened_at is None)
    @invariant()
    def closed_only_below_the_limit(self) -> None:
        assert self.in_a_row < LIMIT


TestMachine = Machine.TestCase


def fail(breaker: Breaker, error: Exception) -> None:
    with pytest.raises(type(error)), breaker.guarding():
        raise error


def test_nonsense_of_callers_does_not_open_it() -> None:
    breaker = Breaker("crm", failures=2)
    for _ in range(100):
        fail(breaker, UnfitError("an id that cannot be"))
    assert breaker.state is Circuit.CLOSED


def test_one_success_forgives_what_failed_before() -> None:
    breaker = Breaker("crm", failures=2)
    for _ in range(5):
        fail(breaker, OSError())
        with breaker.guarding():
            pass
    assert breaker.state is Circuit.CLOSED


def test_many_threads_send_one_probe() -> None:
    now = [0.0]
    breaker = Breaker("crm", failures=1, open_seconds=1.0, monotonic=lambda: now[0])
    fail(breaker, OSError())
    now[0] = 5.0
    through: list[int] = []
    ready, end = threading.Barrier(8), threading.Event()

    def ask(number: int) -> None:
        ready.wait()
        with contextlib.suppress(OpenError), breaker.guarding():
            through.append(number)
            end.wait(10)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(0.3)
    end.set()
    for thread in threads:
        thread.join()
    assert len(through) == 1
    assert breaker.state is Circuit.CLOSED


def test_a_probe_that_never_ends_is_followed_by_another() -> None:
    now = [0.0]
    breaker = Breaker("crm", failures=1, open_seconds=1.0, monotonic=lambda: now[0])
    fail(breaker, OSError())
    now[0] = 2.0
    hanging = breaker.guarding()
    hanging.__enter__()
    with pytest.raises(OpenError), breaker.guarding():
        pass
    now[0] = 4.0
    with breaker.guarding():
        pass
    assert breaker.state is Circuit.CLOSED
    hanging.__exit__(OSError, OSError(), None)  # it comes too late to say anything
    assert breaker.state is Circuit.CLOSED
