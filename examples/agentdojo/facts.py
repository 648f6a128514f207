"""What the gate is told about a banking or a workspace assistant: the user's prompt and the state of the world.

- The host knows which prompt the user typed and owns the bank account, the inbox, the calendar and the drive. The
  model supplies the arguments of a call and nothing else; no fact below is read from what the model claims.
- Text that others wrote (bills, notices, emails, subjects of transfers) is never a request. It can support a detail,
  such as an amount, where the prompt refers to it, and only then.
- A thing is *referred to* when the prompt gives its name, most of its title, its id or its place ("the largest file").

`banking(prompt, environment)` and `workspace(prompt, environment)` return the sources that `banking/policies.yaml`
and `workspace/policies.yaml` declare: for each a function from the arguments of a call to facts.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from examples.agentdojo import reading

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from examples.agentdojo.environment import Account, Bank, Calendar, Drive, Inbox, Transaction, Workspace

    Arguments = Mapping[str, object]
    Facts = dict[str, object]
    Source = Callable[[Arguments], Facts]

SOURCES = {
    "banking": ("prompt", "documents", "account", "standing", "details"),
    "workspace": ("prompt", "people", "target"),
}
"""The names under which the sources of each suite are registered."""

MINE = "me"
"""How the history of an account names its owner."""


@dataclass(frozen=True)
class Item:
    """Something stored that a prompt can refer to. `rank` orders things of one kind; `people` are addresses in its
    fields, as opposed to addresses in its text.
    """

    kind: str
    id: str
    title: str
    text: str
    people: tuple[str, ...] = ()
    sender: str = ""
    size: int = 0
    at: str = ""


# ------------------------------------------------------------------------------------------------ what was asked


def asked(prompt: str, documents: Iterable[Item], today: dt.date | None = None) -> Facts:
    """The facts of the source `prompt`; what the documents ask for counts only where the prompt delegates to them."""
    delegated = "\n".join(item.text for item in documents) if reading.delegates(prompt) else ""
    return {
        "prompt.text": " ".join(prompt.split()),
        "prompt.words": reading.words(prompt),
        "prompt.requests": reading.requests(prompt),
        "prompt.delegated_requests": reading.requests(delegated),
        "prompt.delegated_words": reading.words(delegated),
        "prompt.accounts": reading.accounts(prompt),
        "prompt.amounts": reading.amounts(prompt),
        "prompt.percentages": reading.percentages(prompt),
        "prompt.dates": reading.dates(prompt, today),
    }


def quoted(documents: Sequence[Item]) -> Facts:
    """The facts of the source `documents`: what stands in the texts that the prompt refers to."""
    text = "\n".join(item.text for item in documents)
    return {
        "documents.accounts": reading.accounts(text),
        "documents.amounts": reading.amounts(text),
        "documents.percentages": reading.percentages(text),
    }


# ------------------------------------------------------------------------------------------------ banking


def banking(prompt: str, environment: Bank) -> dict[str, Source]:
    """The sources of the banking policies, over the bank account and the files as they are now."""
    account = environment.bank_account
    files = [Item("file", name, name, text) for name, text in environment.filesystem.files.items()]
    others = {item.title: [other.title for other in files if other is not item] for item in files}
    documents = [item for item in files if reading.singles_out(prompt, item.title, others[item.title])]
    known = _account_facts(account)
    return {
        "prompt": lambda _: asked(prompt, documents),
        "documents": lambda _: quoted(documents),
        "account": lambda _: known,
        "standing": lambda arguments: _standing(arguments, account.scheduled_transactions, prompt, documents),
        "details": lambda arguments: _details(arguments, prompt, documents),
    }


def _account_facts(account: Account) -> Facts:
    past, planned = account.transactions, account.scheduled_transactions
    own = {MINE, account.iban}
    others = [party for item in (*past, *planned) for party in (item.sender, item.recipient) if party not in own]
    paid = [item.amount for item in past if item.recipient not in own]
    return {
        "account.own": account.iban,
        "account.balance": float(account.balance),
        "account.counterparties": list(dict.fromkeys(others)),
        "account.amounts": list(dict.fromkeys(float(item.amount) for item in (*past, *planned))),
        "account.largest_payment": float(max(paid, default=0.0)),
    }


def _standing(arguments: Arguments, planned: Iterable[Transaction], prompt: str, documents: Iterable[Item]) -> Facts:
    orders = list(planned)
    found = next((item for item in orders if item.id == arguments.get("id")), None)
    texts = [prompt, *(item.text for item in documents)]
    return {
        "standing.recipient": found.recipient if found else "",
        "standing.amount": float(found.amount) if found else 0.0,
        "standing.named": found is not None and any(_means(text, found, orders) for text in texts),
    }


def _means(text: str, order: Transaction, orders: Iterable[Transaction]) -> bool:
    """The text gives the order's subject or recipient, or what no other shares: a word, the amount, the day, the id."""
    others = [other for other in orders if other is not order]
    return (
        reading.singles_out(text, order.subject, [other.subject for other in others])
        or order.recipient in reading.accounts(text)
        or (order.amount in reading.amounts(text) and all(order.amount != other.amount for other in others))
        or (order.date in reading.dates(text) and all(order.date != other.date for other in others))
        or re.search(rf"\b(?:id|number|no)\b\W{{0,6}}{order.id}(?!\w)", text, re.IGNORECASE) is not None
    )


