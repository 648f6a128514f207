"""Policies: what is in force and was, proposals that wait, what each would change, their tests, and who decides.

Who may propose, approve and take back is what the routes say; this page only shows it and asks them.

Clauses: S3.7, S12.
"""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import TYPE_CHECKING

from demur.console import rules
from demur.console.page import Page
from demur.core.access import Act
from demur.errors import IntakeError, PolicyError
from demur.evaluation import scenarios
from demur.server.problems import NotFoundError
from demur.server.routes import policies as routes
from demur.steps import searching
from demur.wiring import drafts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.responses import Response

    from demur.console.page import Visit
    from demur.core.policy.document import Documents
    from demur.errors import Problem
    from demur.evaluation.scenarios import Verdict
    from demur.wiring.drafts import Proposed

HOME = "/desk/policies"
HISTORY = frozenset({"policy_activated", "policy_proposed"})
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
MAX_RULES = 200
"""Rules of one version that a page shows."""


async def policies(visit: Visit) -> Response:
    """The version in force, proposals, and the history."""
    parts, digest = visit.parts, visit.gate.policy_version
    waiting = await visit.run(lambda: _waiting(visit))
    past, lowest = await visit.run(lambda: searching.history(parts.world.store, HISTORY))
    active = await visit.run(lambda: _documents(visit, digest))
    return visit.show(
        "policies.html",
        digest=digest,
        rules=len(active.rules),
        actions=sorted(active.schema.actions),
        waiting=[one for one in waiting if one.digest != digest],
        past=past,
        lowest=lowest,
        may_propose=visit.may(Act.POLICY_PROPOSE),
        may_activate=visit.may(Act.POLICY_ACTIVATE),
        may_try=visit.may(Act.EXPLAIN),
    )


async def version(visit: Visit) -> Response:
    """One version: what it changes against another, or every rule of it."""
    return await _shown(visit)


async def run_tests(visit: Visit) -> Response:
    """The same page with what the tests of the version gave."""
    folder = await visit.run(lambda: drafts.folder_of(visit.parts, _digest(visit)))
    if folder is None:
        raise NotFoundError("expected a version whose documents are kept here, found one without")
    try:
        verdicts = await visit.run(lambda: list(scenarios.run_within(folder)))
    except PolicyError as error:
        return await _shown(visit, problems=readable(error.problems, folder))
    return await _shown(visit, verdicts=verdicts)


async def draft(visit: Visit) -> Response:
    """The documents in force, to be changed and proposed."""
    base = visit.query("from") or visit.gate.policy_version
    folder = await visit.run(lambda: drafts.folder_of(visit.parts, base)) if _DIGEST.fullmatch(base) else None
    files = await visit.run(lambda: drafts.texts(folder)) if folder else {}
    return visit.show("draft.html", files=list(files.items()), problems=(), base=base)


async def propose(visit: Visit) -> Response:
    """Keep a proposal for somebody else to put in force; with problems the same form again."""
    files = _files(visit)
    asked = dataclasses.replace(visit, body=routes.Proposal(files=files))
    try:
        told = await routes.propose(asked)
    except PolicyError as error:
        problems = readable(error.problems, None)
        return visit.show("draft.html", status=422, files=list(files.items()), problems=problems, base="")
    assert isinstance(told, routes.Version)
    return visit.back(f"{HOME}/{told.policy_version}", did="proposed")


async def activate(visit: Visit) -> Response:
    """Put a proposal in force, unless it is one's own."""
    await routes.activate(dataclasses.replace(visit, body=routes.Version(policy_version=_digest(visit))))
    return visit.back(HOME, did="activated")


async def roll_back(visit: Visit) -> Response:
    """Put in force again what was before."""
    await routes.roll_back(visit)
    return visit.back(HOME, did="rolled_back")


