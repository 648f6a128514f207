"""Decision -> Remedies: what would be allowed instead, having checked.

    find      a refusal or deferral, and a way to judge again -> what is offered
    rejudge   facts, policies and changes -> the decision that the changed request would get

Repairs are looked for in the conditions of the rules in the way, and every one that is offered was judged in full.
Specified in docs/spec/remedies.md. Clauses: S9.
"""

from __future__ import annotations

from demur.core.remedy.changes import Changes, Judge, Learn, rejudge
from demur.core.remedy.find import find
from demur.core.remedy.offers import Direction, NoRemedy, OtherAction, Part, Remedies, Repair

__all__ = [
    "Changes",
    "Direction",
    "Judge",
    "Learn",
    "NoRemedy",
    "OtherAction",
    "Part",
    "Remedies",
    "Repair",
    "find",
    "rejudge",
]
