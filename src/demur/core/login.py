"""What a person's login is worth: how long it lasts, and how often a password may be tried. Pure.

- A login ends 12 hours after it began, or 30 minutes after it was last used, whichever comes first.
- When it was last used is known to the minute: a write for every request would say no more to anybody.
- After five wrong passwords for one name each further one must wait, twice as long every time, up to 15 minutes. Names
  that nobody has are counted alike, so that waiting tells nothing.
"""

from __future__ import annotations

import msgspec

from demur.core.terms import Timestamp
from demur.errors import AccessError

ABSOLUTE_SECONDS = 12 * 3_600
IDLE_SECONDS = 30 * 60
COARSE_SECONDS = 60
LINK_SECONDS = 24 * 3_600
"""How long a one-time link for choosing a password is good for."""
MAX_LOGINS = 10_000
FREE_TRIES = 5
MAX_WAIT_SECONDS = 15 * 60
MIN_PASSWORD, MAX_PASSWORD = 12, 1_024
"""Characters of a password (NIST SP 800-63B: length matters, composition does not)."""


class Login(msgspec.Struct, frozen=True, kw_only=True):
    """One login of one person: `digest` is the SHA-256 of its credential."""

    digest: bytes
    person: str
    opened_at: Timestamp
    seen_at: Timestamp

    @property
    def expires_at(self) -> Timestamp:
        """When it ends if it is not used again."""
        return min(self.opened_at.plus(ABSOLUTE_SECONDS), self.seen_at.plus(IDLE_SECONDS))

    def is_open(self, now: Timestamp) -> bool:
        """Whether it has not ended."""
        return now < self.expires_at

    def is_due(self, now: Timestamp) -> bool:
        """Whether that it is used is worth a write."""
        return now >= self.seen_at.plus(COARSE_SECONDS)


def with_login(logins: tuple[Login, ...], fresh: Login, now: Timestamp) -> tuple[Login, ...]:
    """The logins that have not ended, and one more, in the place of one with the same credential.

    Raises `AccessError` where there are too many.
    """
    rest = tuple(item for item in logins if item.is_open(now) and item.digest != fresh.digest)
    if len(rest) >= MAX_LOGINS:
        raise AccessError(f"expected at most {MAX_LOGINS} logins at a time, found as many already")
    return (*rest, fresh)


def without(logins: tuple[Login, ...], *, digest: bytes = b"", person: str = "") -> tuple[Login, ...]:
    """The logins without that of this credential, or those of this person."""
    return tuple(item for item in logins if item.digest != digest and item.person != person)


def wait_seconds(failures: int) -> int:
    """How long after so many failures in a row the next try must wait."""
    if failures < FREE_TRIES:
        return 0
    return int(min(MAX_WAIT_SECONDS, 2 ** min(failures - FREE_TRIES, 20)))


def check_password(password: str) -> None:
    """Raises `AccessError` where a password is too short to be one, or too long to be hashed for everybody who asks."""
    if not MIN_PASSWORD <= len(password) <= MAX_PASSWORD:
        raise AccessError(
            f"expected a password of {MIN_PASSWORD} to {MAX_PASSWORD} characters, found {len(password)}",
            hint="a few words in a row are easy to keep and hard to guess",
        )
