"""Attempts that were refused, remembered for one key: which of them belong together, and which went against advice.

- Two attempts are *linked* when they are the same after normalisation: letter case, white space, the order of
  arguments, unicode forms, invisible characters, and tools that the policies declare to be the same (`same_as`).
  A link informs and counts; it never decides, since every attempt is judged afresh.
- An attempt is a *repeat* when the last advice given to its chain was against it, under the same facts and policies:
  any linked attempt after `never_retry`, the very same one after `modify`, any linked one before the instant of
  `retry_after`. All other advice (supply, wait, seek, await a review) asks for another attempt sooner or later.
- Taking what was offered is never a repeat: neither coming back at the instant that was told, nor a linked attempt that
  differs, where what was offered may itself be a linked attempt.
- Repeats add up for the key. At the limit that the policies declare the key is quarantined, until an operator lifts it.
  Policies that declare none count and link, and nobody is quarantined by surprise.
- A key that nobody used for `FORGET_SECONDS` is forgotten, unless it is quarantined.

What is remembered is blinded before it arrives here: marks to compare, numbers of records, closed words.

Clauses: S8.
"""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

import msgspec

from demur.core.terms import Disposition, Missing, Timestamp, to_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from demur.core.schema import Schema
    from demur.core.terms import Request, State

FORGET_SECONDS = 30 * 24 * 3_600
"""After so long without a refusal, what is remembered for a key that is not quarantined counts no more."""
MAX_CHAINS = 64
"""Chains remembered for one key; the one untouched for longest is forgotten first."""
MAX_ROUNDS = 4
"""Normal forms settle after two rounds; the bound is for what nobody foresaw."""

_json = msgspec.json.Encoder(order="sorted").encode
_IGNORABLE = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0\U0001bca0-\U0001bca3\U000e0000-\U000e0fff]"
)
"""What is invisible by default (Unicode, `Default_Ignorable_Code_Point`) and not of the category of format marks."""


class Attempt(msgspec.Struct, frozen=True, array_like=True):
    """One attempt as blinded marks: `link` after normalisation, `exact` as it was asked, `facts` it was judged by."""

    link: bytes
    exact: bytes
    facts: bytes


class Advice(msgspec.Struct, frozen=True, array_like=True):
    """What the requester was told to do.

    `not_before` is the first instant at which it was told that asking again may help. `may_reword` says that something
    was offered which may be linked to what was refused, such as another text or another of the same tools.
    """

    disposition: Disposition
    not_before: Timestamp | None = None
    may_reword: bool = False


class Chain(msgspec.Struct, frozen=True, array_like=True):
    """Linked attempts: the record of the first, the last attempt and the advice it got, how many, how many repeats."""

    first: int
    last: Attempt
    advice: Advice
    attempts: int = 1
    repeats: int = 0


class Quarantine(msgspec.Struct, frozen=True, array_like=True):
    """Since when a key is quarantined, the record that says so, and how many repeats led to it (0: an operator)."""

    since: Timestamp
    sequence: int
    repeats: int


class Denials(msgspec.Struct, frozen=True, array_like=True):
    """What is remembered for one key; the chain touched last, at `touched`, stands last."""

    chains: tuple[Chain, ...] = ()
    repeats: int = 0
    quarantine: Quarantine | None = None
    touched: Timestamp = Timestamp(0)

    def chain(self, link: bytes) -> Chain | None:
        """The chain that an attempt belongs to."""
        return next((chain for chain in self.chains if chain.last.link == link), None)


def current(denials: Denials, now: Timestamp) -> Denials:
    """What still counts of it: nothing, where the key is free and was not used for long."""
    is_stale = denials.quarantine is None and now >= denials.touched.plus(FORGET_SECONDS)
    return Denials() if is_stale else denials


