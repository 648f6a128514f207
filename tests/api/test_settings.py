"""The file of settings: paths are relative to it, whoever starts the service from wherever."""

from __future__ import annotations

from typing import TYPE_CHECKING

from demur.server import settings

if TYPE_CHECKING:
    from pathlib import Path

TEXT = """
base_url = "https://gate.example.org"
[tenants.clinic]
policies = "policies"
home = "home"
[callbacks]
secret_file = "callback-secret"
[issuers.platform]
issuer = "https://id.example.org"
audience = "demur"
jwks_file = "keys.json"
tenant = "clinic"
roles = ["caller"]
[provider]
issuer = "https://id.example.org"
client_id = "demur"
client_secret_file = "client-secret"
tenant = "clinic"
"""


def test_every_path_is_relative_to_the_file(tmp_path: Path) -> None:
    (tmp_path / "demur.toml").write_text(TEXT, encoding="utf-8")
    found = settings.read(tmp_path / "demur.toml")

    assert found.provider is not None
    assert [
        found.tenants["clinic"].policies,
        found.tenants["clinic"].home,
        found.callbacks.secret_file,
        found.issuers["platform"].jwks_file,
        found.provider.client_secret_file,
    ] == [str(tmp_path / name) for name in ("policies", "home", "callback-secret", "keys.json", "client-secret")]


def test_what_is_left_out_names_no_file(tmp_path: Path) -> None:
    text = TEXT.replace('client_secret_file = "client-secret"', "").replace('secret_file = "callback-secret"', "")
    (tmp_path / "demur.toml").write_text(text, encoding="utf-8")
    found = settings.read(tmp_path / "demur.toml")

    assert found.provider is not None
    assert (found.provider.client_secret_file, found.callbacks.secret_file) == ("", "")
