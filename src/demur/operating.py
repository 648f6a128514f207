"""What operators do at a gate: stops, openings, and whatever else a named person moves. Each is a record (S12).

Every act needs a person's credential and a reason. The rules are in core/lever.py, core/denial.py and
core/forgetting.py, the steps in the files of the same names in steps/. An event tells of each act after it is durable,
by pseudonyms.
"""

from __future__ import annotations

from concurrent.futures import TimeoutError as LateError
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import msgspec

from demur.core import lever, retention
from demur.core.intake import Caller
from demur.core.record import Draft
from demur.errors import OverloadedError, StoreError
from demur.steps import denials, exporting, forgetting, levers, retaining, ruling, telling
from demur.steps.session import Session

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from demur.core.forgetting import Erasure, Hold
    from demur.core.lever import Levers, Opening, Stop
    from demur.core.policy.index import PolicySet
    from demur.core.record import Json
    from demur.core.retention import RetentionClass
    from demur.ports import LedgerState
    from demur.steps.denials import Held
    from demur.steps.levers import Act
    from demur.steps.retaining import Retention
    from demur.steps.world import Active, World

LOCAL = Caller()
"""The caller of an embedded gate whose host did not name one."""
OVERLAP = 1_000
"""Records for which both keys sign after a rotation: time for verifiers to learn of the new one."""
T = TypeVar("T")


