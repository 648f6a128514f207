"""The searches of AuthZEN: who may do this, on what may they do it, what may they do.

- Candidates are what is known: the declared actions, and the subjects and resources that fact sources can list. The
  answer is about these, never about everybody there is.
- Every candidate of a page is judged by the policies in force, at one instant, as one inquiry on the record (S5.3): no
  grant, no quota. A candidate that cannot even be asked about, as a resource of a type that no action takes, is no
  result.
- A page examines a bounded number of candidates. `page.next_token` is empty at the end; otherwise it goes on behind the
  last candidate, with the same search and no other.

Source: OpenID AuthZEN Authorization API 1.0, section 8.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from enum import StrEnum
from typing import TYPE_CHECKING

import msgspec

from demur.core import access
from demur.core.terms import Entity
from demur.errors import AccessError, IntakeError
from demur.server.service import caller_of
from demur.steps.inquiring import Purpose

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from demur.core.access import Identity
    from demur.gateway import Gateway

MAX_EXAMINED = 200
"""Candidates of one page."""
_SHARED = ("context",)
_encode = msgspec.msgpack.Encoder().encode


class Sought(StrEnum):
    """What a search looks for."""

    SUBJECT = "subject"
    RESOURCE = "resource"
    ACTION = "action"

    @property
    def path(self) -> str:
        """The part of a request that varies."""
        return "action.name" if self is Sought.ACTION else f"{self.value}.id"


class _Token(msgspec.Struct, frozen=True, array_like=True):
    search: bytes
    after: str


_tokens = msgspec.msgpack.Decoder(_Token)


def page(gate: Gateway, identity: Identity, sought: Sought, members: Mapping[str, object]) -> dict[str, object]:
    """One page of results; raises `IntakeError`, `AccessError` and `StoreError`."""
    asked = _asked(sought, members)
    if sought is not Sought.SUBJECT:
        access.check_subject(identity, _entity(asked["subject"]))
    mark = hashlib.sha256(_encode([sought.value, asked])).digest()[:16]
    limit, after = _paging(members, mark)
    candidates = [name for name in gate.listed(sought.path) if after is None or name > after]
    examined = [name for name in candidates if _may_ask(identity, sought, asked, name)][:MAX_EXAMINED]
    found = _judged(gate, identity, sought, asked, examined)
    told = found[:limit]
    # Behind the last one that was told, or behind the last one that was examined where all of them were.
    last = told[-1] if len(found) > limit else (examined[-1] if examined else "")
    is_end = len(found) <= limit and (not examined or examined[-1] == candidates[-1])
    token = "" if is_end else _token(mark, last)
    return {
        "results": [_result(sought, asked, name) for name in told],
        "page": {"next_token": token, "count": len(told)},
    }


def _judged(
    gate: Gateway, identity: Identity, sought: Sought, asked: Mapping[str, object], examined: Sequence[str]
) -> list[str]:
    requests = [{**asked, sought.value: _filled(sought, asked, name)} for name in examined]
    caller = caller_of(identity)
    found = []
    for name, one in zip(examined, gate.inquire_each(requests, caller=caller, purpose=Purpose.SEARCH), strict=True):
        if isinstance(one, IntakeError):
            if not _is_beside(sought, one):
                raise one
        elif one.refusal is None:
            found.append(name)
    return found


def _is_beside(sought: Sought, error: IntakeError) -> bool:
    """Whether this candidate is at fault and not the search: a type or an action that does not go with the others."""
    if error.pointer == "/resource/type":
        return True
    return sought is Sought.ACTION and error.pointer.startswith("/action/")


def _may_ask(identity: Identity, sought: Sought, asked: Mapping[str, object], name: str) -> bool:
    if sought is not Sought.SUBJECT:
        return True
    try:
        access.check_subject(identity, _entity(_filled(sought, asked, name)))
    except AccessError:
        return False
    return True


def _filled(sought: Sought, asked: Mapping[str, object], name: str) -> dict[str, object]:
    if sought is Sought.ACTION:
        return {"name": name}
    given = asked[sought.value]
    assert isinstance(given, dict)
    return {**given, "id": name}


def _result(sought: Sought, asked: Mapping[str, object], name: str) -> dict[str, object]:
    filled = _filled(sought, asked, name)
    return {part: filled[part] for part in ("type", "id", "name") if part in filled}


def _asked(sought: Sought, members: Mapping[str, object]) -> dict[str, object]:
    """What all candidates share; raises `IntakeError` where something that is not sought is missing."""
    asked = {name: members[name] for name in _SHARED if name in members}
    for part in Sought:
        if part is sought is Sought.ACTION:
            continue
        needed = ("name",) if part is Sought.ACTION else ("type",) if part is sought else ("type", "id")
        asked[part.value] = _part(members, part, needed)
    return asked


def _part(members: Mapping[str, object], part: Sought, needed: Sequence[str]) -> dict[str, object]:
    found = members.get(part.value)
    if not isinstance(found, dict):
        raise IntakeError(f"/{part}", expected="an object", found="nothing" if found is None else "something else")
    for name in needed:
        if not isinstance(found.get(name), str) or not found[name]:
            raise IntakeError(f"/{part}/{name}", expected="text that is not empty", found="none such")
    return dict(found)


def _entity(found: object) -> Entity:
    assert isinstance(found, dict)
    return Entity(type=found["type"], id=found["id"])


def _paging(members: Mapping[str, object], mark: bytes) -> tuple[int, str | None]:
    """How many results, and behind which candidate; raises `IntakeError`."""
    given = members.get("page", {})
    if not isinstance(given, dict):
        raise IntakeError("/page", expected="an object", found="something else")
    limit = given.get("limit", MAX_EXAMINED)
    if isinstance(limit, bool) or not isinstance(limit, int) or limit < 1:
        raise IntakeError("/page/limit", expected="a whole number of at least 1", found=f"`{str(limit)[:40]}`")
    text = given.get("token", "")
    if not isinstance(text, str):
        raise IntakeError("/page/token", expected="text", found="something else")
    return min(limit, MAX_EXAMINED), _after(text, mark) if text else None


def _token(mark: bytes, after: str) -> str:
    return base64.urlsafe_b64encode(_encode(_Token(mark, after))).decode()


def _after(text: str, mark: bytes) -> str:
    try:
        token = _tokens.decode(base64.b64decode(text.encode(), b"-_", validate=True))
    except (ValueError, binascii.Error, msgspec.DecodeError) as error:
        raise IntakeError("/page/token", expected="a token as it was given", found="another text") from error
    if token.search != mark:
        raise IntakeError("/page/token", expected="the search that this token belongs to", found="another search")
    return token.after
