"""Questions as they are sent, and replies as what they are: an answer, or the `unavailable` refusal.

Clauses: S1.4, S5.2.
"""

from __future__ import annotations

import math
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import msgspec

from demur.core import intake, refusal, told
from demur.core.grant import Grant
from demur.core.intake import Caller
from demur.core.review import Deferral
from demur.core.terms import Duration, Entity, Outcome, Timestamp
from demur.core.told import Wanted
from demur.errors import AccessError, AnswerError, ConfigurationError, IntakeError, RulingError
from demur.wiring.policies import clock

if TYPE_CHECKING:
    from collections.abc import Collection

    from demur.client.line import Reply
    from demur.core.evidence import Answer
    from demur.core.grant import Redemption
    from demur.core.refusal import Refusal
    from demur.core.terms import Value

LOCAL = Caller()
_MAX_DEPTH = 64
_CLOCK = clock()
_INTAKE = re.compile(r"at `([^`]*)`: expected (.*), found (.*)", re.DOTALL)
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Question:
    """One evaluation request, ready to be sent as often as needed."""

    request_id: str
    body: bytes
    wanted: Wanted


def question(request: bytes | str | Mapping[str, object], caller: Caller) -> Question:
    """The request with an id of its own; raises `IntakeError`, and `ConfigurationError` for a `caller`."""
    if caller != LOCAL:
        raise ConfigurationError(
            "expected no `caller` for a service, found one",
            hint="who calls, and as which actor, is what the credential says; open a client for each",
        )
    members = dict(intake.parse(request))
    named = members.get("request_id")
    request_id = named if isinstance(named, str) and named else secrets.token_urlsafe(18)
    return Question(request_id, encode({**members, "request_id": request_id}), _wanted(members))


def redeeming(token: str, arguments: Mapping[str, Value], understands: Collection[str]) -> bytes:
    """The body that redeems; raises `IntakeError`."""
    return encode({"token": token, "arguments": arguments, "understands": sorted(understands)})


def encode(members: Mapping[str, object]) -> bytes:
    """JSON; raises `IntakeError` for what JSON cannot say."""
    try:
        return _encode(_plain(members, "", 0))
    except UnicodeEncodeError as error:
        raise IntakeError("", expected="text without lone surrogates", found="one") from error


def answer(reply: Reply, asked: Question) -> Answer:
    """What the service answered to this question, or `unavailable`; raises `IntakeError` and `AccessError`."""
    if reply.status not in {200, 503}:
        return _failed(reply, asked.request_id)
    try:
        found = told.read(reply.members, asked.wanted)
        _check_ours(reply, asked.request_id)
    except AnswerError as error:
        return unavailable(str(error), asked.request_id)
    if found.outcome is Outcome.UNAVAILABLE:
        return found
    if reply.status != 200:
        return unavailable(f"expected the status 200 for an answer, found {reply.status}", asked.request_id)
    given = found.refusal if isinstance(found, Deferral) else found
    if given.request_id != asked.request_id:
        return unavailable("expected an answer to this request, found one to another", asked.request_id)
    return found


def claimed(reply: Reply, wanted: Wanted | None, request_id: str) -> Answer:
    """What came of a review, or `unavailable`; of the action that was asked for, where that is known.

    Raises `RulingError` where there is none for this program, `IntakeError` and `AccessError`.
    """
    if reply.status in {404, 409}:
        raise RulingError(str(reply.members.get("detail") or "there is nothing to claim"))
    if reply.status not in {200, 503}:
        return _failed(reply, "")
    try:
        _check_ours(reply, request_id)
        found = told.read(reply.members, wanted or _intended(reply.members))
        if isinstance(found, Grant) and wanted is not None:
            _check_same(_intended(reply.members), wanted)
    except AnswerError as error:
        return unavailable(str(error))
    if found.outcome is not Outcome.UNAVAILABLE and reply.status != 200:
        return unavailable(f"expected the status 200 for an answer, found {reply.status}")
    return found


