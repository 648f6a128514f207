"""A witness on the loopback, written from C2SP tlog-witness, with the ways in which a witness can fail or lie."""

from __future__ import annotations

import base64
import contextlib
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from demur.adapters.signing import verify
from demur.core.ledger import checkpoint, merkle, note
from demur.core.ledger.checkpoint import Checkpoint
from demur.core.ledger.note import KeyType, Note, Signature, VerifierKey
from demur.errors import LedgerError

NOW = 1_795_165_200
MOODS = {
    "dies": (0, "", b""),
    "broken": (500, "text/plain", b"broken"),
    "long": (200, "text/plain", b"x" * 200_000),
    "nonsense": (200, "text/plain", b"\xff\n"),
    "moved": (302, "text/plain", b""),
    "other size": (409, "text/x.tlog.size", b"1\n"),
    "bad size": (409, "text/x.tlog.size", b"many\n"),
}
"""Ways to fail that do not look at the question."""


class WitnessServer:
    """Cosigns what continues the checkpoint it cosigned last; `mood` makes it misbehave."""

    def __init__(self, name: str = "witness.example/w1", secret: bytes = bytes(32)) -> None:
        self._secret = Ed25519PrivateKey.from_private_bytes(secret)
        self.key = VerifierKey(name, KeyType.COSIGNATURE, self._secret.public_key().public_bytes_raw())
        self.log_keys: list[VerifierKey] = []
        self.latest: dict[str, Checkpoint] = {}
        self.mood = ""
        self.requests = 0
        self.seconds = NOW
        self.replayed = ""
        self._lock = threading.Lock()
        witness = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status, kind, answer = witness.answer(self.path, body)
                if status == 0:
                    self.close_connection = True
                    return
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(answer)))
                with contextlib.suppress(OSError):  # who asked may have gone
                    self.end_headers()
                    self.wfile.write(answer)

            def log_message(self, *_: Any) -> None:
                """Quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/w"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def answer(self, path: str, body: bytes) -> tuple[int, str, bytes]:
        self.requests += 1
        if self.mood == "slow":
            time.sleep(2)
        if self.mood in MOODS:
            return MOODS[self.mood]
        if path != "/w/add-checkpoint":
            return 404, "text/plain", b"no such path"
        with self._lock:
            return self._add(body)

    def _add(self, body: bytes) -> tuple[int, str, bytes]:
        head, _, signed = body.partition(b"\n\n")
        old_line, *lines = head.decode().split("\n")
        old, hashes = int(old_line.removeprefix("old ")), [base64.b64decode(line, validate=True) for line in lines]
        whole = note.parse(signed)
        found = checkpoint.parse(whole.text)
        if found.origin not in {key.name for key in self.log_keys}:
            return 404, "text/plain", b"unknown origin"
        try:
            checkpoint.check(whole, log_keys=self.log_keys, verify=verify)
        except LedgerError:
            return 403, "text/plain", b"unknown key"
        if old > found.size:
            return 400, "text/plain", b"old size above size"
        return self._cosign(old, hashes, whole, found)

    def _cosign(self, old: int, hashes: list[bytes], whole: Note, found: Checkpoint) -> tuple[int, str, bytes]:
        latest = self.latest.get(found.origin)
        if old != (latest.size if latest else 0):
            return 409, "text/x.tlog.size", f"{latest.size if latest else 0}\n".encode()
        if latest is not None and old == found.size and latest.root != found.root:
            return 409, "text/plain", b"another root"
        try:
            if latest is not None:
                merkle.check_consistency(
                    old_size=old, new_size=found.size, old_root=latest.root, new_root=found.root, proof=hashes
                )
            elif hashes:
                return 422, "text/plain", b"a proof from nothing"
        except LedgerError:
            return 422, "text/plain", b"not consistent"
        self.latest[found.origin] = found
        return 200, "text/plain", self._line(whole.text).encode()

    def _line(self, text: str) -> str:
        seconds = self.seconds + (10_000 if self.mood == "future" else 0)
        line = note.sign(self.key, text, self._secret.sign, seconds=seconds).line
        match self.mood:
            case "wrong key":
                other = Ed25519PrivateKey.generate()
                stranger = VerifierKey(self.key.name, KeyType.COSIGNATURE, other.public_key().public_bytes_raw())
                return note.sign(stranger, text, other.sign, seconds=seconds).line
            case "forged":
                return Signature(self.key.name, self.key.id, bytes(72)).line
            case "replay":
                return self.replayed
        self.replayed = line
        return line + Signature("stranger.example", b"abcd", b"whatever").line
