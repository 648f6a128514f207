"""A small shop for the flow tests: one refund action with a limit, a quota, a review and a forbid, and its gate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from demur.adapters.clock import ManualClock
from demur.core.evidence import with_checkpoint
from demur.core.terms import Timestamp, parse_timestamp
from demur.wiring import Parts, Settings, open_gate

if TYPE_CHECKING:
    from pathlib import Path

START: Timestamp = parse_timestamp("2026-11-20T09:00:00Z")
POLICY = """
demur: 1
namespace: shop
zone: Europe/Berlin
sources:
  account: {kind: python, key: [resource.type, resource.id]}
facts:
  subject.role: string
  account.frozen: {type: bool, source: account, recheck_at_redeem: true}
usage:
  refunds_today: {actions: [refund], by: [subject.id], window: {calendar: day}}
actions:
  refund:
    arguments:
      amount: {type: int, change: true}
      pin: {type: string, optional: true, secret: true}
  list: {}
  erase: {}
rules:
  - id: small-refund
    effect: permit
    actions: [refund]
    when:
      - {name: small, expr: action.amount <= 50000, explain: the amount is at most 500 EUR}
      - {name: clerk, expr: 'subject.role == "clerk"', explain: the requester is a clerk}
  - id: quota
    effect: forbid
    category: quota_exceeded
    actions: [refund]
    when:
      - {name: used-up, expr: usage.refunds_today >= 3, explain: three refunds were made today}
  - id: large-refund
    effect: review
    actions: [refund]
    when:
      - {name: large, expr: action.amount > 50000, explain: the amount is above 500 EUR}
    review: {role: manager, quorum: 1, within: 1h, risk: high}
  - id: frozen
    effect: forbid
    category: state_conflict
    actions: [refund]
    when:
      - {name: frozen, expr: account.frozen, explain: the account is frozen}
  - id: list
    effect: permit
    actions: [list]
    obligations:
      - {id: watermark, type: watermark, properties: {text: internal}}
  - id: never-erase
    effect: forbid
    category: categorical
    actions: [erase]
"""


@dataclass
class Account:
    """The account system outside: frozen or not, or down."""

    is_frozen: bool = False
    is_down: bool = False

    def __call__(self, _: object) -> dict[str, bool]:
        if self.is_down:
            message = "the account system is down"
            raise ConnectionError(message)
        return {"account.frozen": self.is_frozen}


@dataclass
class Shop:
    """An open gate with everything a test may turn."""

    parts: Parts
    clock: ManualClock
    account: Account
    manager: str
    clerk: str

    @property
    def gate(self) -> Any:
        """The gate; loosely typed, since a test looks into whichever answer it expects."""
        return self.parts.gate


def open_shop(folder: Path, *, home: Path | None = None, policy: str = POLICY) -> Shop:
    """A gate over the shop's policies; on SQLite in `home`, else in memory."""
    policies = folder / "policies"
    policies.mkdir(exist_ok=True)
    (policies / "shop.yaml").write_text(policy)
    clock, account = ManualClock(START), Account()
    parts = open_gate(Settings(policies, home, sources={"account": account}, clock=clock))
    manager = parts.book.add("mara", ["manager"])
    clerk = parts.book.add("ann", ["manager"])
    return Shop(parts, clock, account, manager, clerk)


def said(answer: Any) -> Any:
    """The answer without the checkpoint that it left with, which is the newest at that moment."""
    return with_checkpoint(answer, "")


def refund(amount: int, *, subject: str = "ann", role: str = "clerk", **more: Any) -> dict[str, object]:
    """A request for a refund, as a caller would send it."""
    pin = more.pop("pin", None)
    properties = {"amount": amount} | ({"pin": pin} if pin else {})
    return {
        "subject": {"type": "user", "id": subject, "properties": {"role": role}},
        "action": {"name": "refund", "properties": properties},
        "resource": {"type": "invoice", "id": "i-1"},
        **more,
    }


def simple(action: str) -> dict[str, object]:
    """A request for an action without arguments."""
    return {
        "subject": {"type": "user", "id": "ann", "properties": {"role": "clerk"}},
        "action": {"name": action},
        "resource": {"type": "invoice", "id": "i-1"},
    }
