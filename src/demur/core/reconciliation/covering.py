"""Which actions a stop or a meter covers, as far as a leaf tells.

A leaf names patterns as tokens; one that is no token, such as `account.*`, stands there as its digest. An action is
covered where its name is listed, or the digest of a pattern that can be made of it by one `*` at an end: `*`,
`account.*`, `*.close`. Of a pattern with a `*` elsewhere a leaf cannot tell whether it covers an action.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from demur.core import evidence

if TYPE_CHECKING:
    from collections.abc import Collection


def covers(tokens: Collection[str], action: str) -> bool:
    """Whether one of the listed patterns covers the action."""
    return not _names(action).isdisjoint(tokens)


@lru_cache(maxsize=4_096)
def _names(action: str) -> frozenset[str]:
    ends = [action[:length] + "*" for length in range(len(action) + 1)]
    ends += ["*" + action[length:] for length in range(len(action) + 1)]
    return frozenset({action, *map(evidence.token, ends)})
