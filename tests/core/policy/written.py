"""Policies written as YAML text in a test, read as the gate would read them."""

from __future__ import annotations

from textwrap import dedent
from typing import TYPE_CHECKING

from demur.adapters.documents import parse
from demur.adapters.zones import TzdataZones
from demur.core.policy.load import load
from demur.errors import PolicyError

if TYPE_CHECKING:
    from demur.core.policy.document import Documents, Rule
    from demur.core.policy.located import SourceDocument

ZONES = TzdataZones()

SHOP = """
demur: 1
namespace: shop
zone: Europe/Berlin
facts:
  subject.role: string
  subject.roles: list<string>
  subject.level: {type: int, optional: true}
  subject.actions: {type: list<string>, optional: true}
usage:
  refunds_today: {actions: [refund], by: [subject.id], window: {calendar: day}}
  refunded_today: {actions: [refund], by: [subject.id], window: {calendar: day}, sum: amount}
actions:
  refund: {arguments: {amount: int, note: {type: string, optional: true}}}
  ship: {arguments: {country: string, express: bool}}
"""


def source(text: str, file: str = "policies.yaml") -> SourceDocument:
    return parse(dedent(text).encode(), file)


def loaded(*texts: str) -> Documents:
    """The documents, in files `1.yaml`, `2.yaml` ..."""
    return load([source(text, f"{place}.yaml") for place, text in enumerate(texts, 1)], ZONES.is_zone)


def problems(*texts: str) -> list[str]:
    """`file:line:column: message` of every problem; empty where the set loads."""
    try:
        loaded(*texts)
    except PolicyError as error:
        return [f"{p.file}:{p.line}:{p.column}: {p.message}" for p in error.problems]
    return []


def shop_rule(text: str) -> Rule:
    """The only rule of the shop; `text` is its keys beyond the id."""
    body = "\n".join("    " + line for line in dedent(text).strip().splitlines())
    return loaded(f"{SHOP}rules:\n  - id: r\n{body}\n").rules[0]


def shop_problems(text: str) -> list[str]:
    body = "\n".join("    " + line for line in dedent(text).strip().splitlines())
    return [line.split(": ", 1)[1] for line in problems(f"{SHOP}rules:\n  - id: r\n{body}\n")]