def is_repeat(chain: Chain, attempt: Attempt, now: Timestamp) -> bool:
    """Whether this attempt is what the chain's last advice was against, under the same facts (S8.1)."""
    advice = chain.advice
    if attempt.link != chain.last.link or attempt.facts != chain.last.facts:
        return False
    if advice.not_before is not None and now >= advice.not_before:
        return False
    is_same = attempt.exact == chain.last.exact
    match advice.disposition:
        case Disposition.NEVER_RETRY:
            return is_same or not advice.may_reword
        case Disposition.MODIFY:
            return is_same
        case Disposition.RETRY_AFTER:
            return advice.not_before is not None and (is_same or not advice.may_reword)
        case Disposition.SUPPLY_CONTEXT | Disposition.WAIT | Disposition.SEEK_AUTHORITY | Disposition.AWAIT_REVIEW:
            return False


def note(denials: Denials, attempt: Attempt, advice: Advice, *, sequence: int, now: Timestamp) -> Denials:
    """What is remembered after this attempt was refused or deferred in the record `sequence` with this advice."""
    before = denials.chain(attempt.link)
    if before is None:
        chain, counted = Chain(sequence, attempt, advice), 0
    else:
        counted = int(is_repeat(before, attempt, now))
        chain = Chain(before.first, attempt, advice, before.attempts + 1, before.repeats + counted)
    others = tuple(item for item in denials.chains if item is not before)
    return Denials((*others, chain)[-MAX_CHAINS:], denials.repeats + counted, denials.quarantine, now)


def quarantine(denials: Denials, *, sequence: int, now: Timestamp) -> Denials:
    """The key under quarantine."""
    return msgspec.structs.replace(denials, quarantine=Quarantine(now, sequence, denials.repeats))


def lift(denials: Denials) -> Denials:
    """The key after an operator lifted its quarantine: links are still known, the count begins anew."""
    chains = tuple(msgspec.structs.replace(chain, repeats=0) for chain in denials.chains)
    return Denials(chains, touched=denials.touched)


def is_due(denials: Denials, limit: int) -> bool:
    """Whether the key must be quarantined now; `limit` 0 means that the policies declare none, so never (S8.3)."""
    return denials.quarantine is None and 0 < limit <= denials.repeats


def link_form(request: Request, schema: Schema) -> str:
    """The attempt after normalisation: action, arguments and resource. Equal forms are linked; blind it to keep it."""
    resource = [normal_text(request.resource.type), normal_text(request.resource.id)]
    return _json([tool(request.action, schema), _normal(to_json(request.arguments)), resource]).decode()


def tool(action: str, schema: Schema) -> str:
    """The action by which attempts are linked: the one that it is declared to be the same as, else itself."""
    declared = schema.actions.get(action)
    return normal_text(declared.same_as or declared.name if declared else action)


def facts_form(states: Mapping[str, State], policy: str) -> str:
    """The learned facts and the policies that an attempt was judged by, whenever they were learned."""
    told = {
        path: {state.value: True} if isinstance(state, Missing) else [to_json(state)] for path, state in states.items()
    }
    return _json([policy, told]).decode()


def normal_text(text: str) -> str:
    """The text without differences of letter case, white space, unicode form and invisible characters."""
    if text.isascii():
        return " ".join(text.lower().split())
    for _ in range(MAX_ROUNDS):
        after = _round(text)
        if after == text:
            break
        text = after
    return text


def _round(text: str) -> str:
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFD", text).casefold())
    visible = "".join(char for char in folded if unicodedata.category(char) != "Cf")
    return unicodedata.normalize("NFKC", " ".join(_IGNORABLE.sub("", visible).split()))


def _normal(value: object) -> object:
    """A JSON value with normal texts. A map becomes a sorted list of pairs, since two of its names may become one."""
    if isinstance(value, str):
        return normal_text(value)
    if isinstance(value, dict):
        pairs = [[normal_text(name), _normal(item)] for name, item in value.items()]
        return {"pairs": sorted(pairs, key=_json)}
    if isinstance(value, list):
        return [_normal(item) for item in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value
