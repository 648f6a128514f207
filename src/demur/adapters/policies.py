"""A folder of policies -> checked documents: from a cache by content, or compiled, if need be in a child process.

- The cache is addressed by what the files say, the version of the compiled layout and the release of the time zones;
  it is an optimisation and never decides: damaged or foreign entries are compiled again.
- A compiled set is trusted without a second check, so the cache lies in a folder that only its owner can write to.
- A running gate compiles in a child process (a program of its own, no fork of threads) and only decodes the result.
- A set with a problem is refused as a whole; whoever has one in force keeps it.

Clauses: S3.7, S11.
"""

from __future__ import annotations

import hashlib
import os
import stat
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from demur.adapters import documents as reading
from demur.adapters.zones import TzdataZones
from demur.core.policy.compiled import VERSION, CompiledError, decode_compiled, encode_compiled
from demur.core.policy.load import load
from demur.core.terms import Timestamp
from demur.errors import ConfigurationError, PolicyError, Problem

if TYPE_CHECKING:
    from collections.abc import Callable

    from demur.core.policy.document import Documents
    from demur.ports import Zones

MAX_CACHED = 32
"""Sets kept in a cache folder; the ones read longest ago go first."""

_SUFFIX = ".policies"
_REFUSED = 13
"""Exit code of the child where the set has problems, which it then writes as JSON."""
_EPOCH = Timestamp(0)


def load_folder(path: Path, *, cache: Path | None = None, zones: Zones | None = None) -> Documents:
    """The checked documents of a folder.

    Raises `PolicyError` with all problems, their files named as reached from here, and `ConfigurationError` where the
    cache folder is open to others.
    """
    known = zones or TzdataZones()
    files = _files(path)
    entry = _entry(cache, files, known) if cache is not None else None
    found = _recall(entry) if entry is not None else None
    if found is not None:
        return found
    loaded = _load(path, files, known)
    if entry is not None:
        _remember(entry, encode_compiled(loaded))
    return loaded


def compile_in_child(path: Path, *, cache: Path | None = None, timeout_seconds: float = 60.0) -> bytes:
    """The compiled bytes of a folder, made in a child process; `decode_compiled` turns them into documents.

    Raises `PolicyError` with all problems, also where the child did not end in time or died.
    """
    if not sys.executable:
        message = "expected a Python interpreter to compile policies with, found none"
        raise ConfigurationError(message, hint="load the folder in this process instead")
    # `-P`: a folder that happens to be the current one must not provide modules.
    command = [
        sys.executable,
        "-P",
        "-m",
        "demur.adapters.policies",
        str(path),
        str(cache) if cache is not None else "",
    ]
    try:
        done = subprocess.run(command, capture_output=True, check=False, timeout=timeout_seconds)  # noqa: S603  (our own program)
    except subprocess.TimeoutExpired as error:
        raise _failed(path, f"compiling did not end within {timeout_seconds:g} s") from error
    except OSError as error:
        raise _failed(path, f"compiling could not be started: {error.strerror}") from error
    if done.returncode == 0:
        return done.stdout
    if done.returncode == _REFUSED:
        raise PolicyError(msgspec.json.decode(done.stdout, type=list[Problem]))
    last = done.stderr.decode("utf-8", "replace").strip().splitlines()[-1:]
    raise _failed(path, f"compiling ended with code {done.returncode}: {' '.join(last) or 'no message'}")


def zone_test(zones: Zones) -> Callable[[str], bool]:
    """Whether a zone exists, asked of any `ports.Zones`."""

    def is_zone(name: str) -> bool:
        try:
            zones.offset(name, _EPOCH)
        except KeyError:
            return False
        return True

    return is_zone


def _files(path: Path) -> tuple[tuple[str, bytes], ...]:
    try:
        return reading.read_bytes(path)
    except PolicyError as error:
        raise _within(path, error) from error


def _load(path: Path, files: tuple[tuple[str, bytes], ...], zones: Zones) -> Documents:
    try:
        return load([reading.parse(raw, name) for name, raw in files], zone_test(zones))
    except PolicyError as error:
        raise _within(path, error) from error


def _within(path: Path, error: PolicyError) -> PolicyError:
    """The same problems, with files named as reached from here, so that an editor can jump to them."""
    outside = {"", str(path)}
    return PolicyError(
        [
            problem
            if problem.file in outside
            else Problem(
                str(path / problem.file),
                problem.line,
                problem.column,
                problem.message,
                problem.hint,
                problem.code,
                problem.severity,
            )
            for problem in error.problems
        ]
    )


def _entry(cache: Path, files: tuple[tuple[str, bytes], ...], zones: Zones) -> Path:
    """The file of the cache for what these files say."""
    _check_private(cache)
    digest = hashlib.sha256(f"{VERSION}\0{zones.version}\0{len(files)}\0".encode())
    for name, raw in files:
        digest.update(f"{len(name.encode())}\0{name}\0{len(raw)}\0".encode())
        digest.update(raw)
    return cache / (digest.hexdigest() + _SUFFIX)


def _check_private(cache: Path) -> None:
    try:
        cache.mkdir(mode=0o700, parents=True, exist_ok=True)
        state = cache.stat()
    except OSError as error:
        message = f"expected a folder for compiled policies at `{cache}`, found none: {error.strerror}"
        raise ConfigurationError(message) from error
    if state.st_uid != os.geteuid() or stat.S_IMODE(state.st_mode) & 0o022:
        message = f"expected a cache folder that only its owner can write to, found `{cache}` open to others"
        raise ConfigurationError(message, hint=f"chmod 700 {cache}")


def _recall(entry: Path) -> Documents | None:
    try:
        raw = entry.read_bytes()
        if hashlib.sha256(raw[32:]).digest() != raw[:32]:
            return None
        found = decode_compiled(raw[32:])
        os.utime(entry)
    except (OSError, CompiledError):
        return None
    return found


def _remember(entry: Path, compiled: bytes) -> None:
    """Write beside and rename, so that nobody reads half of it. A cache that cannot be written is done without."""
    with suppress(OSError):
        handle, name = tempfile.mkstemp(prefix=".", dir=entry.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(hashlib.sha256(compiled).digest() + compiled)
            Path(name).replace(entry)
        except OSError:
            Path(name).unlink(missing_ok=True)
            raise
        _prune(entry.parent)


def _prune(cache: Path) -> None:
    entries = sorted(cache.glob("*" + _SUFFIX), key=lambda path: path.stat().st_mtime_ns, reverse=True)
    for path in entries[MAX_CACHED:]:
        path.unlink(missing_ok=True)


def _failed(path: Path, message: str) -> PolicyError:
    return PolicyError([Problem(str(path), 0, 0, message, code="unavailable")])


def _child(folder: str, cache: str) -> int:
    """What the child does: compiled bytes, or problems as JSON, on standard output."""
    try:
        compiled = encode_compiled(load_folder(Path(folder), cache=Path(cache) if cache else None))
    except PolicyError as error:
        sys.stdout.buffer.write(msgspec.json.encode(error.problems))
        return _REFUSED
    sys.stdout.buffer.write(compiled)
    return 0


if __name__ == "__main__":
    raise SystemExit(_child(sys.argv[1], sys.argv[2]))
