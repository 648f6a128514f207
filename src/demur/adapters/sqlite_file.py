"""Opens the SQLite file: connections, durability, migrations, and the watch over the files under it.

- One read-write connection in one process does all writes and checkpoints. SQLite before 3.51.3 can corrupt a file in
  WAL mode when two connections write or checkpoint at once; readers are opened read-only and do neither.
- Opening for writing first writes the write-ahead log once more, because a sync that failed, now or in an earlier
  process, may have left in memory what the disk never got.
- WAL with synchronous=FULL: a commit is on the disk when it returns. secure_delete overwrites what is deleted.
- SQLAlchemy and Alembic borrow that one connection to make and migrate the tables, in one transaction. They are
  loaded only where there is something to migrate.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

from demur.errors import StoreError

Connect = Callable[[str], sqlite3.Connection]
"""Opens a connection to a `file:` URI; tests give one that fails when told to."""

REVISIONS = ("0001", "0002", "0003")
"""The migrations that this version knows, oldest first; its owner brings a file to the last one."""
BUSY_SECONDS = 0.25
"""How long to wait for somebody who holds a lock that nobody should hold, before refusing."""
CACHE_KIB = 16 * 1024
CHECKPOINT_PAGES = 4_000
"""Pages of the write-ahead log before they are moved into the file: 16 MB, some seconds of full load."""

_CHUNK = 1 << 20

_PRAGMAS = (
    "synchronous=FULL",
    "secure_delete=ON",
    "foreign_keys=ON",
    "trusted_schema=OFF",
    "mmap_size=0",
    f"cache_size=-{CACHE_KIB}",
    f"wal_autocheckpoint={CHECKPOINT_PAGES}",
)


def connect(uri: str) -> sqlite3.Connection:
    """A connection in autocommit mode that one thread at a time may use; raises `sqlite3.Error`."""
    return sqlite3.connect(uri, uri=True, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)


def create(path: Path) -> None:
    """Make an empty file that only its owner can read, durably, unless there is one; raises `OSError`."""
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def rewrite_log(path: Path) -> None:
    """Write the write-ahead log beside `path` over itself, and sync it; raises `OSError`.

    After a sync that failed, the system may count as written what never reached the disk: it can be read, and no
    later sync says anything of it. Whoever builds upon what they read must have written it once more. The bytes stay
    the same, so readers are not disturbed.
    """
    try:
        descriptor = os.open(log_of(path), os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        offset = 0
        while data := os.pread(descriptor, _CHUNK, offset):
            offset += os.pwrite(descriptor, data, offset)
        if offset:
            os.fdatasync(descriptor)
    finally:
        os.close(descriptor)


def open_owner(path: Path, opening: Connect) -> sqlite3.Connection:
    """The read-write connection to a file that exists, durable settings made and checked; raises `StoreError`."""
    with translated("open", path):
        rewrite_log(path)
        connection = opening(f"{path.absolute().as_uri()}?mode=rw")
        try:
            _prepare(connection, path)
        except BaseException:
            connection.close()
            raise
        return connection


def open_reader(path: Path, opening: Connect = connect) -> sqlite3.Connection:
    """A connection that can only read; raises `StoreError`."""
    uri = f"{path.absolute().as_uri()}?mode=ro"
    with translated("open", path):
        connection = opening(uri)
        try:
            connection.execute("PRAGMA query_only=ON")
            connection.execute("SELECT 1 FROM sqlite_schema").fetchone()
        except sqlite3.OperationalError:
            connection.close()
            if log_of(path).exists() or not path.exists():
                raise
            # Where the folder cannot be written, SQLite cannot make the file that readers share. Without a
            # write-ahead log nobody has the database open, and it can be read as it stands.
            connection = opening(f"{uri}&immutable=1")
            connection.execute("SELECT 1 FROM sqlite_schema").fetchone()
        return connection


def migrate(connection: sqlite3.Connection, path: Path) -> None:
    """Bring the tables to the newest revision, in one transaction; raises `StoreError`."""
    with translated("migrate", path):
        found = revision(connection)
        if found == REVISIONS[-1]:
            return
        if found and found not in REVISIONS:
            raise StoreError(
                f"expected tables of revision {REVISIONS[-1]} or older in `{path}`, found `{found[:40]}`",
                hint="a newer version of Demur wrote this file; use that version",
            )
        _upgrade(connection)


def log_of(path: Path) -> Path:
    """The write-ahead log beside the file."""
    return path.with_name(f"{path.name}-wal")


def revision(connection: sqlite3.Connection) -> str:
    """The revision of the tables, "" where there are none; raises `sqlite3.Error`."""
    has_table = connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'alembic_version'").fetchone()
    row = connection.execute("SELECT version_num FROM alembic_version").fetchone() if has_table else None
    return str(row[0]) if row else ""


class translated(contextlib.ContextDecorator):  # noqa: N801  (reads as a word where it is used)
    """Turns what SQLite and the operating system raise into `StoreError`."""

    def __init__(self, doing: str, path: Path) -> None:
        self._doing = doing
        self._path = path

    def __enter__(self) -> None:
        """Nothing to prepare."""

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, (sqlite3.Error, OSError)):
            raise StoreError(f"could not {self._doing} the store `{self._path}`: {error}") from error


class Watch:
    """One file under the store, by identity: one that was deleted or replaced takes no more writes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._first: tuple[int, int] | None = None

    def check(self) -> None:
        """Raises `StoreError` where the file is not the one seen first, so that nothing is written into the void."""
        try:
            found = self._path.stat()
        except OSError as error:
            raise StoreError(f"the file `{self._path}` is gone: {error.strerror}", hint=_RESTORE) from error
        identity = found.st_dev, found.st_ino
        self._first = self._first or identity
        if identity != self._first:
            raise StoreError(f"the file `{self._path}` was replaced by another", hint=_RESTORE)


_RESTORE = "stop the service, put the file back or restore it from a backup, and start again"


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    mode = connection.execute("PRAGMA journal_mode=WAL").fetchone()[0]
    if mode != "wal":
        raise StoreError(f"expected `{path}` in WAL mode, found `{mode}`", hint="use a local file system")
    for pragma in _PRAGMAS:
        connection.execute(f"PRAGMA {pragma}")


def _upgrade(connection: sqlite3.Connection) -> None:
    # Loaded only here: together they take longer to import than everything else.
    import sqlalchemy as sa  # noqa: PLC0415
    from alembic import command, config  # noqa: PLC0415

    engine = sa.create_engine("sqlite://", creator=lambda: connection, poolclass=sa.pool.StaticPool)
    settings = config.Config()
    folder = str(Path(__file__).with_name("migrations"))
    settings.set_main_option("script_location", folder.replace("%", "%%"))
    with engine.connect() as borrowed:
        borrowed.exec_driver_sql("BEGIN IMMEDIATE")
        settings.attributes["connection"] = borrowed
        command.upgrade(settings, "head")
        borrowed.commit()
