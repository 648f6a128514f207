"""`demur decide`: requests in, one of three answers out for each, as a gate gives them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from demur.cli import streams, terminal
from demur.cli.exits import of_outcome
from demur.cli.terminal import FactsOption, JsonOption, PoliciesOption
from demur.core.terms import Audience
from demur.errors import ConfigurationError, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from demur.core.evidence import Answer
    from demur.core.intake import Caller
    from demur.core.policy.document import Documents
    from demur.wiring import Settings

INK = {"allow": "green", "defer": "yellow", "deny": "red", "unavailable": "magenta"}
"""Colour repeats what the word says; without colours nothing is lost."""


def decide(
    policies: PoliciesOption,
    home: Annotated[
        Path | None,
        typer.Option("--home", metavar="DIR", help="The folder of the store; default: in memory, gone at the end."),
    ] = None,
    facts: FactsOption = None,
    caller: Annotated[str, typer.Option("--caller", help="Who asks, as the host has authenticated them.")] = "local",
    audience: Annotated[Audience, typer.Option("--audience", help="For whom the answer is worded.")] = Audience.AGENT,
    locale: Annotated[str, typer.Option("--locale", help="The language of the answer (BCP 47).")] = "en",
    stream: Annotated[bool, typer.Option("--stream", help="Answer each line of standard input, in order.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Answer one request from standard input, an AuthZEN evaluation request in JSON; the exit code tells the outcome.

    With --stream every line is a request and every answer a line of JSON, in the same order; a line that is no request
    is answered by {"error": {..., "line": N}}, and the exit code is 0. Facts of sources that only a host can ask come
    from --facts, and are unknown without it.
    """
    from demur import wiring
    from demur.core.intake import Caller

    asker = Caller(id=caller)
    documents = wiring.load_policies(policies, cache=home)
    settings = wiring.Settings(policies, home, sources=_sources(documents, terminal.read_mapping(facts)))
    if home is None:
        terminal.note("no --home: the ledger is kept in memory and is gone at the end")

    def told(answer: Answer) -> dict[str, object]:
        return answer.to_dict(audience=audience, locale=locale)

    if stream:
        with wiring.open_gate(settings, documents).gate as gate:
            streams.pipeline(lambda line: gate.submit(line, caller=asker), told)
        return
    answer = _answer(settings, documents, asker)
    if as_json:
        terminal.write_json(told(answer))
    else:
        _show(answer, audience, locale)
    if code := of_outcome(answer.outcome):
        raise typer.Exit(code)


def _answer(settings: Settings, documents: Documents, caller: Caller) -> Answer:
    """The answer to the request on standard input; `unavailable` where the store cannot even be opened (S5.2)."""
    from demur import wiring
    from demur.core.refusal import unavailable

    try:
        with wiring.open_gate(settings, documents).gate as gate:
            return gate.decide(sys.stdin.buffer.read(terminal.MAX_INPUT_BYTES), caller=caller)
    except StoreError as error:
        # The answer is worded for its audience; whoever runs the command is told what is wrong with the store.
        terminal.note(f"demur: {error.diagnostics()}")
        return unavailable(str(error), now=settings.clock.now())


def _sources(documents: Documents, given: Mapping[str, object]) -> dict[str, Callable[[object], Mapping[str, object]]]:
    """Stand-ins for the sources that only a host can ask: they know what is given, and nothing else."""
    schema = documents.schema
    asked = {name for name, source in schema.sources.items() if source.kind == "python"}
    for path in given:
        declared = schema.facts.get(path)
        if declared is None or declared.source not in asked:
            hint = "claims stand in the request; static sources and detectors are asked themselves"
            raise ConfigurationError(f"expected a fact of a source of kind `python`, found `{path[:80]}`", hint=hint)
    return {name: lambda _request: given for name in asked}


def _show(answer: Answer, audience: Audience, locale: str) -> None:
    from demur.core.grant import Grant
    from demur.core.review import Deferral

    terminal.console().print(answer.outcome.value, style=f"bold {INK[answer.outcome.value]}", end="  ")
    match answer:
        case Grant():
            typer.echo(f"grant {answer.id} until {answer.expires_at}")
            terminal.show_pairs({"record": answer.audit_id, "token": answer.token})
        case Deferral():
            typer.echo(answer.refusal.explain(audience=audience, locale=locale))
            waits = f"{answer.review_id} until {answer.deadline}, then it is denied"
            terminal.show_pairs({"review": waits, "record": answer.audit_id})
        case _:
            typer.echo(answer.explain(audience=audience, locale=locale))
            reason = answer.reason_for(audience)
            why = {
                "category": reason.category.value,
                "policy": reason.policy_reference,
                "next": reason.disposition.value,
            }
            terminal.show_pairs({**why, "record": answer.audit_id})
