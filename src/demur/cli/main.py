"""The command `demur`: one file per noun beside this one; here they are joined, and errors become exit codes.

Commands import what they need when they run, so that `demur --help` and completion answer at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from typer.core import TyperGroup

from demur.cli import (
    backup,
    caller,
    decide,
    demo,
    init,
    key,
    ledger,
    ledger_checkpoint,
    ledger_export,
    ledger_reconcile,
    ledger_retain,
    lever,
    meter,
    person,
    policy,
    review,
    review_desk,
    reviewer,
    schema,
    serve,
    session,
    standing,
    store,
    subject,
    terminal,
)
from demur.cli.exits import EPILOG, of_error
from demur.errors import DemurError

if TYPE_CHECKING:
    from typing import Any

WIDTH = 100
"""Help is wrapped here on wide terminals, so that it reads well and is the same everywhere."""


class Front(TyperGroup):
    """Turns an error of Demur into its message and exit code, whichever command it came from."""

    def invoke(self, ctx: typer.Context) -> Any:  # type: ignore[override]  # noqa: ANN401  (as the library declares it)
        try:
            return super().invoke(ctx)
        except DemurError as error:
            terminal.show_error(error, as_json=terminal.wants_json(ctx))
            raise typer.Exit(of_error(error)) from error


app = typer.Typer(
    name="demur",
    cls=Front,
    help="Refusal infrastructure for AI systems: allow, deny or defer to a person, recorded before anything happens.",
    epilog=EPILOG,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": WIDTH},
)


def _show_version(value: bool) -> None:
    if value:
        from importlib.metadata import version

        typer.echo(f"demur {version('demur')}")
        raise typer.Exit


@app.callback()
def main(
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Refusal infrastructure for AI systems: allow, deny or defer to a person, recorded before anything happens."""


app.command("decide")(decide.decide)
app.command("serve")(serve.serve)
app.add_typer(policy.app, name="policy")
ledger.app.command("export")(ledger_export.export)
ledger.app.command("verifier")(ledger_export.verifier)
ledger.app.command("checkpoint")(ledger_checkpoint.checkpoint)
ledger.app.command("proof")(ledger_checkpoint.proof)
ledger.app.command("policy")(ledger_checkpoint.policy)
ledger.app.command("accept-rollback")(ledger_checkpoint.accept_rollback)
ledger.app.add_typer(ledger_checkpoint.keys, name="key")
ledger.app.command("reconcile")(ledger_reconcile.reconcile)
ledger.app.command("retain")(ledger_retain.retain)
app.add_typer(ledger.app, name="ledger")
review.app.command("take")(review_desk.take)
review.app.command("release")(review_desk.release)
review.app.command("assign")(review_desk.assign)
review.app.command("delegate")(review_desk.delegate)
review.app.command("delegations")(review_desk.delegations)
review.app.command("end-delegation")(review_desk.end_delegation)
app.add_typer(review.app, name="review")
app.add_typer(standing.app, name="standing")
app.add_typer(reviewer.app, name="reviewer")
app.add_typer(subject.app, name="subject")
app.add_typer(backup.app, name="backup")
app.add_typer(key.app, name="key")
app.add_typer(caller.app, name="caller")
app.add_typer(person.app, name="person")
app.add_typer(lever.app, name="lever")
app.add_typer(meter.app, name="meter")
app.add_typer(lever.grants, name="grant")
app.add_typer(session.app, name="session")
app.add_typer(store.app, name="store")
app.command("init")(init.init)
app.command("demo")(demo.demo)
app.command("schema")(schema.schema)
