"""Access requests: a deferral, taken up by whoever asked for the action, followed, and given up again.

- The task is the review that the deferral opened; submitting says that somebody waits for it, and whom to tell.
- A submission is bound to one decision of this very caller and to the very action that was deferred. A forged id, one
  of somebody else and one of another action are told apart for nobody.
- Only whoever a review was opened for may give it up. Break-glass reviews are nobody's to give up (S12).
- Whoever is to be called back is sealed under the subject's key and kept in the store until they were told, so that a
  restart forgets nobody and erasing the person takes that too.

Clauses: S1.4, S5.5, S7.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

import msgspec

from demur.core import review as reviews
from demur.core import task as tasks
from demur.core.record import Draft, Sealed
from demur.core.review import Deferral, Review, ReviewState
from demur.core.task import Problem, Task
from demur.core.terms import Request, Timestamp
from demur.errors import ForgottenError, LedgerError, OverloadedError
from demur.steps import approving, claiming, recalling, ruling

if TYPE_CHECKING:
    from demur.core.record import Json
    from demur.ports import ReviewRow, Transaction
    from demur.steps.session import Session
    from demur.steps.world import World

MAX_CALLERS = 64
"""Callers that may follow one review beside the one it was opened for."""
MAX_CALLBACKS = 1_000
"""Callbacks that may be outstanding in one log at a time."""
LEASE_SECONDS = 60
"""How long whoever took a callback has for it before another may."""
GIVE_UP_SECONDS = 24 * 3_600
"""So long after its task has ended a callback is tried; then only asking tells."""
MAX_PAUSE_SECONDS = 3_600
_WAITING = "task.callbacks"
_decode_review = msgspec.msgpack.Decoder(Review).decode
_encode = msgspec.msgpack.Encoder().encode


class Callback(msgspec.Struct, frozen=True):
    """Whom to tell when a task has ended: an URL, and a value that is given back as it came."""

    endpoint: str
    state: str = ""
    events: tuple[str, ...] = ()
    """The statuses that are wanted; empty for all."""


_callbacks = msgspec.msgpack.Decoder(Callback)


class Submission(msgspec.Struct, frozen=True, kw_only=True):
    """An access request. `key` is the idempotency key, `body` the digest of everything that was sent with it."""

    evaluation_id: str
    request: Request
    key: str = ""
    body: str = ""
    said: bytes = b""
    """What the requester says for the record, as JSON."""
    callback: Callback | None = None


class Notice(msgspec.Struct, frozen=True):
    """A callback that is due."""

    id: str
    callback: Callback
    task: Task


class _Followers(msgspec.Struct, frozen=True):
    callers: tuple[str, ...] = ()


class _Key(msgspec.Struct, frozen=True):
    body: bytes
    review: str


class _Waiting(msgspec.Struct, frozen=True):
    id: str
    review: str
    sealed: Sealed
    next_at: Timestamp
    attempts: int = 0


_followers = msgspec.msgpack.Decoder(_Followers)
_keys = msgspec.msgpack.Decoder(_Key)
_waiting = msgspec.msgpack.Decoder(tuple[_Waiting, ...])


def submit(session: Session, asked: Submission) -> Task | Problem:
    """The task of this submission, recorded; the same one for the same submission sent again (S1.4)."""
    world, tx, request = session.world, session.tx, asked.request
    ruling.expire_due(session)
    name = f"task.key.{world.vault.blind('task-key', request.caller, asked.key).hex()}"
    body = world.vault.blind("task-body", asked.body)
    if asked.key and (raw := tx.find_meta(name)) is not None:
        known = _keys.decode(raw)
        if known.body != body:
            return Problem.DUPLICATE_REQUEST
        row = tx.find_review(known.review)
        return Problem.UNKNOWN_TASK if row is None else _task(tx, row)
    found = _bound(session, asked)
    if isinstance(found, Problem):
        return found
    _follow(world, tx, found.id, request.caller)
    _record(session, asked, found)
    if asked.key:
        tx.put_meta(name, _encode(_Key(body, found.id)))
    return _task(tx, found)


def find(world: World, tx: Transaction, caller: str, review_id: str) -> Task | None:
    """A task that this caller may follow; `None` for another's, as for one that there is not."""
    row = tx.find_review(review_id)
    if row is None or _decode_review(row.body).opened_by or not _may_follow(world, tx, caller, row):
        return None
    return _told(world, tx, row)


