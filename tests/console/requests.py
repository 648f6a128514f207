"""Actions that wait under the policies of this folder."""

from __future__ import annotations

from typing import Any


def pay(
    amount: int, *, invoice: str = "i-1001", subject: str = "bertil", account: str = "DE02", **more: Any
) -> dict[str, Any]:
    return {
        "subject": {"type": "user", "id": subject},
        "action": {"name": "pay_invoice", "properties": {"amount": amount, "account": account, **more}},
        "resource": {"type": "invoice", "id": invoice},
    }


def send(document: str, *, subject: str = "bertil", recipient: str = "ann@example.org") -> dict[str, Any]:
    return {
        "subject": {"type": "user", "id": subject},
        "action": {"name": "send_document", "properties": {"recipient": recipient}},
        "resource": {"type": "document", "id": document},
    }


def delete(record: str, *, subject: str = "bertil") -> dict[str, Any]:
    return {
        "subject": {"type": "user", "id": subject},
        "action": {"name": "delete_record", "properties": {}},
        "resource": {"type": "record", "id": record},
    }
