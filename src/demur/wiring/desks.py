"""Writing to a home from the command line: by taking its lease, or through the service that holds it (S11.1)."""

from __future__ import annotations

import socket
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, cast

from demur.errors import ConfigurationError, OwnedElsewhereError, StoreError
from demur.wiring import callers, gates, local

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from demur.gateway import Gateway
    from demur.steps.enrolling import Enrolment
    from demur.steps.people import People

T = TypeVar("T")

ANSWER_SECONDS = 600.0
"""How long a call may take: wrapping every person's key anew takes a while."""


@contextmanager
def desk(home: Path) -> Iterator[Gateway]:
    """The gate of a home, to rule and to move levers by: opened here, or asked where it is open (`local.CALLS`).

    Raises as `gates.open_desk`; `OwnedElsewhereError` where whoever owns the home cannot be asked.
    """
    with _through(home, "gate", _open_desk(home)) as gate:
        yield gate


@contextmanager
def enrolment(home: Path, log: str = "") -> Iterator[Enrolment]:
    """The programs of a home, as `desk`; `log` is the id of the ledger where the home is fresh."""
    with _through(home, "enrolment", callers.open_enrolment(home, log)) as known:
        yield known


@contextmanager
def people(home: Path, log: str = "") -> Iterator[People]:
    """The people of a home, as `enrolment`."""
    with _through(home, "people", callers.open_people(home, log)) as known:
        yield known


@contextmanager
def _open_desk(home: Path) -> Iterator[Gateway]:
    with gates.open_desk(home).gate as gate:
        yield gate


@contextmanager
def _through(home: Path, target: str, opening: AbstractContextManager[T]) -> Iterator[T]:
    with ExitStack() as opened:
        try:
            known = opened.enter_context(opening)
        except OwnedElsewhereError as error:
            known = cast("T", _Relay(Path(home), target, error))
        yield known


class _Relay:
    """Has the methods of one target; each asks whoever owns the home, and gives or raises what came of it there."""

    def __init__(self, home: Path, target: str, owned: OwnedElsewhereError) -> None:
        self._home = home
        self._target = target
        self._owned = owned

    def __getattr__(self, name: str) -> Callable[..., object]:
        call = local.CALLS[self._target].get(name)
        if call is None:
            raise self._owned

        def ask(*args: object, **given: object) -> object:
            given.pop("by", None)  # who may connect is `local`, and nobody else
            asked = {**dict(zip(call.takes, args, strict=False)), **given}
            return local.answer(self._target, name, self._exchange(local.ask(self._target, name, asked)))

        return ask

    def _exchange(self, data: bytes) -> bytes:
        with closing(self._connect()) as line:
            try:
                local.send(line, data)
                return local.receive(line)
            except OSError as error:
                raise StoreError(
                    "the service that owns the home ended before it answered",
                    hint="look whether it was done before asking again",
                ) from error

    def _connect(self) -> socket.socket:
        """Raises the error that sent us here where nobody listens."""
        if not local.is_offered():
            raise self._owned
        line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            line.settimeout(ANSWER_SECONDS)
            with local.address(self._home) as address:
                line.connect(address)
        except OSError as error:
            line.close()
            raise self._owned from error
        except ConfigurationError:
            line.close()
            raise
        if not local.is_own(line):
            line.close()
            raise ConfigurationError(f"expected the service of `{self._home}` to run as its owner, found another's")
        return line
