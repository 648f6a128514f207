"""Links for one named person and one review: where they lead, and when they are good.

    review . seconds . mark        5f0c1b2a3d4e5f60.1795251899.q0Zk...

- `mark` is a digest, keyed by the log's own key, of the log, the review, the instant at which the link ends and the
  person's name. Nobody else can make one, the name does not stand in it, and nothing has to be kept to issue it.
- It is no credential: it opens a page, and the verdict there takes the login of the very person it is for (S7.4).
- It is used by that person's verdict, in the transaction that records it: a person has one verdict on a review, so a
  second use is refused, whichever replica it comes to. It ends with the deadline, and with the review.
- Whatever is wrong with one is told in the same words: forged, ended, used, or somebody else's.

Clauses: S7.3, S7.4.
"""

from __future__ import annotations

import base64
import hmac
from typing import TYPE_CHECKING

from demur.steps import ruling

if TYPE_CHECKING:
    from demur.core.review import Review
    from demur.core.terms import Timestamp
    from demur.ports import Transaction
    from demur.steps.world import World

MAX_SECONDS = 7 * 86_400
MAX_LENGTH = 200


def issue(world: World, review: Review, person: str, now: Timestamp) -> str:
    """The token of a link for this person; the same one until it ends."""
    end = min(review.deadline.seconds, review.opened_at.seconds + MAX_SECONDS)
    if now.seconds >= end:
        return ""
    return f"{review.id}.{end}.{_mark(world, review.id, end, person)}"


def find(world: World, tx: Transaction, token: str, person: str) -> Review | None:
    """The review that this link leads this person to; `None` where it is not good, for whatever reason."""
    parts = token.split(".")
    if len(token) > MAX_LENGTH or not token.isascii() or len(parts) != 3 or not parts[1].isdecimal():
        return None
    review_id, end, mark = parts[0], int(parts[1]), parts[2]
    if not hmac.compare_digest(mark, _mark(world, review_id, end, person)) or tx.now.seconds >= end:
        return None
    row = tx.find_review(review_id)
    review = None if row is None else ruling.decode(row)
    if review is None or not review.state_at(tx.now).is_open:
        return None
    mine = ruling.pseudonym(world, person)
    return None if any(mine in one.people for one in review.rulings) else review


def _mark(world: World, review_id: str, end: int, person: str) -> str:
    keyed = world.vault.blind("link", world.log, review_id, str(end), person)
    return base64.urlsafe_b64encode(keyed).decode().rstrip("=")
