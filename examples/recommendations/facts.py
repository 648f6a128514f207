"""What the gate asks of the core banking system. Here it is a table; in a bank it would be a query."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from demur import Request

ACCOUNTS: dict[str, dict[str, object]] = {
    "acc-mara": {"under_regulatory_review": False, "frozen": False, "transfer_limit": 100_000, "daily_limit": 150_000},
    "acc-jonas": {"under_regulatory_review": False, "frozen": True, "transfer_limit": 500_000, "daily_limit": 500_000},
    "acc-yuki": {"under_regulatory_review": True, "frozen": False, "transfer_limit": 100_000, "daily_limit": 150_000},
}


def accounts(request: Request) -> Mapping[str, object]:
    """The state of the customer's account. One that nobody has heard of raises, so that everything is unknown."""
    account = ACCOUNTS[f"acc-{request.subject.id}"]
    return {f"account.{name}": value for name, value in account.items()}
