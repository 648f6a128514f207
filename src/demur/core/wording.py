"""The words of a refusal for one reader: what was wanted and why not, and apart from it what is possible.

- What a rule's author wrote for this audience, or for a less trusted one, is said as it stands.
- Otherwise one sentence names what was wanted and the kind of reason; agents and those who run Demur also read which
  conditions stand in the way. Rule text is not for end users.
- A fact that an audience may see less than whole takes the author's explanation of every condition that reads it with
  it, since that may name the number; a hidden one is not named at all.
- Times and numbers are written as JSON and RFC 3339 write them, in every language.

Clauses: S9.4, S10.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from demur.core import phrases
from demur.core.obstacles import Standing
from demur.core.remedy.chart import Kind
from demur.core.schema import Visibility, argument_name
from demur.core.terms import Audience, Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from demur.core.obstacles import Obstacle
    from demur.core.remedy import Repair
    from demur.core.terms import Category, Disposition

TRUSTED = frozenset({Audience.OPERATOR, Audience.AUDITOR})
"""Those who run Demur, who see everything but secrets."""
MAX_WANTED = 120
"""Characters of an action's description that are repeated in a sentence."""

Marks = dict[str, dict[Audience, Visibility]]
"""By path: how much of a fact each audience may see, where the policy says so."""


@dataclass(frozen=True, slots=True)
class Reader:
    """Who reads, in which locale, and the locale that the policies declare to fall back to."""

    audience: Audience
    locale: str
    declared: str

    def say(self, name: str, **places: str | tuple[str, ...]) -> str:
        """A phrase in the reader's language."""
        return phrases.phrase(name, self.locale, declared=self.declared, **places)

    def sentences(self, *texts: str) -> str:
        """The sentences, one after the other."""
        return self.say("sentence_separator").join(text for text in texts if text)


def authored(reader: Reader, messages: Mapping[Audience, Mapping[str, str]]) -> str:
    """What the rule's author wrote for this audience, or for the next less trusted one that has words."""
    order = tuple(Audience)
    for audience in reversed(order[: order.index(reader.audience) + 1]):
        texts = {tag.lower(): text for tag, text in messages.get(audience, {}).items()}
        for tag in (*phrases.narrowing(reader.locale), *phrases.narrowing(reader.declared), phrases.FALLBACK):
            if tag in texts:
                return texts[tag]
        if texts:
            return next(iter(texts.values()))
    return ""


def why(reader: Reader, category: Category, wanted: str, conditions: Sequence[Obstacle], marks: Marks) -> str:
    """What was wanted and why not, in one or two sentences."""
    text = title(reader, category, wanted)
    if reader.audience is Audience.END_USER:
        return text
    reasons = list(dict.fromkeys(filter(None, (_because(reader, item, marks) for item in conditions))))
    if not reasons:
        return text
    told = reader.say("reasons_separator").join(reasons)
    return reader.sentences(text, told[:1].upper() + told[1:] + reader.say("end"))


def title(reader: Reader, category: Category, wanted: str) -> str:
    """The first sentence: what was wanted, and the kind of reason."""
    short = wanted if len(wanted) <= MAX_WANTED else wanted[: MAX_WANTED - 1] + "…"
    return reader.say(category.value, wanted=short.rstrip(" ."))


def next_step(
    reader: Reader, disposition: Disposition, repairs: Iterable[Repair], actions: tuple[str, ...] = ()
) -> str:
    """What is possible: the cheapest change that leads to an allow, another action, or what the disposition advises."""
    first = next((item for item in repairs if item.leads_to is Outcome.ALLOW), None)
    if first is not None and (told := _remedy(reader, first)):
        return told
    return reader.say("alternative", actions=actions) if actions else reader.say(disposition.value)


def plain(item: Obstacle, audience: Audience, marks: Marks) -> dict[str, object] | None:
    """A condition in the way as JSON says it for this audience; `None` where it may not know of it."""
    facts = _facts(item, audience, marks)
    if facts is None:
        return None
    shown: dict[str, object] = {
        "condition": item.condition,
        "explanation": "" if _is_guarded(item, audience, marks) else item.explanation,
        "facts": facts,
        "state": item.state.value,
    }
    if audience in TRUSTED:
        shown["rule"] = item.rule
    return shown


def _because(reader: Reader, item: Obstacle, marks: Marks) -> str:
    facts = _facts(item, reader.audience, marks)
    if facts is None:
        return ""
    if item.state is Standing.UNKNOWN:
        return reader.say("unknown", reason=tuple(facts))
    if _is_guarded(item, reader.audience, marks):
        return reader.say("concerns", reason=tuple(facts))
    return reader.say(item.state.value, reason=item.explanation or item.condition)


def _facts(item: Obstacle, audience: Audience, marks: Marks) -> list[str] | None:
    """The facts that may be named; `None` where the condition reads facts, and none of them may be."""
    hidden = [path for path in item.facts if _mark(path, audience, marks) is Visibility.HIDE]
    named = [path for path in item.facts if path not in hidden]
    return None if hidden and not named else named


def _is_guarded(item: Obstacle, audience: Audience, marks: Marks) -> bool:
    return any(_mark(path, audience, marks) is not Visibility.SHOW for path in item.reads or item.facts)


def _mark(path: str, audience: Audience, marks: Marks) -> Visibility:
    return Visibility.SHOW if audience in TRUSTED else marks.get(path, {}).get(audience, Visibility.SHOW)


def _remedy(reader: Reader, repair: Repair) -> str:
    shown = repair.to_dict(reader.audience)
    if shown is None:
        return ""
    match repair.kind:
        case Kind.CHANGE:
            values = shown.get("set")
            known = values if isinstance(values, dict) else {}
            return reader.say("change", facts=tuple(_change(part.path, known) for part in repair.parts))
        case Kind.OBTAIN:
            return reader.say("obtain", facts=tuple(part.how or part.path for part in repair.parts))
        case Kind.AWAIT:
            return reader.say("earliest", time=str(shown["earliest"])) if "earliest" in shown else ""


def _change(path: str, values: Mapping[str, object]) -> str:
    name = argument_name(path)
    return f"{name} = {_json(values[path])}" if path in values else name


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
