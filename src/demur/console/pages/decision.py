"""One decision: what was asked, which facts were known, what every rule said, and what each audience was told.

Personal values are masked. Each can be revealed by somebody who may, for a reason; the reveal is a record before the
value is shown, and the page that shows it is the answer to the form and nothing that could be visited again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from demur.console import pictures, telling, tracing
from demur.console.page import Page
from demur.console.pages.decisions import HOME, MAX_SEQUENCE
from demur.console.pictures import Stage
from demur.console.tracing import Item
from demur.core import personal, phrases
from demur.core.access import Act
from demur.core.grant import Grant
from demur.core.personal import Protection
from demur.core.review import Deferral
from demur.core.schema import BUILT_IN, REQUEST
from demur.core.terms import Audience, Missing, Outcome, parse_timestamp, to_json
from demur.errors import ForgottenError, IntakeError
from demur.server.problems import NotFoundError
from demur.steps import explaining

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from starlette.responses import Response

    from demur.console.page import Visit
    from demur.ports import Transaction
    from demur.steps.explaining import Opened
    from demur.steps.revealing import Revealed

MAX_RULES = 200
"""Rules of one decision that a page shows, those that decided first."""
_TONES = {Outcome.ALLOW.value: "good", Outcome.DENY.value: "bad", Outcome.DEFER.value: "warn"}
_WORDS = {Outcome.ALLOW.value: "Allowed", Outcome.DENY.value: "Refused", Outcome.DEFER.value: "Sent to a person"}


async def decision(visit: Visit) -> Response:
    """One decision, explained rule by rule."""
    return await _shown(visit, None)


async def reveal(visit: Visit) -> Response:
    """The same page with one personal value on it, after that was recorded."""
    sequence, asked, reason = _sequence(visit), visit.field("path"), visit.field("reason")
    audit_id, credential = f"{visit.parts.world.log}/{sequence}", visit.credential
    told = await visit.run(lambda: visit.gate.reveal(audit_id, asked, credential=credential, reason=reason))
    return await _shown(visit, told)


async def _shown(visit: Visit, revealed: Revealed | None) -> Response:
    sequence, world = _sequence(visit), visit.parts.world
    try:
        opened = await visit.run(lambda: world.store.read(lambda tx: explaining.open_decision(world, tx, sequence)))
    except ForgottenError as error:
        return await _erased(visit, sequence, str(error))
    if opened is None:
        raise NotFoundError("expected the number of a record that is a decision, found another")
    audience, locale = _audience(visit.query("audience")), _locale(visit.query("locale"))
    rules = tracing.rules(opened.explanation, opened.decision, opened.withheld)
    return visit.show(
        "decision.html",
        title=f"Decision {sequence}",
        sequence=sequence,
        audit_id=f"{world.log}/{sequence}",
        leaf=opened.leaf,
        at=parse_timestamp(str(opened.leaf["timestamp"])),
        record_hash=opened.record.record_hash.hex(),
        outcome=str(opened.leaf["outcome"]),
        outcome_words=_WORDS.get(str(opened.leaf["outcome"]), ""),
        picture=pictures.path(_stages(opened, rules), title=f"The path of decision {sequence}"),
        asked=_asked(opened, revealed),
        facts=_facts(opened, revealed),
        rules=rules[:MAX_RULES],
        count=len(rules),
        withheld=sorted(opened.withheld & {path for rule in rules for path in tracing.reads(rule)}),
        revealed=revealed,
        may_reveal=visit.may(Act.REVEAL),
        told=_told(opened, audience, locale),
        audience=audience.value,
        audiences=[one.value for one in Audience],
        locale=locale,
        locales=phrases.LOCALES,
        checkpoint_size=await visit.run(lambda: world.store.read(_checkpoint_size)),
        may_prove=visit.may(Act.LEDGER_READ),
        home=HOME,
    )


async def _erased(visit: Visit, sequence: int, why: str) -> Response:
    world = visit.parts.world
    found = await visit.run(lambda: world.store.read(lambda tx: explaining.leaf_of(tx, sequence)))
    if found is None:
        raise NotFoundError("expected the number of a record that is a decision, found another")
    record, leaf = found
    return visit.show(
        "erased.html",
        title=f"Decision {sequence}",
        sequence=sequence,
        audit_id=f"{world.log}/{sequence}",
        leaf=leaf,
        at=parse_timestamp(str(leaf["timestamp"])),
        record_hash=record.record_hash.hex(),
        outcome=str(leaf["outcome"]),
        why=why,
        home=HOME,
    )


def _sequence(visit: Visit) -> int:
    text = visit.path("sequence")
    if not (text.isascii() and text.isdecimal() and len(text) < 17) or int(text) > MAX_SEQUENCE:
        raise NotFoundError("expected the number of a record, found something else")
    return int(text)


def _audience(text: str) -> Audience:
    try:
        return Audience(text or Audience.OPERATOR)
    except ValueError as error:
        raise IntakeError("?audience", expected="a known audience", found=f"`{text[:40]}`") from error


def _locale(text: str) -> str:
    if text and text not in phrases.LOCALES:
        raise IntakeError("?locale", expected="a known language", found=f"`{text[:40]}`")
    return text or "en"


def _checkpoint_size(tx: Transaction) -> int:
    row = tx.find_checkpoint()
    return row.size if row else 0


def _item(path: str, value: object, opened: Opened, revealed: Revealed | None, **more: object) -> Item:
    kind = personal.protection(path, opened.kept.request, opened.policies.schema)
    if path in opened.withheld:
        kind = Protection.SECRET
    if kind is Protection.PERSONAL and revealed is not None and revealed.path == path:
        return Item(path=path, text=tracing.text(revealed.value), protection=kind.value, is_revealed=True, **more)  # type: ignore[arg-type]  # as named below
    if isinstance(value, Missing) and kind is not Protection.SECRET:
        return Item(path=path, state=value.value, **more)  # type: ignore[arg-type]  # as above
    text = tracing.text(to_json(value)) if kind is Protection.NONE else ""
    return Item(path=path, text=text, protection=kind.value, **more)  # type: ignore[arg-type]  # as above


def _asked(opened: Opened, revealed: Revealed | None) -> list[Item]:
    """What the caller sent, claims included, and the names of what was not kept."""
    known = personal.values(opened.kept.request, {})
    secret = sorted(path for path in opened.withheld if path.startswith("action."))
    return [_item(path, value, opened, revealed) for path, value in known.items() if path != "action.name"] + [
        Item(path=path, protection=Protection.SECRET.value) for path in secret if path not in known
    ]


def _facts(opened: Opened, revealed: Revealed | None) -> list[Item]:
    """The facts that rules read, each with its source, how far that is trusted, and when it was learned."""
    return [
        _item(
            path,
            seen.state,
            opened,
            revealed,
            source=seen.source,
            trust="resolved" if path in BUILT_IN or seen.source != REQUEST else "claimed",
            age=telling.span(telling.seconds_between(seen.at, opened.facts.now)),
            why=seen.why,
        )
        for path, seen in sorted(opened.explanation.facts.items())
    ]


def _told(opened: Opened, audience: Audience, locale: str) -> dict[str, object]:
    """What was answered, as this audience reads it, without personal values."""
    request, schema, learned = opened.kept.request, opened.policies.schema, opened.kept.learned
    answer = opened.answer
    if isinstance(answer, Grant):
        document = answer.to_dict(audience=audience)
        words, step = "", ""
    else:
        refusal = answer.refusal if isinstance(answer, Deferral) else answer
        document = answer.to_dict(audience=audience, locale=locale)
        words, step = refusal.why(audience=audience, locale=locale), refusal.next_step(audience=audience, locale=locale)
    shown = personal.masked({"why": words, "step": step, "document": document}, request, schema, learned)
    assert isinstance(shown, dict)
    context = shown["document"].get("context", {})
    return {
        "why": shown["why"],
        "step": shown["step"],
        "refusal": context.get("refusal", {}) if isinstance(context, dict) else {},
        "json": msgspec.json.format(msgspec.json.encode(shown["document"]), indent=2).decode(),
    }


def _stages(opened: Opened, rules: Sequence[Mapping[str, object]]) -> list[Stage]:
    request, facts = opened.kept.request, opened.explanation.facts.values()
    outcome = str(opened.leaf["outcome"])
    unknown = sum(seen.state is Missing.UNKNOWN for seen in facts)
    claimed = sum(seen.source == REQUEST and seen.path not in BUILT_IN for seen in facts)
    held = sum(rule["truth"] == "true" for rule in rules)
    deciding = [str(rule["id"]) for rule in rules if rule["is_deciding"]]
    category = str(opened.leaf.get("refusal_category", "")).replace("_", " ")
    return [
        Stage(
            "Asked",
            (request.action, f"resource: {request.resource.type}", _number(len(request.arguments), "argument")),
        ),
        Stage(
            "Facts",
            (
                _number(len(opened.explanation.facts) - claimed - unknown, "resolved", "resolved"),
                _number(claimed, "claimed by the caller", "claimed by the caller"),
                _number(unknown, "unknown", "unknown"),
            ),
            "warn" if unknown else "",
        ),
        Stage(
            "Rules",
            (
                f"{_number(len(rules), 'rule')}, {held} held",
                *(f"decided: {name.rpartition('/')[2]}" for name in deciding[:3]),
                *((f"and {len(deciding) - 3} more",) if len(deciding) > 3 else ()),
            ),
        ),
        Stage(
            _WORDS.get(outcome, outcome),
            tuple(text for text in (category, *_ending(opened)) if text) or ("recorded, then answered",),
            _TONES.get(outcome, ""),
        ),
    ]


def _ending(opened: Opened) -> tuple[str, ...]:
    reason = getattr(getattr(opened.answer, "refusal", opened.answer), "reason", None)
    advice = reason.disposition.value.replace("_", " ") if reason is not None else "one use, short-lived"
    return (advice, f"record {opened.record.sequence}")


def _number(count: int, one: str, many: str = "") -> str:
    return f"{count} {one if count == 1 else many or one + 's'}"


PAGES = (
    Page(HOME + "/{sequence}", Act.DECISION_READ, decision),
    Page(HOME + "/{sequence}/reveal", Act.REVEAL, reveal, method="POST"),
)
