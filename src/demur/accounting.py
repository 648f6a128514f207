"""What a gate does so that what did not happen can be shown: heartbeats, canaries, meters, reconciliation.

The records and their formats are in docs/spec/completeness.md, the steps in steps/attesting.py.

Clauses: S5, S6, S12.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from demur.core import meter
from demur.core.intake import Caller
from demur.core.policy import patterns
from demur.errors import IntakeError, LedgerError
from demur.operating import Operated
from demur.steps import attesting, deciding, redeeming, revealing, ruling
from demur.steps.attesting import Rhythm

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from concurrent.futures import Future

    from demur.core.evidence import Answer
    from demur.core.record import Json
    from demur.core.refusal import Refusal
    from demur.core.terms import Outcome, Request
    from demur.steps.attesting import Registered, Verify
    from demur.steps.revealing import Revealed
    from demur.steps.session import Prepared, Session
    from demur.steps.world import Active, World

CANARY = Caller("canary")
"""The caller of a canary, so that its denials are never held against anybody."""

NO_RHYTHM = Rhythm()


class Pulse(Protocol):
    """What a gate does by itself again and again."""

    def stop(self) -> None: ...


class Accounted(Operated):
    """The part of a gate that accounts for itself."""

    def __init__(
        self, world: World, active: Active, *, deadline_seconds: float, verify: Verify, received: Collection[str] = ()
    ) -> None:
        """`received` are patterns of the actions whose requests are recorded before they are judged."""
        super().__init__(world, active, deadline_seconds=deadline_seconds)
        self._verify = verify
        self._received = tuple(received)
        self._rhythm = NO_RHYTHM
        self._pulses: list[Pulse] = []

    def started(self, grant_id: str) -> Refusal | None:
        """Record that the execution of a redeemed grant begins now; a refusal where it has none to begin.

        Optional: redeeming is what makes an execution possible. It tells apart what was redeemed and never begun from
        what began and never ended. Raises `StoreError`.
        """
        return self._do(self._active, lambda session: redeeming.started(session, grant_id))

    def register_meter(
        self,
        name: str,
        *,
        resource: str,
        key: str,
        actions: Collection[str],
        every_seconds: int = 60,
        credential: str,
        reason: str,
    ) -> Registered:
        """Trust a meter's key (64 hex digits) for its statements about the actions that its resource carries out.

        `every_seconds` is how often a statement is due; 0 for never. Raises `RulingError` where the credential is no
        operator's or something is not well-formed, and `StoreError`.
        """
        who = self._operator(credential, reason)

        def work(session: Session) -> Registered:
            return attesting.register(
                session.tx, who, name=name, resource=resource, key=key, actions=actions, every_seconds=every_seconds
            )

        return self._do(self._active, work)

    def meters(self) -> tuple[Registered, ...]:
        """The registered meters and how far their statements go; raises `StoreError`."""
        return self._world.store.read(attesting.meters)

    def submit_meter(self, statement: bytes) -> bool:
        """Take one statement of a meter, a line as it wrote it; whether it was not known yet.

        Statements of one meter come in order. Raises `LedgerError` where it is none, its meter is not registered, its
        signature does not hold, one before it is missing, or it contradicts an earlier one (which is recorded); and
        `StoreError`.
        """
        signed = meter.read(statement)
        taken = self._do(
            self._active, lambda session: attesting.submit(session.tx, statement.strip(), signed, self._verify)
        )
        if isinstance(taken, LedgerError):
            raise taken
        return taken

    def heartbeat(self) -> None:
        """Record that the gate is there; raises `StoreError`."""
        self._do(self._active, lambda session: attesting.beat(session.tx))

    def canary(self, name: str, request: Mapping[str, object]) -> Outcome:
        """Judge a request that must be denied, and record the outcome; it never gives a grant.

        Raises `IntakeError` where the request is malformed, and `StoreError`.
        """
        active = self._active
        prepared = deciding.prepare(self._world, active, deciding.ask(active, request, CANARY))
        return self._do(active, lambda session: attesting.canary(session, name, prepared))

    def record_reconciliation(self, members: dict[str, Json], report: bytes) -> str:
        """Record what a comparison of the ledger with its meters gave; the audit id. Raises `StoreError`."""
        entry = self._do(self._active, lambda session: attesting.reconciled(session.tx, members, report))
        return f"{self._world.log}/{entry.sequence}"

    def reveal(self, audit_id: str, path: str, *, credential: str, reason: str) -> Revealed:
        """One personal value of a decision, for a person who may see it and says why; recorded before it is shown.

        Raises `RulingError` where the credential may not, nothing is there or it is secret, `ForgottenError` where
        the person was erased, and `StoreError` where it cannot be recorded.
        """
        asked, sequence = self._curious(credential, reason), revealing.sequence_of(self._world.log, audit_id)
        return self._do(self._active, lambda known: revealing.reveal(known.world, known.tx, asked, sequence, path))

    def keep_pulse(self, pulse: Pulse) -> None:
        """Stop this when the gate closes, before its last records."""
        self._pulses.append(pulse)

    def _curious(self, credential: str, reason: str) -> revealing.Curious:
        return revealing.who(self._world, credential, ruling.check_reason(reason))

    def _stop_pulse(self) -> None:
        for pulse in self._pulses:
            pulse.stop()

    def _is_received(self, request: Request) -> bool:
        return any(patterns.matches(pattern, request.action) for pattern in self._received)

    def _receive(self, request: Request, reply: Future[Answer]) -> int:
        """Record the request, durable when this returns; raises `StoreError`."""

        def settle(ended: Future[Answer]) -> None:
            """Where its id was used for another action, nothing was written but that it came."""
            if not ended.cancelled() and isinstance(ended.exception(), IntakeError):
                self._world.store.submit(lambda tx: attesting.answer(tx, received, None))

        received = self._do(self._active, lambda session: attesting.receive(self._world, session.tx, request)).sequence
        reply.add_done_callback(settle)
        return received

    def _judge(self, session: Session, prepared: Prepared, received: int | None) -> Answer:
        """The answer; where the request was recorded before, what became of it stands in the same transaction."""
        given = deciding.judge(session, prepared)
        if received is not None:
            attesting.answer(session.tx, received, given)
        return given