def state_of(tx: Transaction, review_id: str) -> ReviewState | None:
    """Where a review stands now, as requesters are told; `None` where there is none."""
    row = tx.find_review(review_id)
    return None if row is None else _decode_review(row.body).told_at(tx.now)


def cancel(session: Session, caller: str, review_id: str, reason: str) -> Task | Problem:
    """The task, given up by whoever it was opened for; recorded. Nothing is approved by it any more."""
    world, tx = session.world, session.tx
    ruling.expire_due(session)
    row = tx.find_review(review_id)
    if row is None or not _is_of(world, tx, caller, row):
        return Problem.UNKNOWN_TASK
    review = _decode_review(row.body)
    if review.opened_by:
        return Problem.UNKNOWN_TASK
    if not review.state_at(tx.now).is_open:
        return Problem.INVALID_TASK_STATE
    members: dict[str, Json] = {
        "review": row.id,
        "decision": row.sequence,
        "caller": world.pseudonym("caller", caller),
    }
    sealed = _seal(world, tx, row, {"reason": reason.encode("utf-8", "replace")}) if reason else None
    tx.append(Draft("review_cancelled", members, sealed))
    approving.put_review(tx, row, reviews.cancel(review))
    return tasks.of(reviews.cancel(review), tx.now)


def has_due(tx: Transaction) -> bool:
    """Whether somebody is to be told now."""
    waiting = (one for one in _outstanding(tx) if one.next_at <= tx.now)
    rows = (tx.find_review(one.review) for one in waiting)
    return any(row is None or _task(tx, row).is_ended for row in rows)


def due(session: Session, *, most: int) -> tuple[Notice, ...]:
    """The callbacks of tasks that have ended, each taken for a while, so that no other replica sends them too."""
    world, tx = session.world, session.tx
    ruling.expire_due(session)
    kept: list[_Waiting] = []
    taken: list[Notice] = []
    for one in _outstanding(tx):
        notice = _notice(world, tx, one) if one.next_at <= tx.now and len(taken) < most else one
        if isinstance(notice, Notice):
            taken.append(notice)
            kept.append(msgspec.structs.replace(one, next_at=tx.now.plus(LEASE_SECONDS), attempts=one.attempts + 1))
        elif notice is not None:
            kept.append(one)
    _put(tx, kept)
    return tuple(taken)


def settle(session: Session, notice_id: str, *, is_told: bool) -> None:
    """Whether a callback that was taken arrived. One that did not is tried again later, for a day."""
    tx = session.tx
    kept: list[_Waiting] = []
    for one in _outstanding(tx):
        if one.id != notice_id:
            kept.append(one)
        elif not is_told and not _is_given_up(tx, one):
            pause = min(MAX_PAUSE_SECONDS, 2 ** min(one.attempts, 12))
            kept.append(msgspec.structs.replace(one, next_at=tx.now.plus(pause)))
    _put(tx, kept)


def _bound(session: Session, asked: Submission) -> ReviewRow | Problem:
    """The review that the denied decision opened, for the very action of the submission."""
    world, tx, request = session.world, session.tx, asked.request
    log, _, place = asked.evaluation_id.rpartition("/")
    if log != tx.log or not (place.isascii() and place.isdecimal() and len(place) < 17):
        return Problem.INVALID_DENIAL_BINDING
    try:
        answer = recalling.recall(world, tx, int(place), caller=request.caller)
    except LedgerError:  # erased, or not readable: it binds to nothing
        return Problem.INVALID_DENIAL_BINDING
    if answer is None:
        return Problem.INVALID_DENIAL_BINDING
    if not isinstance(answer, Deferral):
        return Problem.NOT_REQUESTABLE
    row = tx.find_review(answer.review_id)
    if row is None or row.match != world.vault.blind_for(request.subject.name, "match", request.digest):
        return Problem.INVALID_DENIAL_BINDING
    return Problem.EXPIRED_DENIAL if tx.now >= row.deadline else row


