"""`demur schema`: the JSON Schema of policy documents, for editors."""

from __future__ import annotations

import typer


def schema() -> None:
    """Print the JSON Schema of policy documents, for completion and checks in editors."""
    from demur import wiring

    typer.echo(wiring.policy_schema())
