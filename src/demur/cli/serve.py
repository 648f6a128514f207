"""`demur serve`: the gate as a service over HTTP."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from demur.cli import terminal
from demur.cli.terminal import JsonOption
from demur.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable

    from demur.server.running import Ready
    from demur.server.settings import ServerSettings

DEFAULT_BIND = "127.0.0.1:8180"
TENANT = "default"


def serve(
    config: Annotated[
        Path | None, typer.Option("--config", metavar="FILE", help="Settings in TOML: tenants, address, limits.")
    ] = None,
    policies: Annotated[
        Path | None, typer.Option("--policies", metavar="FOLDER", help="The folder of policy documents.")
    ] = None,
    home: Annotated[Path | None, typer.Option("--home", metavar="DIR", help="The folder of the store.")] = None,
    bind: Annotated[str, typer.Option("--bind", metavar="ADDRESS:PORT", help="Where to listen; port 0 is any.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Serve the gate over HTTP, in AuthZEN's words, until SIGTERM or Ctrl-C; then what is in flight is finished.

    Name either a file of settings, or the policies and the home of one tenant. On a home without callers a first API
    key is made and shown once: it may evaluate, for every subject. Where nobody may log in yet, so is a link by which
    the administrator `admin` chooses a password.
    """
    run = _runner()
    settings = _settings(config, policies, home, bind)

    def ready(told: Ready) -> None:
        url, tenants = told.url, sorted(settings.tenants)
        if as_json:
            terminal.write_json({"url": url, "tenants": tenants, "first_keys": told.keys, "first_links": _links(told)})
            sys.stdout.flush()  # whoever waits for this line reads a pipe
            return
        pages = {"desk": f"{url}/desk", "docs": f"{url}/docs"}
        terminal.show_pairs({"serving": url, "tenants": ", ".join(tenants), **pages})
        for tenant, key in told.keys.items():
            typer.echo(f"API key  {key}")
            typer.echo(f"  shown once: caller `first` of tenant `{tenant}` may evaluate, for every subject")
        for tenant, link in _links(told).items():
            typer.echo(f"password for `admin`  {link}")
            typer.echo(f"  shown once, good once and for a day: the administrator of tenant `{tenant}`")
        sys.stdout.flush()

    run(settings, ready)


def _links(told: Ready) -> dict[str, str]:
    return {tenant: f"{told.url}/welcome?link={link}" for tenant, link in told.links.items()}


def _runner() -> Callable[[ServerSettings, Callable[[Ready], None]], None]:
    """Raises `ConfigurationError` where the extra is not installed."""
    try:
        from demur.console.app import build
        from demur.server.running import run
    except ImportError as error:
        raise ConfigurationError(
            "expected the extra `server`, found that it is not installed", hint='run `pip install "demur[server]"`'
        ) from error
    return partial(run, build=build)


def _settings(config: Path | None, policies: Path | None, home: Path | None, bind: str) -> ServerSettings:
    import msgspec

    from demur.server import settings

    if config is not None:
        if policies is not None or home is not None:
            raise ConfigurationError("expected either `--config` or `--policies` and `--home`, found both")
        read = settings.read(config)
        return settings.check(msgspec.structs.replace(read, bind=bind)) if bind else read
    if policies is None or home is None:
        raise ConfigurationError(
            "expected `--config`, or `--policies` and `--home`, found neither",
            hint="demur serve --policies policies --home home",
        )
    tenant = settings.Tenant(policies=str(policies), home=str(home))
    return settings.check(settings.ServerSettings(tenants={TENANT: tenant}, bind=bind or DEFAULT_BIND))