def _record(session: Session, asked: Submission, row: ReviewRow) -> None:
    world, tx = session.world, session.tx
    members: dict[str, Json] = {
        "review": row.id,
        "decision": int(asked.evaluation_id.rpartition("/")[2]),
        "caller": world.pseudonym("caller", asked.request.caller),
        "is_called_back": asked.callback is not None,
    }
    person = asked.request.subject.name
    sealed = world.vault.seal(person, "", {"said": asked.said}) if asked.said else None
    tx.append(Draft("access_requested", members, sealed))
    if asked.callback is None:
        return
    outstanding = _outstanding(tx)
    if len(outstanding) >= MAX_CALLBACKS:
        raise OverloadedError(f"{MAX_CALLBACKS} callbacks are outstanding already; ask for the status instead")
    told = world.vault.seal(person, "", {"callback": _encode(asked.callback)})
    _put(tx, [*outstanding, _Waiting(secrets.token_hex(16), row.id, told, tx.now)])


def _notice(world: World, tx: Transaction, one: _Waiting) -> Notice | _Waiting | None:
    """What is to be said, the same again where it is too early, `None` where nothing is or can be said any more."""
    row = tx.find_review(one.review)
    if row is None:
        return None
    task = _task(tx, row)
    if not task.is_ended:
        return one
    if _is_given_up(tx, one):
        return None
    try:
        callback = _callbacks.decode(world.vault.unseal(one.sealed)["callback"])
    except ForgottenError:
        return None
    task = _told(world, tx, row)
    return Notice(one.id, callback, task) if not callback.events or task.status in callback.events else None


def _is_given_up(tx: Transaction, one: _Waiting) -> bool:
    row = tx.find_review(one.review)
    return row is None or tx.now >= row.deadline.plus(GIVE_UP_SECONDS)


def _task(tx: Transaction, row: ReviewRow) -> Task:
    current = tx.find_review(row.id) or row
    return tasks.of(_decode_review(current.body), tx.now)


def _told(world: World, tx: Transaction, row: ReviewRow) -> Task:
    """The task with what those wrote who decided it, which is for whoever asked."""
    return msgspec.structs.replace(_task(tx, row), reason=claiming.reason(world, tx, _decode_review(row.body)))


def _is_of(world: World, tx: Transaction, caller: str, row: ReviewRow) -> bool:
    try:
        return recalling.recall(world, tx, row.sequence, caller=caller) is not None
    except LedgerError:
        return False


def _may_follow(world: World, tx: Transaction, caller: str, row: ReviewRow) -> bool:
    known = tx.find_meta(f"task.{row.id}")
    is_known = known is not None and world.pseudonym("caller", caller) in _followers.decode(known).callers
    return is_known or _is_of(world, tx, caller, row)


def _follow(world: World, tx: Transaction, review_id: str, caller: str) -> None:
    name, mark = f"task.{review_id}", world.pseudonym("caller", caller)
    raw = tx.find_meta(name)
    known = _followers.decode(raw).callers if raw is not None else ()
    if mark in known:
        return
    if len(known) >= MAX_CALLERS:
        raise OverloadedError(f"{MAX_CALLERS} callers follow this review already")
    tx.put_meta(name, _encode(_Followers((*known, mark))))


def _seal(world: World, tx: Transaction, row: ReviewRow, fields: dict[str, bytes]) -> Sealed | None:
    """Under the key of whoever the action was for."""
    answer = recalling.recall(world, tx, row.sequence)
    subject = answer.refusal.action.get("subject") if isinstance(answer, Deferral) else None
    if not isinstance(subject, dict):
        return None
    return world.vault.seal(f"{subject.get('type')}:{subject.get('id')}", "", fields)


def _outstanding(tx: Transaction) -> tuple[_Waiting, ...]:
    raw = tx.find_meta(_WAITING)
    return _waiting.decode(raw) if raw else ()


def _put(tx: Transaction, kept: list[_Waiting]) -> None:
    if tuple(kept) != _outstanding(tx):
        tx.put_meta(_WAITING, _encode(kept))
