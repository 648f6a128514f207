"""What is shipped for running the service somewhere else: small rights, no secrets, nothing fetched without a hash."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml

from demur.server import settings

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
GATES = ("gate-1", "gate-2", "gate-3")
MAX_EXPOSURE = 1.5
"""Of 10, as `systemd-analyze security` counts."""


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile's instructions, each on one line."""
    text = re.sub(r"\\\n\s*", " ", (DEPLOY / "Dockerfile").read_text())
    lines = (line.strip() for line in text.splitlines())
    return [(line.partition(" ")[0], line.partition(" ")[2]) for line in lines if line and not line.startswith("#")]


def compose() -> dict[str, Any]:
    return yaml.safe_load((DEPLOY / "compose.yaml").read_text())


def unit() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in (DEPLOY / "demur.service").read_text().splitlines():
        if line and line[0] not in "#[":
            name, equals, value = line.partition("=")
            assert equals, line
            found.setdefault(name, []).append(value)
    return found


def pins(path: Path) -> dict[str, str]:
    """Names and versions in a lock file; every one of them must have a hash."""
    found = {}
    for block in re.split(r"\n(?=\S)", path.read_text().strip()):
        name, version = re.match(r"([a-z0-9.-]+)==(\S+)", block).groups()  # type: ignore[union-attr]
        assert "--hash=sha256:" in block, name
        found[name] = version
    return found


def test_the_image_is_built_with_hashes_and_run_by_nobody_special() -> None:
    lines = instructions()
    names = [name for name, _ in lines]
    assert "ADD" not in names
    for _, image in (line for line in lines if line[0] == "FROM"):
        assert re.match(r"[a-z]+:[0-9][\w.-]+( AS \w+)?$", image), image
    installs = [text for name, text in lines if name == "RUN" and "pip install" in text]
    assert len(installs) == 2
    for text in installs:
        assert "--require-hashes" in text or {"--no-deps", "--no-index", "--no-build-isolation"} <= set(text.split())
    last = names.index("FROM", names.index("FROM") + 1)
    users = [text for name, text in lines[last:] if name == "USER"]
    assert users
    assert all(int(part) > 0 for part in users[-1].split(":"))
    assert {"HEALTHCHECK", "STOPSIGNAL", "ENTRYPOINT"} <= set(names[last:])
    assert not [text for _, text in lines if re.search(r"(?i)password|secret|token|key=", text)]


def test_the_image_has_no_faults_that_hadolint_knows() -> None:
    """Where it is installed; the rules above hold without it."""
    program = shutil.which("hadolint")
    if program is not None:
        done = subprocess.run([program, DEPLOY / "Dockerfile"], capture_output=True, text=True, check=False)
        assert done.stdout == ""


def test_what_is_copied_into_the_image_is_there_and_not_ignored() -> None:
    copied = [text.split()[:-1] for name, text in instructions() if name == "COPY" and "--from" not in text]
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    for source in (source for sources in copied for source in sources):
        assert (ROOT / source).exists(), source
        assert source in kept, source


def test_every_replica_has_small_rights_and_no_secret_in_its_environment() -> None:
    services = compose()["services"]
    for name in GATES:
        gate = services[name]
        assert gate["read_only"] is True
        assert gate["cap_drop"] == ["ALL"]
        assert "no-new-privileges:true" in gate["security_opt"]
        assert int(gate["user"].partition(":")[0]) > 0
        assert "environment" not in gate
        assert "privileged" not in gate
        assert gate["tmpfs"]
        assert all(port.startswith("127.0.0.1:") for port in gate["ports"])
    values = services["database"]["environment"]
    assert [name for name in values if "PASSWORD" in name] == ["POSTGRES_PASSWORD_FILE"]
    assert "ports" not in services["database"]
    assert len({port for name in GATES for port in services[name]["ports"]}) == len(GATES)


def test_what_the_services_name_is_declared() -> None:
    known = compose()
    for service in known["services"].values():
        assert set(service.get("secrets", ())) <= set(known["secrets"])
        assert set(service.get("depends_on", ())) <= set(known["services"])
        assert ":latest" not in service["image"] or "build" in service
        for volume in service.get("volumes", ()):
            source = volume.partition(":")[0]
            is_ours = source.startswith("./") and source != "./policies"  # which whoever deploys brings along
            assert not is_ours or (DEPLOY / source).exists(), source
            assert source.startswith("./") or source in known["volumes"], source
    assert all(secret["file"].startswith("./secrets/") for secret in known["secrets"].values())
    assert not (DEPLOY / "secrets").exists()


def test_the_settings_of_the_fleet_are_settings() -> None:
    read = settings.read(DEPLOY / "demur.toml")
    tenant = read.tenants["default"]
    for url in (tenant.store, tenant.keys):
        assert urlsplit(url).hostname in compose()["services"]
        assert urlsplit(url).password is None
        assert parse_qs(urlsplit(url).query)["passfile"] == ["/run/secrets/pgpass"]
    assert urlsplit(tenant.store).path != urlsplit(tenant.keys).path
    mounted = [volume.split(":")[1] for volume in compose()["services"]["gate-1"]["volumes"]]
    assert {tenant.policies, tenant.home} <= set(mounted)
    assert str(read.port) in compose()["services"]["gate-1"]["ports"][0].split(":")


def test_a_replica_is_given_the_time_that_it_needs_to_end() -> None:
    read = settings.read(DEPLOY / "demur.toml")
    needed = read.drain_seconds + read.limits.answer_seconds + read.limits.read_seconds + 1
    for name in GATES:
        assert int(compose()["services"][name]["stop_grace_period"].removesuffix("s")) > needed
    assert int(unit()["TimeoutStopSec"][0]) > needed


def test_the_unit_gives_small_rights() -> None:
    found = unit()
    assert found["User"] == ["demur"]
    assert found["CapabilityBoundingSet"] == [""]
    wanted = {"NoNewPrivileges": "yes", "ProtectSystem": "strict", "ProtectHome": "yes", "UMask": "0077"}
    assert {name: found[name][0] for name in wanted} == wanted
    assert found["ExecStart"] == ["/opt/demur/bin/demur serve --config /etc/demur/demur.toml"]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_systemd_understands_the_unit_and_finds_it_little_exposed(tmp_path: Path) -> None:
    copy = tmp_path / "demur.service"
    text = (DEPLOY / "demur.service").read_text()
    copy.write_text(re.sub(r"(?m)^ExecStart=.*$", "ExecStart=/bin/true", text))  # ours is not installed here
    verified = subprocess.run(["systemd-analyze", "verify", copy], capture_output=True, text=True, check=False)
    assert (verified.returncode, verified.stderr) == (0, "")
    command = ["systemd-analyze", "security", "--offline=true", "--no-pager", str(copy)]
    told = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    exposure = re.search(r"exposure level for demur.service: ([0-9.]+)", told)
    assert exposure is not None, told
    assert float(exposure[1]) <= MAX_EXPOSURE


def test_what_is_installed_is_what_is_tested() -> None:
    deployed, tested = pins(DEPLOY / "requirements.lock"), pins(ROOT / "requirements-dev.lock")
    assert {name: version for name, version in deployed.items() if tested.get(name) != version} == {}
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    wanted = {re.split(r"[\[><=]", item)[0] for name in ("server", "postgres") for item in extras[name]}
    assert wanted <= set(deployed)
