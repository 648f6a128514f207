"""What operators do at a gate: stops, openings, and whatever else a named person moves. Each is a record (S12).

Every act needs a person's credential and a reason; the rules are in core/lever.py, the steps in steps/levers.py.
"""

from __future__ import annotations

from concurrent.futures import TimeoutError as LateError
from typing import TYPE_CHECKING, TypeVar

from demur.core import lever
from demur.errors import OverloadedError
from demur.steps import levers, ruling
from demur.steps.deciding import Session

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from demur.core.lever import Levers, Opening, Stop
    from demur.steps.levers import Act
    from demur.steps.world import Active, World

T = TypeVar("T")


class Operated:
    """The part of a gate that operators move; `Gateway` is the whole of it."""

    def __init__(self, world: World, active: Active, *, deadline_seconds: float) -> None:
        self._world = world
        self._active = active
        self._deadline_seconds = deadline_seconds

    def kill(
        self, *, actions: Collection[str] = (), actor: Mapping[str, str] | None = None, credential: str, reason: str
    ) -> Stop:
        """Stop everything, or actions by pattern, or one actor (`type` and `id`), until it is released.

        Raises `RulingError` where the credential is no operator's or the stop is about nothing, and `StoreError`.
        """
        who, active = self._operator(credential, reason), self._active
        return self._do(active, lambda session: levers.kill(session.tx, active, who, actions=actions, actor=actor))

    def release(self, stop_id: str, *, credential: str, reason: str) -> None:
        """Turn a stop off; raises as `kill`."""
        who = self._operator(credential, reason)
        self._do(self._active, lambda session: levers.release(session.tx, who, stop_id))

    def levers(self) -> Levers:
        """The stops that are on and the openings that have not ended; raises `StoreError`."""
        return self._do(self._active, lambda session: levers.current(session.tx))

    def break_glass(
        self,
        *,
        subject: Mapping[str, str],
        actions: Collection[str],
        seconds: int = lever.DEFAULT_SECONDS,
        credential: str,
        reason: str,
    ) -> Opening:
        """Let one subject do for a while what the policies deny, but for what is categorical; raises as `kill`."""
        who, active = self._operator(credential, reason), self._active
        return self._do(
            active,
            lambda session: levers.break_glass(
                session.tx, active, who, subject=subject, actions=actions, seconds=seconds
            ),
        )

    def end_glass(self, opening_id: str, *, credential: str, reason: str) -> None:
        """End an opening before its time; its unused grants are worth nothing from now on. Raises as `kill`."""
        who = self._operator(credential, reason)
        self._do(self._active, lambda session: levers.end(session.tx, who, opening_id))

    def _operator(self, credential: str, reason: str) -> Act:
        return levers.act(self._world, credential, ruling.check_reason(reason))

    def _do(self, active: Active, step: Callable[[Session], T]) -> T:
        """One step under the append lock, durable when it returns; raises `StoreError`."""
        future = self._world.store.submit(lambda tx: step(Session(self._world, active, tx)))
        try:
            return future.result(self._deadline_seconds)
        except LateError as error:
            future.cancel()
            message = "the deadline passed before this was recorded"
            raise OverloadedError(message) from error
