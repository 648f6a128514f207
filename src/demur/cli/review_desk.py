"""`demur review take` and its like: who has a review in hand, and who stands in for whom.

Each takes the person's own credential, from a file or a hidden prompt. One process owns a home, so these write while no
gate runs on it; a running gate has the same as methods, and a service as routes (S11.1).
"""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Annotated

import typer

from demur.cli import terminal
from demur.cli.bounds import read_seconds
from demur.cli.review import CredentialOption, ReasonOption, ReviewArgument, read_credential
from demur.cli.terminal import HomeOption, JsonOption
from demur.errors import ConfigurationError

if TYPE_CHECKING:
    from demur.core.review import Review

ForOption = Annotated[str, typer.Option("--for", metavar="DURATION", help="How long, such as `15m`; at most a day.")]
ToOption = Annotated[str, typer.Option("--to", metavar="NAME", help="Somebody who may rule on it.")]


def take(
    home: HomeOption,
    review_id: ReviewArgument,
    length: ForOption = "15m",
    credential_file: CredentialOption = None,
    as_json: JsonOption = False,
) -> None:
    """Hold a review for a while, so that nobody else rules on it; again, to hold it longer."""
    from demur import wiring

    seconds, secret = read_seconds("--for", length), read_credential(credential_file)
    with wiring.desk(home) as gate:
        _show(gate.take(review_id, credential=secret, seconds=seconds), as_json=as_json)


def release(
    home: HomeOption, review_id: ReviewArgument, credential_file: CredentialOption = None, as_json: JsonOption = False
) -> None:
    """Give a review back. Operators do it for somebody else, too."""
    from demur import wiring

    secret = read_credential(credential_file)
    with wiring.desk(home) as gate:
        _show(gate.give_back(review_id, credential=secret), as_json=as_json)


def assign(
    home: HomeOption,
    review_id: ReviewArgument,
    to: ToOption,
    length: ForOption = "15m",
    reason: Annotated[str, typer.Option("--reason", help="Why it is theirs; the auditor will read it.")] = "",
    credential_file: CredentialOption = None,
    as_json: JsonOption = False,
) -> None:
    """Give a review to somebody. Of one that is held: its holder, and operators."""
    from demur import wiring

    seconds, secret = read_seconds("--for", length), read_credential(credential_file)
    with wiring.desk(home) as gate:
        _show(gate.assign(review_id, to=to, credential=secret, seconds=seconds, reason=reason), as_json=as_json)


def delegate(
    home: HomeOption,
    to: Annotated[str, typer.Option("--to", metavar="NAME", help="Who rules in your place.")],
    until: Annotated[str, typer.Option("--until", metavar="TIME", help="RFC 3339, at most 90 days ahead.")],
    reason: ReasonOption,
    roles: Annotated[
        list[str] | None, typer.Option("--role", help="A role of yours; may be given again. Left out: all of them.")
    ] = None,
    credential_file: CredentialOption = None,
    as_json: JsonOption = False,
) -> None:
    """Lend your roles to somebody until an instant. Your conflicts of interest become theirs."""
    from demur import wiring
    from demur.core.terms import parse_timestamp

    try:
        end = parse_timestamp(until)
    except ValueError as error:
        raise ConfigurationError(f"`--until`: {error}") from error
    secret = read_credential(credential_file)
    with wiring.desk(home) as gate:
        lent = gate.delegate(to=to, until=end, roles=roles or (), credential=secret, reason=reason)
    told = {"delegation_id": lent.id, "roles": list(lent.roles), "until": str(lent.until)}
    if as_json:
        terminal.write_json(told)
    else:
        typer.echo(f"{lent.id}: {', '.join(lent.roles)}, until {lent.until}")


def delegations(home: HomeOption, as_json: JsonOption = False) -> None:
    """List who rules in whose place. Reads only, also while a gate runs."""
    from demur import wiring

    with closing(wiring.open_reader(home)) as reader:
        found = reader.delegations()
    for one in found:
        if as_json:
            terminal.write_json(one)
        else:
            roles = one["roles"]
            named = ", ".join(roles) if isinstance(roles, list) else ""
            who = f"{one.get('delegate', '(erased)')} for {one.get('lender', '(erased)')}"
            typer.echo(f"{one['delegation_id']}  {who}: {named}, until {one['until']}")
    if not found and not as_json:
        typer.echo("nobody rules in anybody's place")


def end_delegation(
    home: HomeOption,
    delegation_id: Annotated[str, typer.Argument(metavar="DELEGATION", help="The id of the delegation.")],
    reason: ReasonOption,
    credential_file: CredentialOption = None,
) -> None:
    """End a delegation before its time: either of the two, and operators."""
    from demur import wiring

    secret = read_credential(credential_file)
    with wiring.desk(home) as gate:
        gate.end_delegation(delegation_id, credential=secret, reason=reason)
    typer.echo(f"ended: {delegation_id}")


def _show(review: Review, *, as_json: bool) -> None:
    told = {"review_id": review.id, "status": review.state.value, "held_until": str(review.held_until or "")}
    if as_json:
        terminal.write_json(told)
    else:
        until = f", held until {review.held_until}" if review.held_until else ""
        typer.echo(f"{review.state.value}: {review.id}{until}")
