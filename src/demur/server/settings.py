"""What can be configured of a service, read from a TOML file; unknown names are refused.

bind = "127.0.0.1:8180"

[tenants.clinic]
policies = "policies"
home = "home"
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from demur.core.record import check_log
from demur.errors import ConfigurationError, LedgerError
from demur.server import trust
from demur.server.trust import Certificates, Issuer, Provider
from demur.wiring import Place, Sink, notices

DEFAULT_BIND = "127.0.0.1:8180"


class Tenant(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One tenant: its policies, and either a `home` of its own or a `store` that replicas share.

    `store` and `keys` are PostgreSQL URLs; then `home` holds the key files alone. `log` is the id of the tenant's
    ledger, its name where it is left out.
    """

    policies: str
    home: str
    store: str = ""
    keys: str = ""
    log: str = ""
    sinks: dict[str, Sink] = {}
    """Who learns of this tenant's events, by a name: `url`, `secret` (a variable's name), `types`, `prefix`."""
    notify: dict[str, Place] = {}
    """Where people are told of this tenant's reviews, by a name: `url_file`, `events`, `roles`, `person` and more."""


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one service takes on at a time; what is beyond is answered `unavailable` with `Retry-After`."""

    max_body_bytes: int = 256 * 1024
    max_in_flight: int = 256
    """Requests that wait for an answer at a time, over all callers."""
    per_caller_per_second: int = 10_000
    """How many requests of one caller are answered in a second, on average."""
    per_caller_burst: int = 20_000
    answer_seconds: float = 10.0
    """After so long an answer is `unavailable`."""
    read_seconds: float = 10.0
    """How long a request may take to arrive, from its first byte to its last; a slower connection is cut off."""


class Callbacks(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who may be called back when a review has ended, and the file of the secret that signs it.

    `hosts` are names, with a port where it is not 443, that stand for public addresses. `internal_hosts` may stand for
    others too; name only what callers may reach through this service.
    """

    hosts: tuple[str, ...] = ()
    internal_hosts: tuple[str, ...] = ()
    secret_file: str = ""


class ServerSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A whole service. `base_url` is how clients reach it, where that is not how it is bound."""

    tenants: dict[str, Tenant]
    bind: str = DEFAULT_BIND
    base_url: str = ""
    limits: Limits = Limits()
    drain_seconds: float = 0.0
    """For how long the service goes on answering after SIGTERM, not ready, until nobody sends it more."""
    callbacks: Callbacks = Callbacks()
    issuers: dict[str, Issuer] = {}
    certificates: Certificates = Certificates()
    provider: Provider | None = None

    @property
    def host(self) -> str:
        """The address to listen on."""
        return self.bind.rpartition(":")[0].strip("[]")

    @property
    def port(self) -> int:
        """The port to listen on; 0 takes a free one."""
        return int(self.bind.rpartition(":")[2])


def read(path: Path) -> ServerSettings:
    """The settings in this file, its paths relative to its folder; raises `ConfigurationError`."""
    try:
        settings = msgspec.toml.decode(path.read_bytes(), type=ServerSettings)
    except OSError as error:
        raise ConfigurationError(f"the settings `{path}` cannot be read: {error.strerror}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"`{path}`: {error}", hint="docs/guides/service.md lists every setting") from error
    checked = check(settings)
    folder = path.resolve().parent
    tenants = {
        name: msgspec.structs.replace(
            tenant,
            policies=str(folder / tenant.policies),
            home=str(folder / tenant.home),
            notify=notices.resolved(tenant.notify, folder),
        )
        for name, tenant in checked.tenants.items()
    }
    secret = checked.callbacks.secret_file
    callbacks = msgspec.structs.replace(checked.callbacks, secret_file=str(folder / secret) if secret else "")
    issuers = {name: trust.resolved(issuer, folder) for name, issuer in checked.issuers.items()}
    provider = checked.provider and trust.resolved_provider(checked.provider, folder)
    return msgspec.structs.replace(checked, tenants=tenants, callbacks=callbacks, issuers=issuers, provider=provider)


def check(settings: ServerSettings) -> ServerSettings:
    """The settings, unchanged; raises `ConfigurationError` where they contradict themselves."""
    if not settings.tenants:
        raise ConfigurationError("expected at least one tenant, found none", hint="add a table `[tenants.NAME]`")
    host, _, port = settings.bind.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65_535:
        raise ConfigurationError(f"expected `bind` as `address:port`, found `{settings.bind[:80]}`")
    _check_trust(settings)
    homes: dict[Path, str] = {}
    for name, tenant in settings.tenants.items():
        try:
            check_log(name)
            check_log(tenant.log or name)
        except LedgerError as error:
            raise ConfigurationError(f"tenant `{name[:80]}`: {error}") from error
        home = Path(tenant.home).absolute()
        if home in homes:
            raise ConfigurationError(
                f"expected a home of its own for each tenant, found one of `{name}` and `{homes[home]}`"
            )
        homes[home] = name
    return settings


def _check_trust(settings: ServerSettings) -> None:
    for name, issuer in settings.issuers.items():
        trust.check_issuer(name, issuer)
    trust.check_certificates(settings.certificates)
    if settings.provider is not None:
        trust.check_url(settings.provider.issuer)
        if settings.provider.tenant not in settings.tenants or not settings.base_url:
            raise ConfigurationError("expected `base_url` and a tenant that there is for `provider`, found less")
