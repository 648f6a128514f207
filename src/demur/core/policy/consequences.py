"""What a rule says beyond its conditions: words, obligations, narrowing, alternatives, and who decides a review.

- An obligation's id means one thing in the whole set: the same id elsewhere has the same type and properties.
- What is narrowed or overridden is a declared argument, and the value has its type.

Clauses: S3.5, S7, S9.2, S10.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from demur.core import canonical
from demur.core.conform import describe as describe_value
from demur.core.desk.risk import Risk
from demur.core.policy.document import Alternative, Escalation, Narrowing, Obligation, Panel
from demur.core.policy.facts import ACTION, typed
from demur.core.policy.located import Scalar, Table, describe, plain, shorten
from demur.core.policy.reading import Keys, quoted, text_of
from demur.core.schema import Kind, argument_name, argument_path
from demur.core.terms import Audience

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from demur.core.policy.declarations import Declarations
    from demur.core.policy.layout import View
    from demur.core.policy.located import Entry, Located
    from demur.core.schema import Fact, Type
    from demur.core.terms import Value

MAX_MESSAGE = 4_096
"""Characters in one message."""
MAX_REVIEW_MS = 366 * 86_400_000
MAX_QUORUM = 20

_LOCALE = re.compile(r"[A-Za-z]{2,8}(?:-[A-Za-z0-9]{1,8})*", re.ASCII)
_OBLIGATION_TYPE = re.compile(r"[A-Za-z0-9_.:/-]{1,128}", re.ASCII)
_ORDERED = {Kind.INT, Kind.DOUBLE}


def read_messages(keys: Keys) -> dict[Audience, dict[str, str]]:
    """Texts by audience and locale."""
    node = keys.values.get("messages")
    if node is None:
        return {}
    inner = Keys(keys.report, keys.file, node, "`messages`", known=[audience.value for audience in Audience])
    found = {audience: _texts(inner, audience) for audience in Audience if inner.has(audience.value)}
    return {audience: texts for audience, texts in found.items() if texts}


def _texts(inner: Keys, audience: Audience) -> dict[str, str]:
    texts: dict[str, str] = {}
    node = inner.values[audience.value]
    if isinstance(node, Scalar):
        hint = f"write `{audience.value}: {{en: ...}}`"
        inner.note(audience.value, f"expected texts by locale for `{audience.value}`, found {describe(node)}", hint)
        return {}
    for entry in inner.entries(audience.value):
        if not _LOCALE.fullmatch(entry.key):
            message = f"expected a language tag such as `en` or `pt-BR`, found `{shorten(entry.key)}`"
            inner.report.note(inner.file, entry, message)
            continue
        text = text_of(inner.report, inner.file, entry.value, f"a text for `{entry.key}`")
        if len(text) > MAX_MESSAGE:
            message = f"expected at most {MAX_MESSAGE} characters in a message, found {len(text)}"
            inner.report.note(inner.file, entry.value, message)
        elif text:
            texts[entry.key] = text.strip()
    return texts


def read_obligations(keys: Keys, known: dict[str, Obligation]) -> tuple[Obligation, ...]:
    """The obligations; `known` holds those of the rules read before, by id."""
    found: list[Obligation] = []
    for node in keys.items("obligations"):
        inner = Keys(
            keys.report, keys.file, node, "an obligation", known=("id", "properties", "type"), needs=("id", "type")
        )
        name, kind = inner.token("id"), inner.text("type")
        if kind and not _OBLIGATION_TYPE.fullmatch(kind):
            inner.note("type", f"expected an obligation's type of letters, digits and `_.:/-`, found `{shorten(kind)}`")
            continue
        if not (name and kind):
            continue
        properties = _plain_table(inner, "properties")
        obligation = Obligation(id=name, type=kind, properties=properties)
        if any(other.id == name for other in found):
            inner.note("id", f"expected obligation ids that are unique in a rule, found `{name}` again")
        elif known.setdefault(name, obligation) != obligation:
            inner.note(
                "id",
                f"expected one meaning of the obligation `{name}`, found another type or other properties",
                "give it another id",
            )
        else:
            found.append(obligation)
    return tuple(found)


def read_narrowing(keys: Keys, view: View, declared: Declarations) -> tuple[Narrowing, ...]:
    """What a grant narrows, argument by argument."""
    found = [_narrowing(keys, entry, view, declared) for entry in keys.entries("narrow")]
    return tuple(item for item in found if item is not None)


def _narrowing(keys: Keys, entry: Entry, view: View, declared: Declarations) -> Narrowing | None:
    name = entry.key.removeprefix(f"{ACTION}.")
    path = argument_path(name)
    variable = view.variables.get(path)
    arguments = [fact for fact in declared.arguments(path) if variable is not None and fact.type == variable.type]
    if variable is None or not arguments or path in view.lacking:
        known = [
            argument_name(other) for other in view.variables if declared.arguments(other) and other not in view.lacking
        ]
        message = f"expected an argument of every action that the rule covers, found `{shorten(entry.key)}`"
        keys.report.note(keys.file, entry, message, keys.report.guess(name, known))
        return None
    inner = Keys(
        keys.report, keys.file, entry.value, f"the narrowing of `{name}`", known=("at_least", "at_most", "set")
    )
    if not inner.is_table:
        return None
    if inner.has("set") == (inner.has("at_most") or inner.has("at_least")):
        found = "both" if inner.has("set") else "neither"
        keys.report.note(
            keys.file, entry.value, f"expected either `set` or limits for `{name}`, found {found}", code="missing-key"
        )
        return None
    if inner.has("set"):
        return _exactly(inner, name, arguments[0])
    least, most = _limit(inner, "at_least", variable.type), _limit(inner, "at_most", variable.type)
    if least is not None and most is not None and least > most:
        inner.note("at_least", f"expected `at_least` to be no more than `at_most`, found `{least}` and `{most}`")
    return Narrowing(argument=name, at_most=most, at_least=least)


def _exactly(inner: Keys, name: str, fact: Fact) -> Narrowing | None:
    value = typed(inner, inner.values["set"], fact.type, f"the argument `{name}`")
    if value is None:
        return None
    _check_allowed(inner, inner.values["set"], value, fact)
    return Narrowing(argument=name, set=value)


def _check_allowed(keys: Keys, node: Located, value: Value, fact: Fact) -> None:
    if fact.one_of and value not in fact.one_of:
        options = quoted(str(option) for option in fact.one_of)
        keys.report.note(keys.file, node, f"expected one of {options} for `{fact.path}`, found {describe(node)}")


def _limit(inner: Keys, key: str, declared: Type) -> int | float | None:
    if not inner.has(key):
        return None
    if declared.kind not in _ORDERED:
        inner.note(key, f"expected an int or double to have a limit, found type `{declared}`", "write `set` instead")
        return None
    value = typed(inner, inner.values[key], declared, f"`{key}`")
    return value if isinstance(value, (int, float)) else None


def read_alternatives(keys: Keys, declared: Declarations) -> tuple[Alternative, ...]:
    """Other actions that the rule offers instead."""
    found: list[Alternative] = []
    for node in keys.items("alternatives"):
        inner = Keys(
            keys.report, keys.file, node, "an alternative", known=("action", "arguments", "explain"), needs=("action",)
        )
        name = inner.text("action")
        if name and declared.actions and name not in declared.actions:
            message = f"expected a declared action for `action`, found `{shorten(name)}`"
            inner.note("action", message, keys.report.guess(name, declared.actions))
        elif name:
            found.append(
                Alternative(action=name, arguments=_overrides(inner, name, declared), explanation=inner.text("explain"))
            )
    return tuple(found)


def _overrides(inner: Keys, action: str, declared: Declarations) -> dict[str, Value]:
    if action not in declared.actions:
        return _plain_table(inner, "arguments")
    known = {argument_name(fact.path): fact for fact in declared.actions[action].item.arguments}
    values: dict[str, Value] = {}
    for entry in inner.entries("arguments"):
        fact = known.get(entry.key)
        if fact is None:
            message = f"expected an argument of `{action}`, found `{shorten(entry.key)}`"
            inner.report.note(inner.file, entry, message, inner.report.guess(entry.key, known))
            continue
        value = typed(inner, entry.value, fact.type, f"the argument `{entry.key}`")
        if value is not None:
            _check_allowed(inner, entry.value, value, fact)
            values[entry.key] = value
    return values


_PANEL = ("escalate", "group", "language", "quorum", "reversible", "risk", "role", "rota", "within")
MAX_LEVELS = 8
"""How often a review may be escalated."""


def read_panel(keys: Keys, rotas: Collection[str]) -> Panel | None:
    """Who decides a review; `rotas` are those that the desk declares."""
    node = keys.values.get("review")
    if node is None:
        return None
    inner = Keys(keys.report, keys.file, node, "`review`", known=_PANEL, needs=("role",))
    if not inner.is_table:
        return None
    within = inner.milliseconds("within", 86_400_000, most=MAX_REVIEW_MS)
    if within % 1_000 or not within:
        inner.note(
            "within", f"expected whole seconds, at least one, for `within`, found {describe(inner.values['within'])}"
        )
    role = inner.text("role")
    quorum = inner.whole("quorum", 1, least=1, most=MAX_QUORUM)
    risk = inner.choice("risk", Risk) or Risk.MEDIUM
    if not role:
        return None
    return Panel(
        role=role,
        quorum=quorum,
        seconds=within // 1_000,
        risk=risk.value,
        group=inner.text("group"),
        language=_language(inner),
        rota=_rota(inner, rotas),
        reversible=inner.flag("reversible") if inner.has("reversible") else None,
        levels=_levels(inner, role, within, rotas),
    )


def _language(inner: Keys) -> str:
    tag = inner.text("language")
    if tag and not _LOCALE.fullmatch(tag):
        inner.note("language", f"expected a language tag such as `en` or `pt-BR`, found the text `{shorten(tag)}`")
        return ""
    return tag


def _rota(inner: Keys, rotas: Collection[str]) -> str:
    name = inner.text("rota")
    if name and name not in rotas:
        hint = inner.report.guess(name, rotas) or "rotas stand under `desk`"
        inner.note("rota", f"expected a rota that the desk declares, found `{shorten(name)}`", hint)
        return ""
    return name


def _levels(inner: Keys, role: str, within: int, rotas: Collection[str]) -> tuple[Escalation, ...]:
    items = inner.items("escalate")
    if len(items) > MAX_LEVELS:
        inner.note("escalate", f"expected at most {MAX_LEVELS} levels, found {len(items)}")
    found: list[Escalation] = []
    for node in items[:MAX_LEVELS]:
        level = _level(inner, node, role, rotas)
        least = found[-1].after if found else 0
        if level is not None and least < level.after < within // 1_000:
            found.append(level)
        elif level is not None:
            message = "expected a level after the one before and short of `within`, found another"
            inner.report.note(inner.file, node, message, "levels stand in the order of their time")
    return tuple(found)


def _level(inner: Keys, node: Located, role: str, rotas: Collection[str]) -> Escalation | None:
    known = ("after", "group", "role", "rota")
    level = Keys(inner.report, inner.file, node, "a level of `escalate`", known=known, needs=("after",))
    if not level.is_table or not level.has("after"):
        return None
    if not (level.has("role") or level.has("group") or level.has("rota")):
        inner.report.note(inner.file, node, "expected `role`, `group` or `rota` in a level, found none of them")
        return None
    after = level.milliseconds("after", 1_000, most=MAX_REVIEW_MS)
    if after % 1_000 or not after:
        found = describe(level.values["after"])
        level.note("after", f"expected whole seconds, at least one, for `after`, found {found}")
        return None
    rota = _rota(level, rotas)
    return Escalation(after=after // 1_000, role=level.text("role", role), group=level.text("group"), rota=rota)


def _plain_table(keys: Keys, key: str) -> dict[str, Value]:
    node = keys.values.get(key)
    if node is None:
        return {}
    if not isinstance(node, Table):
        keys.note(key, f"expected a table for `{key}`, found {describe(node)}")
        return {}
    found: Mapping[str, object] = {entry.key: plain(entry.value) for entry in node.entries}
    try:
        canonical.encode(found)
    except ValueError as error:
        keys.note(key, f"expected what JSON can say for `{key}`, found {describe_value(found)}: {error}")
        return {}
    return dict(found)  # type: ignore[arg-type]  # plain data is made of values; mypy holds the keys invariant
