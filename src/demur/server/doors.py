"""The way into a home that a service owns, for the command line of the home's owner: `home/demur.sock`.

- It listens while the service holds the lease of the home. So a socket that is there already was left by a process
  that was killed, and is replaced.
- Only processes of the same user get an answer; the kernel says who they are. Others are cut off before a byte of
  theirs is read. A folder that others may write to has no such way in, and the log says so.
- What can be asked is a closed list (`wiring.local`). A few calls run at a time, each in a thread of its own; a mistake
  of the program ends its thread and its connection, and whoever asked takes that for no answer.

Clauses: S7.4, S11.1.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import stat
import threading
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Self

from demur.errors import ConfigurationError
from demur.wiring import callers, databases, local

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from demur.server.tenants import Tenants

MAX_CALLS = 4
"""Calls that are carried out at a time; further ones wait."""
READ_SECONDS = 10.0
"""How long a call may take to arrive."""
_logger = logging.getLogger("demur")


@contextmanager
def opened(tenants: Tenants) -> Iterator[None]:
    """Listen for every tenant with a home that this process owns."""
    with ExitStack() as doors:
        for name in tenants.names:
            parts = tenants.parts(name)
            home, settings = parts.settings.home, parts.settings
            if home is None or databases.find(settings.store, settings.keys) is not None or not local.is_offered():
                continue
            targets = {"gate": parts.gate, "enrolment": callers.enrolment(parts), "people": callers.people(parts)}
            try:
                doors.callback(Door.open(home, targets).close)
            except (OSError, ConfigurationError) as error:
                _logger.warning("tenant `%s`: the command line cannot reach this service: %s", name, error)
        yield


class Door:
    """One listening socket, with the thread that waits at it."""

    def __init__(self, home: Path, targets: Mapping[str, object], listening: socket.socket) -> None:
        self._home = home
        self._targets = targets
        self._listening = listening
        self._room = threading.BoundedSemaphore(MAX_CALLS)
        self._thread = threading.Thread(target=self._attend, name="demur-door", daemon=True)
        self._thread.start()

    @classmethod
    def open(cls, home: Path, targets: Mapping[str, object]) -> Self:
        """Listen in `home`, whose lease this process holds; raises `OSError` and `ConfigurationError`."""
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            with local.address(home) as address:
                _clear(address)
                listening.bind(address)
                os.chmod(address, 0o600)  # noqa: PTH101  (an address, not a path); nobody can connect before `listen`
                listening.listen(16)
        except BaseException:
            listening.close()
            raise
        return cls(home, targets, listening)

    def close(self) -> None:
        """Take no more calls; those that were begun end by themselves."""
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)  # wakes whoever waits in `accept`
        self._thread.join(READ_SECONDS)
        self._listening.close()
        with contextlib.suppress(OSError, ConfigurationError), local.address(self._home) as address:
            _clear(address)

    def _attend(self) -> None:
        while True:
            try:
                line, _ = self._listening.accept()
            except OSError:
                return  # closed
            self._room.acquire()
            threading.Thread(target=self._answer, args=(line,), name="demur-local-call", daemon=True).start()

    def _answer(self, line: socket.socket) -> None:
        try:
            with line:
                line.settimeout(READ_SECONDS)
                if local.is_own(line):
                    local.send(line, local.perform(self._targets, local.receive(line)))
                else:
                    _logger.warning("somebody else than the owner of `%s` tried to reach its service", self._home)
        except OSError:
            pass  # whoever asked went away, or sent too slowly
        finally:
            self._room.release()


def _clear(address: str) -> None:
    """Remove the socket at this address; raises `ConfigurationError` where something else is there."""
    try:
        found = os.lstat(address)
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(found.st_mode):
        raise ConfigurationError(f"expected a socket or nothing at `{address}`, found something else")
    os.unlink(address)  # noqa: PTH108  (an address, not a path)