async def _shown(
    visit: Visit, *, verdicts: Sequence[Verdict] | None = None, problems: Sequence[Problem] = ()
) -> Response:
    digest, active = _digest(visit), visit.gate.policy_version
    other = visit.query("against") or active
    if not _DIGEST.fullmatch(other):
        raise IntakeError("?against", expected="the digest of policies", found=f"`{other[:40]}`")
    new = await visit.run(lambda: _documents(visit, digest))
    old = new if other == digest else await visit.run(lambda: _documents(visit, other))
    waiting = (
        await visit.run(lambda: drafts.listed(visit.parts, visit.identity.author)) if visit.parts.settings.home else ()
    )
    proposal = next((one for one in waiting if one.digest == digest), None)
    return visit.show(
        "version.html",
        title="Policies",
        digest=digest,
        is_active=digest == active,
        other=other,
        rules=[
            {"id": rule.id, "effect": rule.effect.value, "lines": rules.text_of(rule)} for rule in new.rules[:MAX_RULES]
        ],
        count=len(new.rules),
        changes=await visit.run(lambda: rules.differences(old, new)) if other != digest else [],
        verdicts=verdicts,
        failed=[one for one in verdicts or () if not one.passed],
        problems=problems,
        proposal=proposal,
        may_activate=visit.may(Act.POLICY_ACTIVATE),
        may_propose=visit.may(Act.POLICY_PROPOSE),
    )


def _waiting(visit: Visit) -> tuple[Proposed, ...]:
    """The proposals that wait; a gate in memory keeps none."""
    return drafts.listed(visit.parts, visit.identity.author) if visit.parts.settings.home else ()


def _documents(visit: Visit, digest: str) -> Documents:
    found = drafts.documents(visit.parts, digest)
    if found is None:
        raise NotFoundError("expected the digest of policies that were in force or proposed, found another")
    return found


def _digest(visit: Visit) -> str:
    text = visit.path("digest")
    if not _DIGEST.fullmatch(text):
        raise NotFoundError("expected the digest of policies, found something else")
    return text


def _files(visit: Visit) -> dict[str, str]:
    """The files of the form; one whose text is empty is left out, as is the empty one at the end."""
    names, texts = visit.every("name"), visit.every("text")
    if len(names) != len(texts):
        raise IntakeError("/name", expected="a name for each text", found=f"{len(names)} for {len(texts)}")
    pairs = zip(names, texts, strict=True)
    found = [(name.strip(), text.replace("\r\n", "\n")) for name, text in pairs if name.strip() and text.strip()]
    if len({name for name, _ in found}) != len(found):
        raise IntakeError("/name", expected="each name once", found="one twice")
    return dict(found)


def readable(problems: Sequence[Problem], folder: Path | None) -> list[Problem]:
    """The problems with their files as the author knows them, and not where they lie on this machine."""
    return [dataclasses.replace(one, file=_relative(one.file, folder)) for one in problems]


def _relative(name: str, folder: Path | None) -> str:
    path = Path(name)
    if folder is not None and path.is_absolute() and path.is_relative_to(folder):
        return path.relative_to(folder).as_posix()
    parts = path.parts
    drafted = next((place for place, part in enumerate(parts) if part.startswith(("new-", "demur-draft-"))), -1)
    return "/".join(parts[drafted + 1 :]) or path.name if drafted >= 0 else path.name if path.is_absolute() else name


PAGES = (
    Page(HOME, Act.POLICY_READ, policies, title="Policies", group="Policy"),
    Page(HOME + "/draft", Act.POLICY_PROPOSE, draft),
    Page(HOME + "/draft", Act.POLICY_PROPOSE, propose, method="POST"),
    Page(HOME + "/rollback", Act.POLICY_ACTIVATE, roll_back, method="POST"),
    Page(HOME + "/{digest}", Act.POLICY_READ, version),
    Page(HOME + "/{digest}/tests", Act.POLICY_READ, run_tests, method="POST"),
    Page(HOME + "/{digest}/activate", Act.POLICY_ACTIVATE, activate, method="POST"),
)
