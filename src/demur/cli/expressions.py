"""`demur policy eval`: one expression over given values, or many, one per line.

An answer is `{"value": ...}`, `{"unknown": [names]}` or `{"error": {...}}`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from demur.cli import streams, terminal
from demur.cli.exits import ExitCode
from demur.errors import DemurError, IntakeError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

    from demur.core.cel import Result
    from demur.ports import Zones

_MEMBERS = {"expr", "bind", "unknown"}


def evaluate_one(text: str, facts: Path | None, unknown: list[str], *, as_json: bool) -> None:
    """Evaluate one expression and print what it gives."""
    from demur import wiring

    answer = _document(_evaluate(text, terminal.read_mapping(facts), unknown, wiring.zones()))
    if as_json:
        terminal.write_json(answer)
    else:
        terminal.console().print(_in_words(answer))
    if "error" in answer:
        raise typer.Exit(ExitCode.INPUT)


def evaluate_lines() -> None:
    """Answer each line of standard input, `{"expr": ..., "bind": {...}}` with an optional `unknown` list of names."""
    from demur import wiring

    zones = wiring.zones()
    for number, line in streams.lines():
        try:
            answer = _document(_evaluate(*_question(streams.decoded(line)), zones))
        except DemurError as error:
            answer = streams.failure(error, number)
        terminal.write_json(answer)


def _evaluate(text: str, bind: Mapping[str, object], unknown: Collection[str], zones: Zones) -> Result:
    from demur.core import cel

    return cel.adhoc(text, bind, zones, unknown=unknown)


def _question(document: object) -> tuple[str, Mapping[str, object], list[str]]:
    match document:
        case {"expr": str(text), **rest} if rest.keys() <= _MEMBERS:
            bind, unknown = rest.get("bind", {}), rest.get("unknown", [])
        case _:
            raise IntakeError("", expected='`{"expr": text, "bind": {...}, "unknown": [...]}`', found="something else")
    if not isinstance(bind, dict):
        raise IntakeError("/bind", expected="an object of names and values", found="something else")
    if not isinstance(unknown, list) or not all(isinstance(name, str) for name in unknown):
        raise IntakeError("/unknown", expected="a list of names", found="something else")
    return text, bind, unknown


def _document(result: Result) -> dict[str, object]:
    import msgspec

    from demur.core import cel

    match result:
        case cel.Unknown():
            return {"unknown": list(result.paths)}
        case cel.Fault():
            return {"error": {"message": result.message}}
        case _:
            return {"value": msgspec.Raw(cel.json_text(result).encode())}


def _in_words(answer: dict[str, object]) -> str:
    import msgspec

    match answer:
        case {"unknown": list(names)}:
            return f"unknown: {', '.join(names)}"
        case {"error": {"message": str(message)}}:
            return f"failed: {message}"
        case {"value": value}:
            return msgspec.json.encode(value).decode()
        case _:
            return str(answer)