def _details(arguments: Arguments, prompt: str, documents: Iterable[Item]) -> Facts:
    """Which arguments hold a word that stands neither in the prompt nor in a document it refers to."""
    given = re.findall(r"[^\W_]+", "\n".join([prompt, *(item.text for item in documents)]).casefold())
    return {
        "details.unexplained": [
            name
            for name, value in arguments.items()
            if isinstance(value, str) and not frozenset(re.findall(r"[^\W_]+", value.casefold())) <= frozenset(given)
        ]
    }


# ------------------------------------------------------------------------------------------------ workspace


def workspace(prompt: str, environment: Workspace) -> dict[str, Source]:
    """The sources of the workspace policies, over the inbox, the calendar and the drive as they are now."""
    today = environment.calendar.current_day
    items = [*_emails(environment.inbox), *_events(environment.calendar), *_files(environment.cloud_drive)]
    people = _people(environment)
    book = _book(environment)
    named = _named_people(prompt, people, book)
    documents = [item for item in items if _refers(prompt, item, items, named, today)]
    who = _people_facts(prompt, documents, people, named, environment.inbox.account_email)
    who["people.in_documents"] = _in_documents(documents, people)
    return {
        "prompt": lambda _: asked(prompt, documents, today),
        "people": lambda _: who,
        "target": lambda arguments: _target(arguments, prompt, items, documents),
    }


def _emails(inbox: Inbox) -> Iterator[Item]:
    for mail in inbox.emails.values():
        people = tuple(address.casefold() for address in (mail.sender, *mail.recipients, *mail.cc))
        at = mail.timestamp.isoformat()
        yield Item(
            "email", mail.id_, mail.subject, f"{mail.subject}\n{mail.body}", people, people[0], len(mail.body), at
        )


def _events(calendar: Calendar) -> Iterator[Item]:
    for event in calendar.events.values():
        people = tuple(address.casefold() for address in event.participants)
        text = f"{event.title}\n{event.description}\n{event.start_time.date()}"
        yield Item("event", event.id_, event.title, text, people, at=event.start_time.isoformat())


def _files(drive: Drive) -> Iterator[Item]:
    for file in drive.files.values():
        people = tuple(address.casefold() for address in (file.owner, *file.shared_with))
        at = file.last_modified.isoformat()
        yield Item("file", file.id_, file.filename, file.content, people, size=file.size, at=at)


def _people(environment: Workspace) -> dict[str, str]:
    """Whom the user deals with: address to name. Whoever merely wrote to the user is not among them."""
    book = _book(environment)
    inbox, calendar, drive = environment.inbox, environment.calendar, environment.cloud_drive
    own = inbox.account_email.casefold()
    known = [own]
    for mail in inbox.emails.values():
        if mail.sender.casefold() == own:
            known += [*mail.recipients, *mail.cc, *mail.bcc]
        elif mail.sender.casefold().partition("@")[2] == own.partition("@")[2]:
            known.append(mail.sender)
    for event in calendar.events.values():
        known += event.participants
    for file in drive.files.values():
        known += file.shared_with
    return {address.casefold(): book.get(address.casefold(), "") for address in known}


def _book(environment: Workspace) -> dict[str, str]:
    return {contact.email.casefold(): contact.name for contact in environment.inbox.contact_list}


def _named_people(prompt: str, people: Mapping[str, str], book: Mapping[str, str]) -> list[str]:
    """Whom the prompt names: known people by full name, or by a first name that no other surname follows; and others
    in the address book by a full name that nobody else there has.
    """
    spoken = re.findall(r"[^\W\d_]+", prompt)
    named = [address for address, name in people.items() if _is_named(spoken, _parts(address, name))]
    names = [tuple(_parts(address, name)) for address, name in {**book, **people}.items()]
    for address, name in book.items():
        parts = _parts(address, name)
        if address not in people and len(parts) > 1 and names.count(tuple(parts)) == 1:
            in_full = any(spoken[i : i + len(parts)] == parts for i in range(len(spoken)))
            named += [address] if in_full else []
    return named


def _parts(address: str, name: str) -> list[str]:
    return re.findall(r"[^\W\d_]+", name or address.partition("@")[0].title())


def _is_named(spoken: Sequence[str], parts: Sequence[str]) -> bool:
    for index, word in enumerate(spoken):
        if not parts or word.casefold() != parts[0].casefold() or not word[0].isupper():
            continue
        follower = spoken[index + 1] if index + 1 < len(spoken) else ""
        if len(parts) > 1 and follower.casefold() == parts[-1].casefold():
            return True
        if not follower[:1].isupper():
            return True
    return False


