"""A browser that reaches our own service alone and holds everything against a page that a reader would not see.

A `Visit` is one person's window: a browser context of its own with its own cookie. Errors of scripts, messages of the
console, violations of the content security policy, dialogs and requests to other hosts are written down; a test ends by
asking that there were none.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Dialog, Page, Request, Route, sync_playwright

from tests.browser.house import House, Person

PHONE, DESK = {"width": 390, "height": 844}, {"width": 1280, "height": 900}
TIMEOUT = 10_000
"""Milliseconds after which what a page should show is missing."""
_REPORTS = """
document.addEventListener('securitypolicyviolation', (event) =>
  console.error('csp: ' + event.violatedDirective + ' ' + event.blockedURI + ' ' + event.sourceFile));
"""
_TOO_WIDE = """
() => {
  const room = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth <= room) return [];
  const isCut = (element) => element && (getComputedStyle(element).overflowX !== 'visible' || isCut(element.parentElement));
  const sticksOut = (element) => element.getBoundingClientRect().right > room + 1;
  const all = [...document.querySelectorAll('body *')].filter(sticksOut);
  const free = all.filter((element) => !isCut(element.parentElement));
  const found = (free.length ? free : all).filter((element) => ![...element.children].some(sticksOut));
  return [`${document.documentElement.scrollWidth} wide`, ...found.slice(0, 8).map((element) => element.outerHTML.slice(0, 200))];
}
"""


def executable() -> str:
    """Where chromium lies, "" where there is none."""
    named = os.environ.get("DEMUR_CHROMIUM", "")
    return named or shutil.which("chromium") or shutil.which("chromium-browser") or ""


@contextmanager
def browser() -> Iterator[Browser]:
    """A chromium without a window."""
    with sync_playwright() as playwright:
        # The sandbox of chromium does not start for root, nor in most containers; what it opens here is our own.
        opened = playwright.chromium.launch(
            executable_path=executable(), args=["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]
        )
        try:
            yield opened
        finally:
            opened.close()


@dataclass
class Visit:
    """One person's window on a house."""

    house: House
    context: BrowserContext
    page: Page
    faults: list[str] = field(default_factory=list)
    """What went wrong on any page, in order."""
    expected: list[str] = field(default_factory=list)
    """Beginnings of faults that the test brings about."""

    def go(self, path: str) -> int:
        """Open a page of the house; the status of its answer."""
        answer = self.page.goto(self.house.url + path)
        assert answer is not None
        return answer.status

    def log_in(self, person: Person, *, to: str = "/login") -> None:
        """Log in as a person would, by the form."""
        self.go(to)
        page = self.page
        page.get_by_label("Tenant").fill(person.tenant)
        page.get_by_label("Name").fill(person.name)
        page.get_by_label("Password").fill(person.password)
        page.get_by_role("button", name="Log in", exact=True).click()
        page.wait_for_url(lambda url: urlsplit(url).path != "/login")

    def enter(self, person: Person) -> None:
        """Be logged in as this person, without the form."""
        value, url = self.house.credential(person), self.house.url
        self.context.add_cookies(
            [{"name": "demur", "value": value, "url": url, "httpOnly": True, "sameSite": "Strict"}]
        )

    @property
    def path(self) -> str:
        """Where the window is: path and query."""
        parts = urlsplit(self.page.url)
        return parts.path + (f"?{parts.query}" if parts.query else "")

    def too_wide(self) -> list[str]:
        """The innermost elements that make the page wider than the window."""
        found: list[str] = self.page.evaluate(_TOO_WIDE)
        return found

    def check(self) -> None:
        """Nothing went wrong behind what the test looked at."""
        left = [fault for fault in self.faults if not any(fault.startswith(known) for known in self.expected)]
        assert left == []


@contextmanager
def visiting(opened: Browser, house: House, **options: Any) -> Iterator[Visit]:
    """A window of its own; options are those of a browser context."""
    context = opened.new_context(**{"viewport": DESK, "locale": "en-GB", "reduced_motion": "reduce", **options})
    context.set_default_timeout(TIMEOUT)
    try:
        visit = Visit(house, context, context.new_page())
        _Watch(visit)
        yield visit
    finally:
        context.close()


class _Watch:
    """Writes down what goes wrong in the pages of one visit."""

    def __init__(self, visit: Visit) -> None:
        self._own = urlsplit(visit.house.url).netloc
        self._faults = visit.faults
        visit.context.route("**/*", self._guard)
        visit.context.on("console", self._told)
        visit.context.on("page", self._opened)
        visit.context.add_init_script(_REPORTS)
        self._opened(visit.page)

    def _opened(self, page: Page) -> None:
        page.on("pageerror", lambda error: self._faults.append(f"script: {error}"))
        page.on("requestfailed", self._failed)
        page.on("dialog", self._asked)

    def _guard(self, route: Route) -> None:
        # Whatever a page asks of another host is a fault, and does not leave this machine.
        if urlsplit(route.request.url).netloc == self._own:
            route.continue_()
        else:
            self._faults.append(f"request to another host: {route.request.url}")
            route.abort()

    def _told(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"} and not _is_expected(message):
            self._faults.append(f"{message.type}: {message.text}")

    def _failed(self, request: Request) -> None:
        # A stream that its page left, and what a redirect cut off, is not a fault.
        if request.failure not in {"net::ERR_ABORTED", None}:
            self._faults.append(f"request failed: {request.url}: {request.failure}")

    def _asked(self, dialog: Dialog) -> None:
        self._faults.append(f"dialog: {dialog.message}")
        dialog.dismiss()


def _is_expected(message: ConsoleMessage) -> bool:
    """Chromium repeats the status of an answer as an error, and htmx a request that a newer one took the place of."""
    known = (
        "Failed to load resource: the server responded with a status of 4",
        "htmx:sendAbort",
        "htmx:afterRequest",
    )
    return message.text.startswith(known)