def redemption(reply: Reply, arguments: Mapping[str, object], request_id: str) -> Redemption | Refusal:
    """What came of redeeming with these arguments, or `unavailable`; raises `IntakeError` and `AccessError`."""
    if reply.status not in {200, 503}:
        return _failed(reply, request_id)
    try:
        _check_ours(reply, request_id)
        if "decision" in reply.members:
            return told.read_refusal(reply.members)
        found = told.read_redemption(reply.members)
    except AnswerError as error:
        return unavailable(str(error), request_id)
    if reply.status != 200:
        return unavailable(f"expected the status 200 for a redemption, found {reply.status}", request_id)
    if found.arguments != _plain(arguments, "", 0):
        return unavailable("expected a redemption for these arguments, found one for others", request_id)
    return found


def completion(reply: Reply, request_id: str) -> Refusal | None:
    """None where the end is recorded; raises `IntakeError` and `AccessError`."""
    if reply.status not in {200, 503}:
        return _failed(reply, request_id)
    try:
        _check_ours(reply, request_id)
        if "decision" in reply.members:
            return told.read_refusal(reply.members)
    except AnswerError as error:
        return unavailable(str(error), request_id)
    if reply.status != 200 or reply.members.get("recorded") is not True:
        return unavailable("expected that the end of this execution is recorded, found another reply", request_id)
    return None


def unavailable(why: str, request_id: str = "") -> Refusal:
    """Nothing could be learned; `why` is told to those who run the program, and to no agent."""
    found = refusal.unavailable(why, now=_CLOCK.now())
    return msgspec.structs.replace(found, request_id=request_id)


def new_id() -> str:
    """An id for one exchange."""
    return secrets.token_urlsafe(18)


def raise_for(reply: Reply) -> None:
    """Raises `IntakeError` for a 400 or 413 and `AccessError` for a 401 or 403, in the service's words."""
    said = str(reply.members.get("detail") or reply.members.get("title") or "it said no more")
    hint = str(reply.members.get("hint") or "")
    match reply.status:
        case 400 | 413:
            parts = _INTAKE.fullmatch(said)
            if parts is None:
                raise IntakeError("", expected="a request that the service takes", found=said, hint=hint)
            raise IntakeError(parts[1].removesuffix("/"), expected=parts[2], found=parts[3], hint=hint)
        case 401 | 403:
            raise AccessError(said, hint=hint)


def _failed(reply: Reply, request_id: str) -> Refusal:
    raise_for(reply)
    return unavailable(f"the service answered with the status {reply.status}", request_id)


def _check_ours(reply: Reply, request_id: str) -> None:
    if reply.request_id and reply.request_id != request_id:
        raise AnswerError("expected a reply to this request, found one to another")


def _wanted(members: Mapping[str, object]) -> Wanted:
    """The action as asked, as far as it is there: what is missing the service says."""
    action, resource = _table(members.get("action")), _table(members.get("resource"))
    entity = Entity(type=str(resource.get("type", "")), id=str(resource.get("id", "")))
    arguments = cast("dict[str, Value]", dict(_table(action.get("properties"))))
    return Wanted(str(action.get("name", "")), arguments, entity)


def _intended(members: Mapping[str, object]) -> Wanted:
    """The action as the service names it; what is granted is bound to the values, so that no other can be redeemed."""
    intent = _table(members.get("action_intent"))
    return _wanted({"action": intent, "resource": intent.get("resource")})


def _check_same(intended: Wanted, wanted: Wanted) -> None:
    named, asked = ((one.action, one.resource, sorted(one.arguments)) for one in (intended, wanted))
    if named != asked:
        raise AnswerError("expected a grant of the action that was deferred, found one of another")


def _table(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}


def _plain(value: object, pointer: str, depth: int) -> object:
    """The value as JSON has it."""
    if depth > _MAX_DEPTH:
        raise IntakeError("", expected=f"nesting of at most {intake.MAX_DEPTH}", found="more")
    match value:
        case None | bool() | int() | str():
            return value
        case float() if math.isfinite(value):
            return value
        case Timestamp() | Duration():
            return str(value)
        case Mapping():
            return {_name(name, pointer): _plain(item, f"{pointer}/{name}", depth + 1) for name, item in value.items()}
        case list() | tuple():
            return [_plain(item, f"{pointer}/{place}", depth + 1) for place, item in enumerate(value)]
    raise IntakeError(pointer, expected="a value that JSON has", found=f"`{str(value)[:40]}`")


def _name(name: object, pointer: str) -> str:
    if not isinstance(name, str):
        raise IntakeError(pointer, expected="names that are text", found=f"`{str(name)[:40]}`")
    return name