def _refers(prompt: str, item: Item, items: Sequence[Item], named: Iterable[str], today: dt.date) -> bool:
    if reading.mentions(prompt, item.title) or _id_given(prompt, item) or _placed(prompt, item, items, today):
        return True
    if item.kind == "email":
        return item.sender in reading.addresses(prompt) or (item.sender in named and "email" in reading.words(prompt))
    day, _, clock = item.at.partition("T")
    return item.kind == "event" and day in reading.dates(prompt, today) and clock[:5] in reading.times(prompt)


def _id_given(prompt: str, item: Item) -> bool:
    pattern = rf"\b{item.kind}s?\b[^.?!]{{0,20}}?\b(?:id|number|no)\b\W{{0,6}}{re.escape(str(item.id))}(?!\w)"
    return re.search(pattern, prompt, re.IGNORECASE) is not None


_PLACES: dict[str, tuple[str, str, int]] = {
    "largest": ("file", "size", -1),
    "biggest": ("file", "size", -1),
    "smallest": ("file", "size", 0),
    "newest": ("", "at", -1),
    "latest": ("", "at", -1),
    "oldest": ("", "at", 0),
    "last": ("", "at", -1),
    "first": ("", "at", 0),
}
"""Superlatives: the kind they are said of (empty: any), what they order by, which end they mean."""


def _placed(prompt: str, item: Item, items: Sequence[Item], today: dt.date) -> bool:
    for word, (kind, order, end) in _PLACES.items():
        if kind not in {"", item.kind} or not re.search(rf"\b{word}\s+(?:\w+\s+)?{item.kind}\b", prompt, re.IGNORECASE):
            continue
        ranked = sorted((other for other in items if other.kind == item.kind), key=lambda other: getattr(other, order))
        if ranked[end] is item:
            return True
    if item.kind == "event" and re.search(r"\bnext\s+(?:event|meeting|appointment)\b", prompt, re.IGNORECASE):
        ahead = [other for other in items if other.kind == "event" and other.at >= today.isoformat()]
        return min(ahead, key=lambda other: other.at, default=None) is item
    return False


def _people_facts(
    prompt: str, documents: Sequence[Item], people: Mapping[str, str], named: Sequence[str], own: str
) -> Facts:
    groups = [address for item in documents for address in item.people if address in people]
    return {
        "people.own": own.casefold(),
        "people.in_prompt": reading.addresses(prompt),
        "people.named": list(named),
        "people.in_groups": list(dict.fromkeys(groups)),
        "people.known": list(people),
        "people.senders": [item.sender for item in documents if item.kind == "email"],
    }


def _in_documents(documents: Sequence[Item], people: Mapping[str, str]) -> list[str]:
    text = "\n".join(item.text for item in documents)
    written = [address for address in people if address in reading.addresses(text)]
    return list(dict.fromkeys([*written, *_named_people(text, people, {})]))


_ID_ARGUMENTS = {"file_id": "file", "email_id": "email", "event_id": "event"}
_TITLE_ARGUMENTS = ("title", "filename")


def _target(arguments: Arguments, prompt: str, items: Sequence[Item], documents: Sequence[Item]) -> Facts:
    """What the call is about: the stored thing whose id it gives, or the thing to be made whose title it gives."""
    delegated = "\n".join(item.text for item in documents) if reading.delegates(prompt) else ""
    referred = {(item.kind, item.id) for item in documents}
    key = next(((kind, arguments[name]) for name, kind in _ID_ARGUMENTS.items() if name in arguments), None)
    title = next((str(arguments[name]) for name in _TITLE_ARGUMENTS if name in arguments), "")
    if key is not None:
        title = next((item.title for item in items if (item.kind, item.id) == key), "")
    return {
        "target.named": key in referred if key is not None else bool(reading.terms(title) & reading.terms(prompt)),
        "target.in_documents": bool(delegated) and reading.mentions(delegated, title),
        "target.attachments_named": all(
            _is_named_attachment(part, documents) for part in _list(arguments, "attachments")
        ),
        "target.reaches": _reached(arguments),
    }


def _reached(arguments: Arguments) -> list[str]:
    """Every address that the call gives something to, folded."""
    parts = [_list(arguments, name) for name in ("recipients", "cc", "bcc", "participants")]
    shared = [arguments["email"]] if "email" in arguments else []
    addresses = (address for part in (*parts, shared) for address in part)
    return list(dict.fromkeys(str(address).casefold() for address in addresses))


def _is_named_attachment(part: object, documents: Sequence[Item]) -> bool:
    """A file is known by its id, an event by its title; what is neither was not referred to."""
    match part:
        case {"type": "file", "file_id": identifier}:
            return any(item.kind == "file" and item.id == identifier for item in documents)
        case {"type": "event", "event_details": {"title": title}}:
            return any(item.kind == "event" and item.title == title for item in documents)
        case _:
            return False


def _list(arguments: Arguments, name: str) -> Sequence[object]:
    value = arguments.get(name)
    return value if isinstance(value, (list, tuple)) else ()
