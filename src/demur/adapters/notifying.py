"""Carries out, after the answer has left, what refusals and deferrals oblige Demur to: telling channels, and logging.

A channel is a name that policies use (`{type: notify, properties: {to: security-desk}}`) and the URLs that it stands
for, in the form of Apprise (https://github.com/caronc/apprise): `mailto://`, `slack://`, `json://` and the like.

- It runs in the observer's thread, with the observer's bounded queue: no answer waits for a channel or depends on one.
- Each URL is tried a few times. One that still fails is counted and said at level error; the record of the decision,
  with its obligations, is in the ledger in any case.
- A notice names the action, the rule and the record, and nobody: no subject, no argument, no value of a fact.
- Where no channel is configured at all, notices are left to other subscribers.

Clauses: S3.5. Needs the extra `notify` where there are channels.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

import msgspec

from demur.core import duty
from demur.core.duty import Level, Log, Notify
from demur.errors import ConfigurationError

if TYPE_CHECKING:
    from demur.core.duty import Duty
    from demur.ports import Observer

REFUSAL = "governance.refusal"
ATTEMPTS = 3
PAUSE_SECONDS = 0.5
"""Before the second attempt; twice as long before each further one."""
TIMEOUT_SECONDS = 10.0
"""For one attempt at one URL."""
MAX_NAME = 128

_LEVELS = {
    Level.LOW: logging.INFO,
    Level.MEDIUM: logging.WARNING,
    Level.HIGH: logging.ERROR,
    Level.CRITICAL: logging.CRITICAL,
}
_KINDS = {Level.LOW: "info", Level.MEDIUM: "warning", Level.HIGH: "failure", Level.CRITICAL: "failure"}
_log = logging.getLogger("demur.duties")


class Notice(msgspec.Struct, frozen=True):
    """What a channel is told."""

    title: str
    body: str
    level: Level


Send: TypeAlias = Callable[[Notice], bool]
"""Delivers a notice to one URL; whether it arrived. May raise `OSError`."""
Opener: TypeAlias = Callable[[str], Send | None]
"""A URL as something to send to; `None` for one that is not understood."""


class Carried(msgspec.Struct, frozen=True):
    """What became of the obligations so far. `left` are notices without any channel configured."""

    sent: int = 0
    failed: int = 0
    logged: int = 0
    left: int = 0


class Notifier:
    """A subscriber that carries out obligations. `attach` it to an observer; attaching again changes nothing."""

    def __init__(
        self,
        channels: Mapping[str, Sequence[str]],
        *,
        opener: Opener | None = None,
        pause: Callable[[float], object] = time.sleep,
    ) -> None:
        """Raises `ConfigurationError` for a URL that is not understood, and where Apprise is not installed."""
        self._channels = {name: _opened(name, urls, opener or open_apprise) for name, urls in channels.items()}
        self._pause = pause
        self._lock = threading.Lock()
        self._is_attached = False
        self._carried = Carried()

    @property
    def carried(self) -> Carried:
        return self._carried

    def attach(self, observer: Observer) -> None:
        """Listen from now on."""
        with self._lock:
            was_attached, self._is_attached = self._is_attached, True
        if not was_attached:
            observer.subscribe(self)

    def __call__(self, event: Mapping[str, object]) -> None:
        """Carry out what the answer in this event obliges us to."""
        if event.get("type") != REFUSAL:
            return
        context = _member(_member(event, "data"), "context")
        duties = _duties(_member(context, "refusal"))
        if duties:
            told = _told(context)
            # Lines first: they cannot hang, channels can.
            for item in sorted(duties, key=lambda one: isinstance(one, Notify)):
                self._carry_out(item, told)

    def _carry_out(self, item: Duty, told: str) -> None:
        match item:
            case Log():
                _log.log(_LEVELS[item.level], "%s (obligation %s)", told, item.id)
                self._count(logged=1)
            case Notify():
                self._notify(item, told)

    def _notify(self, item: Notify, told: str) -> None:
        if not self._channels:
            self._count(left=1)
            return
        urls = self._channels.get(item.channel, ())
        if not urls:
            self._fail(item, f"no channel `{_plain(item.channel)}` is configured")
        notice = Notice(told, f"{told}\nobligation: {item.id}", item.level)
        for place, send in enumerate(urls, 1):
            is_sent = False
            try:
                is_sent = self._try(send, notice)
            finally:  # also where a channel's own code breaks: the observer's guard ends that, this counts it
                if is_sent:
                    self._count(sent=1)
                else:
                    self._fail(item, f"URL {place} of the channel `{_plain(item.channel)}` took nothing")

    def _try(self, send: Send, notice: Notice) -> bool:
        for attempt in range(ATTEMPTS):
            if attempt:
                self._pause(PAUSE_SECONDS * 2 ** (attempt - 1))
            try:
                if send(notice):
                    return True
            except OSError:
                continue
        return False

    def _fail(self, item: Notify, why: str) -> None:
        self._count(failed=1)
        _log.error("the obligation %s could not be carried out: %s", item.id, why)

    def _count(self, *, sent: int = 0, failed: int = 0, logged: int = 0, left: int = 0) -> None:
        with self._lock:
            now = self._carried
            self._carried = Carried(now.sent + sent, now.failed + failed, now.logged + logged, now.left + left)


def _opened(name: str, urls: Sequence[str], opener: Opener) -> tuple[Send, ...]:
    if isinstance(urls, str) or not urls:
        raise ConfigurationError(f"expected a list of URLs for the channel `{name}`, found none")
    found: list[Send] = []
    for place, url in enumerate(urls, 1):
        send = opener(url)
        if send is None:
            # The URL itself is not said: it holds the credential of the channel.
            message = (
                f"expected a URL that Apprise understands as number {place} of the channel `{name}`, found another"
            )
            raise ConfigurationError(message, hint="see https://appriseit.com/services/")
        found.append(send)
    return tuple(found)


def open_apprise(url: str) -> Send | None:
    """A URL as something to send to; `None` where Apprise does not understand it. Raises `ConfigurationError`."""
    try:
        import apprise  # noqa: PLC0415  (an extra, loaded only where a channel is configured)
    except ImportError as error:
        message = "expected Apprise for the channels of obligations, found none installed"
        raise ConfigurationError(message, hint="pip install 'demur[notify]'") from error
    service = apprise.Apprise()
    if not service.add(url):
        return None

    def send(notice: Notice) -> bool:
        return bool(
            service.notify(
                body=notice.body,
                title=notice.title,
                notify_type=_KINDS[notice.level],
                body_format=apprise.NotifyFormat.TEXT,
                timeout=TIMEOUT_SECONDS,
            )
        )

    return send


def _duties(refusal: Mapping[str, object]) -> list[Duty]:
    obligations = refusal.get("obligations")
    listed = obligations if isinstance(obligations, list) else []
    found = (duty.read(item) for item in listed if isinstance(item, dict))
    return [item for item in found if item is not None]


def _told(context: Mapping[str, object]) -> str:
    """One line on the answer: outcome, action, rule and record."""
    refusal = _member(context, "refusal")
    reason = _member(refusal, "refusal_reason")
    action = _member(refusal, "refused_action").get("name")
    rule = reason.get("policy_reference") or reason.get("category")
    return (
        f"{_plain(context.get('outcome'))}: {_plain(action)}, {_plain(rule)}, record {_plain(context.get('audit_id'))}"
    )


def _member(mapping: Mapping[str, object], name: str) -> Mapping[str, object]:
    found = mapping.get(name)
    return found if isinstance(found, dict) else {}


def _plain(value: object) -> str:
    """Short and on one line, whatever a caller put into a name."""
    text = "".join(sign if sign.isprintable() else "?" for sign in str(value))
    return text if len(text) <= MAX_NAME else text[:MAX_NAME] + "..."
