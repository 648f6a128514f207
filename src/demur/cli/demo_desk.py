"""How the demonstration ends: where its ledger is kept, and how to open the desk on what still waits in it.

The account is made for this: vera may see everything, and rules as a supervisor.
"""

from __future__ import annotations

import shlex
import shutil
from typing import TYPE_CHECKING

from demur.cli.serve import DEFAULT_BIND

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

REVIEWER = "vera"
PANEL = "supervisor"


def invite(say: Callable[[str], None], home: Path, story: Path, review_id: str) -> None:
    """Keep the policies beside what was recorded, make an account, and say which commands lead to the review."""
    policies = home / "policies"
    shutil.copytree(story, policies, ignore=shutil.ignore_patterns("__pycache__"))
    url = f"http://{DEFAULT_BIND}"
    say(f"demur serve --policies {shlex.quote(str(policies))} --home {shlex.quote(str(home))}")
    say(f"{url}/welcome?link={_link(home)}")
    say(f"{url}/desk/reviews/{review_id}")


def _link(home: Path) -> str:
    """A link by which the reviewer chooses a password, good once and for a day."""
    from demur.core.access import Role
    from demur.steps.enrolling import LOCAL
    from demur.wiring import callers

    with callers.open_people(home) as people:
        return people.add(REVIEWER, by=LOCAL, roles=frozenset(Role) - {Role.CALLER}, panels=[PANEL])
