"""What the facts are read from: the parts of a bank account and of a workspace that matter here.

AgentDojo's environments have these fields; so would the systems of a real host.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping, Sequence


class Transaction(Protocol):
    """A payment, made or to be made."""

    id: int
    sender: str
    recipient: str
    amount: float
    subject: str
    date: str


class Account(Protocol):
    """A bank account; in its transactions the owner is `me` or the account's own number."""

    balance: float
    iban: str
    transactions: Sequence[Transaction]
    scheduled_transactions: Sequence[Transaction]


class Filesystem(Protocol):
    """Texts by file name."""

    files: Mapping[str, str]


class Bank(Protocol):
    """What a banking assistant works with."""

    bank_account: Account
    filesystem: Filesystem


class Email(Protocol):
    """An email, sent or received."""

    id_: str
    sender: str
    recipients: Sequence[str]
    cc: Sequence[str]
    bcc: Sequence[str]
    subject: str
    body: str
    timestamp: dt.datetime


class Contact(Protocol):
    """An entry of the address book."""

    email: str
    name: str


class Inbox(Protocol):
    """Emails by id, and the address book that they have filled."""

    account_email: str
    emails: Mapping[str, Email]
    contact_list: Sequence[Contact]


class Event(Protocol):
    """An entry of the calendar."""

    id_: str
    title: str
    description: str
    start_time: dt.datetime
    participants: Sequence[str]


class Calendar(Protocol):
    """Events by id, and the day it is."""

    current_day: dt.date
    events: Mapping[str, Event]


class File(Protocol):
    """A file of the drive; `shared_with` has the address of each reader."""

    id_: str
    filename: str
    content: str
    owner: str
    size: int
    last_modified: dt.datetime
    shared_with: Mapping[str, object]


class Drive(Protocol):
    """Files by id."""

    files: Mapping[str, File]


class Workspace(Protocol):
    """What an office assistant works with."""

    inbox: Inbox
    calendar: Calendar
    cloud_drive: Drive
