"""`demur schema`: the JSON Schema of policy documents, for editors."""

from __future__ import annotations

from importlib.resources import files

import typer


def schema() -> None:
    """Print the JSON Schema of policy documents, for completion and checks in editors."""
    typer.echo((files("demur.core.policy") / "policy.schema.json").read_text(encoding="utf-8").rstrip())
