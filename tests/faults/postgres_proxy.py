"""A process between replicas and PostgreSQL that cuts connections at COMMIT: before the server got it, or after.

It follows the client's messages (PostgreSQL, "Frontend/Backend Protocol") and knows which statements are COMMIT. Cut
before, the server undoes the transaction. Cut after, the transaction is durable and the client never hears of it.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SOCKET = ".s.PGSQL.5432"
BEFORE, AFTER = b"b", b"a"
PIECE = 1 << 16


@dataclass
class Proxy:
    """Listens in `folder` and forwards to the server whose socket is in `server`; one of `every` commits is cut."""

    folder: Path
    server: Path
    every: int
    seed: int = 0
    _pid: int = 0
    _chance: random.Random = field(default_factory=random.Random)

    def start(self) -> None:
        """In a process of its own, so that it goes on whatever its clients do."""
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(self.folder / SOCKET))
        listener.listen(64)
        self._chance.seed(self.seed)
        self._pid = os.fork()
        if self._pid == 0:
            try:
                while True:
                    client, _ = listener.accept()
                    threading.Thread(target=self._serve, args=(client,), daemon=True).start()
            finally:
                os._exit(1)
        listener.close()

    def cut(self) -> None:
        """From now on: until then it only forwards, so that the gates can open."""
        self._cutting.touch()

    def stop(self) -> None:
        os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)

    @property
    def _cutting(self) -> Path:
        return self.folder / "cutting"

    def cuts(self) -> tuple[int, int]:
        """How many connections were cut before and after the server got the COMMIT."""
        path = self.folder / "cuts"
        data = path.read_bytes() if path.exists() else b""
        return data.count(BEFORE), data.count(AFTER)

    def _serve(self, client: socket.socket) -> None:
        server = socket.socket(socket.AF_UNIX)
        try:
            server.connect(str(self.server / SOCKET))
        except OSError:
            client.close()
            return
        threading.Thread(target=_pump, args=(server, client), daemon=True).start()
        with contextlib.suppress(OSError):
            self._forward(client, server)
        for end in (client, server):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _forward(self, client: socket.socket, server: socket.socket) -> None:
        """The client's messages to the server, until either ends or this connection is cut."""
        commits: set[bytes] = set()
        is_ending = False
        for kind, message in _messages(client):
            if kind == b"P":
                name, _, rest = message[5:].partition(b"\0")
                query = rest.partition(b"\0")[0]
                (commits.add if query == b"COMMIT" else commits.discard)(name)
            is_commit = kind == b"B" and message[5:].partition(b"\0")[2].partition(b"\0")[0] in commits
            if is_commit and self._cutting.exists() and self._chance.randrange(self.every) == 0:
                if self._chance.random() < 0.5:
                    self._note(BEFORE)
                    return
                is_ending = True
            server.sendall(message)
            if is_ending and kind == b"S":
                self._note(AFTER)
                return

    def _note(self, how: bytes) -> None:
        descriptor = os.open(self.folder / "cuts", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.write(descriptor, how)
        os.close(descriptor)


def _messages(client: socket.socket) -> Iterator[tuple[bytes, bytes]]:
    """Type and bytes of each message; the first has no type."""
    data = b""
    start = 0
    while piece := client.recv(PIECE):
        data += piece
        while len(data) >= start + 4:
            length = start + int.from_bytes(data[start : start + 4], "big")
            if len(data) < length:
                break
            yield data[:start], data[:length]
            data = data[length:]
            start = 1


def _pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while piece := source.recv(PIECE):
            target.sendall(piece)
        target.shutdown(socket.SHUT_RDWR)