class Operated:
    """The part of a gate that operators move; `Gateway` is the whole of it."""

    def __init__(self, world: World, active: Active, *, deadline_seconds: float) -> None:
        self._world = world
        self._active = active
        self._deadline_seconds = deadline_seconds
        self._check_in_force: Callable[[], None] = lambda: None

    def follow(self, check: Callable[[], None]) -> None:
        """Decide and redeem only while `check` does not raise `StoreError`: it knows which policies are in force."""
        self._check_in_force = check

    @property
    def policies(self) -> PolicySet:
        """The policies that it decides by now, to be looked at."""
        return self._active.policies

    @property
    def impediment(self) -> str:
        """Why this gate answers `unavailable` although it is open and its store may be well; "" where it does not."""
        try:
            self._check_in_force()
        except StoreError as error:
            return str(error)
        return ""

    def adopt(self, active: Active) -> bool:
        """Decide by what another replica put in force and has recorded; whether it still is. Raises `StoreError`."""
        digest = active.digest.encode()
        is_in_force = self._do(self._active, lambda session: session.tx.find_meta("policy_version") == digest)
        if is_in_force:
            self._decide_by(active)
        return is_in_force

    def kill(
        self, *, actions: Collection[str] = (), actor: Mapping[str, str] | None = None, credential: str, reason: str
    ) -> Stop:
        """Stop everything, or actions by pattern, or one actor (`type` and `id`), until it is released.

        Raises `RulingError` where the credential is no operator's or the stop is about nothing, and `StoreError`.
        """
        who, active = self._operator(credential, reason), self._active
        stop = self._do(active, lambda session: levers.kill(session.tx, active, who, actions=actions, actor=actor))
        self._tell("stop_on", stop.id, who, actions=list(stop.actions), actor=stop.actor)
        return stop

    def release(self, stop_id: str, *, credential: str, reason: str) -> None:
        """Turn a stop off; raises as `kill`."""
        who = self._operator(credential, reason)
        self._do(self._active, lambda session: levers.release(session.tx, who, stop_id))
        self._tell("stop_off", stop_id, who)

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
        opening = self._do(
            active,
            lambda session: levers.break_glass(
                session.tx, active, who, subject=subject, actions=actions, seconds=seconds
            ),
        )
        told = {"actions": list(opening.actions), "subject": opening.subject, "until": str(opening.until)}
        self._tell("glass_opened", opening.id, who, **told)
        return opening

    def end_glass(self, opening_id: str, *, credential: str, reason: str) -> None:
        """End an opening before its time; its unused grants are worth nothing from now on. Raises as `kill`."""
        who = self._operator(credential, reason)
        self._do(self._active, lambda session: levers.end(session.tx, who, opening_id))
        self._tell("glass_ended", opening_id, who)

    def sessions(self) -> tuple[Held, ...]:
        """The quarantined sessions, the newest last (S8.3); raises `StoreError`."""
        return self._world.store.read(lambda tx: denials.find(tx, self._world.vault))

    def quarantine(
        self, *, subject: Mapping[str, str], session: str = "", caller: str = LOCAL.id, credential: str, reason: str
    ) -> str:
        """Refuse whatever this caller asks for this subject (`type` and `id`) in this session, until it is lifted.

        The key by which it is lifted. Raises as `kill`.
        """
        who = self._operator(credential, reason)

        def work(known: Session) -> str:
            return denials.quarantine(known.tx, who, caller=caller, subject=subject, session=session)

        key = self._do(self._active, work)
        telling.tell_news(self._world, [who.news(denials.QUARANTINED, key, cause="operator")])
        return key

    def lift(self, key: str, *, credential: str, reason: str) -> None:
        """Lift the quarantine of a session, whose count begins anew; raises as `kill`."""
        who = self._operator(credential, reason)
        self._do(self._active, lambda session: denials.lift(session.tx, who, key))
        telling.tell_news(self._world, [who.news(denials.LIFTED, key)])

    def rotate_key(self, *, overlap: int = OVERLAP, credential: str, reason: str) -> str:
        """Hand over to another key that signs checkpoints; both sign for `overlap` further records.

        The text of the new key for those who verify. Raises as `kill`, `LedgerError` where a handover has not ended,
        and `ConfigurationError` where there is no other key.
        """
        who = self._operator(credential, reason)
        key = self._world.checkpoints.rotate(who.operator, who.seal(), overlap=overlap)
        telling.tell_news(self._world, [who.news("governance.ledger.key_rotated", key)])
        return key

    def ledger_state(self) -> LedgerState:
        """How far the ledger is signed, and how far others hold it; raises `StoreError`."""
        return self._world.checkpoints.state()

    def erase(self, person: str, *, credential: str, reason: str) -> Erasure:
        """Erase a person (`type:id`): destroy the keys of all that is sealed about them (S5.5).

        `pending` with what it waits for until the last copy of the keys is gone; calling again, closing and opening
        go on with it. Raises `RulingError` where the credential is no operator's, a hold or a lever is about the
        person or nothing is kept, and `StoreError` where nothing could be recorded and nothing was destroyed.
        """
        who = self._operator(credential, reason)
        noted = self._do(self._active, lambda session: forgetting.note(session, who, person))
        return self._carry_out(noted)

    def hold(self, person: str, *, credential: str, reason: str) -> Hold:
        """Place a legal hold on a person: nothing about them is erased or ends until it is released. As `kill`."""
        who = self._operator(credential, reason)
        return self._do(self._active, lambda session: forgetting.hold(session, who, person))

    def release_hold(self, hold_id: str, *, credential: str, reason: str) -> None:
        """End a legal hold; raises as `kill`."""
        who = self._operator(credential, reason)
        self._do(self._active, lambda session: forgetting.release(session, who, hold_id))

    def retain(self, classes: tuple[RetentionClass, ...], *, credential: str, reason: str) -> Retention:
        """Destroy what was sealed in records that are older than their class's period; leaves and proofs stay (S5.5).

        Nothing of a person under a hold ends, and nothing that the gate still needs. An act that was interrupted is
        taken up first. `pending` while a reader keeps a copy. Raises as `kill`, and `ConfigurationError`.
        """
        who = self._operator(credential, reason)
        wanted = retention.check(classes)
        if (interrupted := self._world.store.read(retaining.under_way)) is not None:
            self._end(interrupted)
        return self._end(self._do(self._active, lambda session: retaining.begin(session, who, wanted)))

    def plan_retention(self, classes: tuple[RetentionClass, ...]) -> Retention:
        """What `retain` would take by now; raises `ConfigurationError` and `StoreError`."""
        return retaining.plan(self._world.store, self._world.vault, retention.check(classes))

    def rotate_master(self, *, credential: str, reason: str) -> int:
        """Change the master key: wrap every person's key anew (how many) and destroy the old one. Raises as `kill`,
        and `ConfigurationError` where the master key is not in a file here.
        """
        who = self._operator(credential, reason)

        def note(event: str, **more: Json) -> None:
            draft = Draft("master_key_event", {"event": event, "operator": who.operator, **more}, who.seal())
            self._do(self._active, lambda session: session.tx.append(draft))

        note("ordered")
        keys = self._world.vault.rotate_master()
        note("changed", keys=keys)
        return keys

    def export(self, person: str) -> dict[str, object]:
        """All that is kept about a person (`type:id`), for that person; raises `RulingError` where nothing is."""
        return exporting.export(self._world.store, self._world.vault, person)

    def finish_erasures(self) -> tuple[Erasure, ...]:
        """Go on with the erasures that are pending, and say where they stand; raises `StoreError`."""
        pending = self._world.store.read(forgetting.read).pending
        return tuple(self._carry_out(erasure) for erasure in pending)

    def _carry_out(self, erasure: Erasure) -> Erasure:
        try:
            is_gone = self._do(self._active, lambda session: forgetting.destroy(session, erasure))
            if not is_gone:
                return msgspec.structs.replace(erasure, why=forgetting.BLOCKED)
            records = forgetting.count(self._world, erasure)
            return self._do(self._active, lambda session: forgetting.finish(session, erasure, records))
        except StoreError as error:
            return msgspec.structs.replace(erasure, why=str(error))

    def _end(self, act: Retention) -> Retention:
        while act.next < act.size:
            found = retaining.look(self._world.store, act)
            act = self._do(self._active, partial(retaining.destroy, act=act, found=found))
        self._do(self._active, retaining.scrub)
        return self._do(self._active, partial(retaining.finish, act=act))

    def _in_force(self) -> Active:
        """What is decided by; raises `StoreError` where others may be in force by now."""
        self._check_in_force()
        return self._active

    def _decide_by(self, active: Active) -> None:
        replaced, self._active = self._active, active
        if replaced.sources is not active.sources:
            replaced.sources.close()
        telling.tell_activation(self._world, active.digest)

    def _tell(self, act: str, subject: str, who: Act, /, **more: Json) -> None:
        telling.tell_news(self._world, [who.news(f"governance.lever.{act}", subject, **more)])

    def _operator(self, credential: str, reason: str) -> Act:
        return levers.act(self._world, credential, ruling.check_reason(reason))

    def _do(self, active: Active, step: Callable[[Session], T]) -> T:
        """One step under the append lock, durable when it returns; raises `StoreError`."""
        future = self._world.store.submit(lambda tx: step(Session(self._world, active, tx)))
        try:
            result = future.result(self._deadline_seconds)
        except LateError as error:
            future.cancel()
            message = "the deadline passed before this was recorded"
            raise OverloadedError(message) from error
        self._world.checkpoints.nudge()
        return result
