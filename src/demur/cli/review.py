"""`demur review`: what waits for a person, and the person's ruling on it.

A ruling takes the reviewer's own credential, from a file or a hidden prompt. It is never taken from the environment or
a setting: those are what an agent with a shell inherits (S7.4).
"""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypedDict

import typer

from demur.cli import terminal
from demur.cli.terminal import HomeOption, JsonOption
from demur.errors import ConfigurationError, RulingError

if TYPE_CHECKING:
    from demur.core.policy.document import Narrowing
    from demur.core.review import Review, ReviewState
    from demur.steps.ruling import ReviewRequest

app = typer.Typer(help="Rule on deferred actions.", no_args_is_help=True, rich_markup_mode=None)

ReviewArgument = Annotated[str, typer.Argument(metavar="REVIEW", help="The id of the review.")]
ReasonOption = Annotated[str, typer.Option("--reason", help="Why, in a sentence; the auditor will read it.")]
CredentialOption = Annotated[
    Path | None,
    typer.Option("--credential-file", metavar="FILE", help="Holds the credential; default: a hidden prompt."),
]
AtMostOption = Annotated[
    list[str] | None, typer.Option("--at-most", metavar="ARGUMENT=BOUND", help="Approve no more of it.")
]
AtLeastOption = Annotated[
    list[str] | None, typer.Option("--at-least", metavar="ARGUMENT=BOUND", help="Approve no less of it.")
]
SetOption = Annotated[list[str] | None, typer.Option("--set", metavar="ARGUMENT=VALUE", help="Approve just this.")]
OnBehalfOption = Annotated[str, typer.Option("--on-behalf", metavar="NAME", help="In whose place you rule.")]
MAX_CREDENTIAL_BYTES = 4_096


class _More(TypedDict, total=False):
    """What a verdict may hold beside its reason."""

    narrows: tuple[Narrowing, ...]
    grant_seconds: int | None
    on_behalf: str


@app.command("list")
def list_(
    home: HomeOption,
    every: Annotated[bool, typer.Option("--all", help="Those that are decided, too.")] = False,
    as_json: JsonOption = False,
) -> None:
    """List what waits for a person, the earliest deadline first. Reads only, also while a gate runs."""
    from demur import wiring
    from demur.core.review import OPEN, ReviewState

    states = tuple(ReviewState) if every else OPEN
    with closing(wiring.open_reader(home)) as reader:
        now = reader.now()
        found = [(review, review.state_at(now)) for review in reader.reviews(states)]
    listed = [_listed(review, state) for review, state in found if state in states]
    if as_json:
        for line in listed:
            terminal.write_json(line)
    else:
        _show_list(listed)


@app.command()
def show(home: HomeOption, review_id: ReviewArgument, as_json: JsonOption = False) -> None:
    """Show one deferred action: what is asked, why it was deferred, who must decide until when."""
    from demur import wiring

    with closing(wiring.open_reader(home)) as reader:
        request = reader.review(review_id)
    if request is None:
        message = f"there is no review `{review_id[:64]}`"
        raise RulingError(message, hint="`demur review list` shows those that wait")
    if as_json:
        terminal.write_json(request.to_dict())
    else:
        _show_request(request)


@app.command()
def approve(
    home: HomeOption,
    review_id: ReviewArgument,
    reason: ReasonOption,
    at_most: AtMostOption = None,
    at_least: AtLeastOption = None,
    fixed: SetOption = None,
    length: Annotated[str, typer.Option("--for", metavar="DURATION", help="The grant lives no longer.")] = "",
    on_behalf: OnBehalfOption = "",
    credential_file: CredentialOption = None,
    as_json: JsonOption = False,
) -> None:
    """Approve a deferred action, or less of it. Asked for again it is judged again, and then allowed once.

    What an approval of less leaves is judged first. Facts from outside are not known here: where they matter, rule
    through the service.
    """
    from demur.cli import bounds

    narrows = bounds.read_narrowings(at_most or [], at_least or [], fixed or [])
    seconds = bounds.read_seconds("--for", length) if length else None
    less: _More = {"narrows": narrows, "grant_seconds": seconds, "on_behalf": on_behalf}
    _rule(home, review_id, "approve", reason, credential_file, less, as_json=as_json)


@app.command()
def reject(
    home: HomeOption,
    review_id: ReviewArgument,
    reason: ReasonOption,
    on_behalf: OnBehalfOption = "",
    credential_file: CredentialOption = None,
    as_json: JsonOption = False,
) -> None:
    """Reject a deferred action; it stays refused."""
    _rule(home, review_id, "reject", reason, credential_file, {"on_behalf": on_behalf}, as_json=as_json)


def _rule(
    home: Path,
    review_id: str,
    verdict: str,
    reason: str,
    credential: Path | None,
    more: _More,
    *,
    as_json: bool,
) -> None:
    from demur import wiring

    secret = read_credential(credential)
    with wiring.desk(home) as gate:
        after = gate.rule(review_id, verdict=verdict, reason=reason, credential=secret, **more)
    if as_json:
        terminal.write_json(_listed(after, after.state))
    else:
        typer.echo(f"{after.state.value}: {after.id}")


def read_credential(file: Path | None) -> str:
    """The credential in a file, or typed unseen; raises `ConfigurationError` where the file holds none."""
    if file is None:
        return str(typer.prompt("credential", hide_input=True, err=True))
    try:
        with file.open("rb") as source:
            raw = source.read(MAX_CREDENTIAL_BYTES + 1)
    except OSError as error:
        message = f"the credential in `{file}` cannot be read: {error.strerror}"
        raise ConfigurationError(message) from error
    text = raw.decode("utf-8", "replace").strip()
    if not text or len(raw) > MAX_CREDENTIAL_BYTES:
        raise ConfigurationError(f"expected one credential in `{file}`, found {'nothing' if not text else 'more'}")
    return text


def _listed(review: Review, state: ReviewState) -> dict[str, object]:
    return {
        "review_id": review.id,
        "status": state.value,
        "risk": review.risk,
        "opened_at": str(review.opened_at),
        "deadline": str(review.deadline),
        "timeout_action": "deny",
        "needed": [{"role": panel.role, "quorum": panel.quorum, "policy": panel.rule} for panel in review.panels],
        "rulings": [{"verdict": ruling.verdict.value, "at": str(ruling.at)} for ruling in review.rulings],
    }


def _show_list(listed: list[dict[str, object]]) -> None:
    if not listed:
        typer.echo("nothing waits for a person")
    for line in listed:
        typer.echo(f"{line['review_id']}  {line['status']}  risk {line['risk']}  until {line['deadline']}")


def _show_request(request: ReviewRequest) -> None:
    told = request.to_dict()
    lines = {
        "review": f"{request.review.id} ({request.state.value})",
        "asked for": terminal.compact(told["action_intent"]),
        "why deferred": str(told["why_deferred"]),
        "risk": request.review.risk,
        "needs": ", ".join(f"{panel.quorum} x {panel.role} ({panel.rule})" for panel in request.review.panels),
        "until": f"{request.review.deadline}, then it is denied",
        "record": request.audit_id,
    }
    terminal.show_pairs(lines)
    for one in request.precedents:
        why = f": {one.reason}" if one.reason else ""
        typer.echo(f"{one.outcome.value:8}  {one.similarity:4.0%} alike  {one.review_id}  {one.explanation}{why}")
