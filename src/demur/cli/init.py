"""`demur init`: a starting folder for another domain, which passes its own tests from the first minute."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from demur.cli.terminal import JsonOption, write_json
from demur.errors import ConfigurationError

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

PLACEHOLDER = "your-domain"
"""Stands in the files for the name of the domain."""


def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder to create; it must be empty or absent.")],
    name: Annotated[str, typer.Option("--name", help="The namespace of the rules; default: the folder's name.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Write a starting folder for a domain: actions, facts, rules and their test cases."""
    namespace = _namespace(name or folder.resolve().name)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigurationError(f"expected an empty folder, found something in `{folder}`", hint="choose another name")
    written = list(_copy(files("demur.cli") / "starter", folder, namespace))
    if as_json:
        write_json({"namespace": namespace, "files": [path.as_posix() for path in written]})
        return
    for path in written:
        typer.echo(f"wrote {path}")
    typer.echo(f"now try: demur policy test {folder}")


def _namespace(name: str) -> str:
    """The name as a namespace: lower case, with hyphens for what a namespace cannot hold."""
    namespace = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    if not namespace:
        hint = "name it yourself: `--name helpdesk`"
        raise ConfigurationError(f"expected a name with latin letters or digits, found `{name}`", hint=hint)
    return namespace[:64]


def _copy(source: Traversable, target: Path, namespace: str) -> list[Path]:
    """Copy a folder of the package, in name order, with the namespace filled in."""
    target.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []
    for entry in sorted(source.iterdir(), key=lambda entry: entry.name):
        path = target / entry.name
        if entry.is_dir():
            written += _copy(entry, path, namespace)
        else:
            path.write_text(entry.read_text(encoding="utf-8").replace(PLACEHOLDER, namespace), encoding="utf-8")
            written.append(path)
    return written
