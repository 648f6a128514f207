"""A service on the loopback that says whatever a test has it say, byte by byte."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self


@dataclass
class Asked:
    """One request as it arrived."""

    method: str
    path: str
    headers: dict[str, str]
    members: dict[str, Any]


Say = Callable[[socket.socket, Asked, int], None]
"""Answers on the connection; the number counts requests from 0."""


class Hostile:
    """Serves every request by `say`, each connection in a thread; one request a connection."""

    def __init__(self, say: Say, *, tls: ssl.SSLContext | None = None) -> None:
        self.say = say
        self.asked: list[Asked] = []
        self.ended = threading.Event()
        self._tls = tls
        self._socket = socket.create_server(("127.0.0.1", 0))
        port = self._socket.getsockname()[1]
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{port}"
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self.ended.set()
        # Closing alone does not wake the thread that accepts.
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError, ValueError), connection:
            if self._tls:
                connection = self._tls.wrap_socket(connection, server_side=True)
            with connection:
                asked = _read(connection)
                place = len(self.asked)
                self.asked.append(asked)
                self.say(connection, asked, place)


def _read(connection: socket.socket) -> Asked:
    raw = b""
    while b"\r\n\r\n" not in raw:
        if not (chunk := connection.recv(65_536)):
            raise ValueError
        raw += chunk
    head, _, body = raw.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
    while len(body) < int(headers.get("content-length", 0)):
        body += connection.recv(65_536)
    method, path, _ = first.split(" ")
    return Asked(method, path, headers, json.loads(body) if body else {})


def reply(
    connection: socket.socket,
    body: bytes | dict[str, Any],
    *,
    status: int = 200,
    kind: str = "application/json",
    extra: str = "",
) -> None:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = (
        f"HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\nContent-Length: {len(raw)}\r\nConnection: close\r\n{extra}\r\n"
    )
    connection.sendall(head.encode() + raw)


def allow(asked: Asked) -> dict[str, Any]:
    """A sound grant for what was asked."""
    return {
        "decision": True,
        "context": {
            "outcome": "allow",
            "audit_id": "log/7",
            "as_of": "2026-11-20T09:00:00Z",
            "request_id": asked.members.get("request_id"),
            "grant": {
                "id": "g-1",
                "token": "g-1.secret",
                "expires_at": "2026-11-20T09:00:30Z",
                "constraints": {},
                "obligations": [],
            },
        },
    }
