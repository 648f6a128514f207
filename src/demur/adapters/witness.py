"""Asks a witness to cosign our checkpoints: C2SP tlog-witness, `POST <url>/add-checkpoint`.

    old 3                                           the size of the checkpoint that it cosigned last, as far as we know
    5+pKlUdi2LeF/BcMHBn+Ku6yhPGNCswZZD1X/6QgPd8=    why the tree of today continues that one, a hash a line

    demur.local/default                             the checkpoint of today, as it is signed
    ...

    200  cosignatures, one a line; each by a key we trust is verified, all others are ignored
    409  it cosigned another size, and says which; or another root for this very size
    422  it does not believe that the tree continues what it cosigned
    404  it does not know this log         403  it does not know the key of this log

A witness that knows more records than we have, or other ones, tells of a rollback or a fork: `RollbackError`. Whatever
else keeps it from cosigning is an `AnchorError`. What a witness sends is hostile until verified: bounded in size, never
followed to another place, and a cosignature counts only over exactly our text, and not from the future.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from demur.adapters.signing import verify
from demur.core.ledger import checkpoint, note, proof
from demur.errors import AnchorError, ConfigurationError, LedgerError, RollbackError
from demur.retrying import retry_context

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType

    import httpx2

    from demur.core.ledger.checkpoint import Checkpoint
    from demur.core.ledger.note import Note, Signature, VerifierKey

Prove = Callable[[int, int], tuple[bytes, ...]]
"""The proof that the tree of the first size is the beginning of that of the second; raises `LedgerError`."""

TIMEOUT_SECONDS = 5.0
ATTEMPTS = 2
"""Tries on a broken connection; an answer of the witness is final."""
MAX_ANSWER_BYTES = 64 * 1024
AHEAD_SECONDS = 300
"""How far a witness's clock may run ahead of ours."""
CONFLICTS = 3
"""How often a witness may name another size before we give up: other replicas may be submitting at the same time."""


class Witness:
    """One witness. One thread at a time may use it."""

    def __init__(
        self, url: str, keys: Sequence[VerifierKey], *, now: Callable[[], int], timeout_seconds: float = TIMEOUT_SECONDS
    ) -> None:
        """`url` is the submission prefix, `keys` what it cosigns with, `now` POSIX seconds.

        Raises `ConfigurationError` where the extra `anchor` is missing, a key is no witness's, or the URL is none.
        """
        if not url.startswith(("https://", "http://")) or not keys:
            raise ConfigurationError(
                f"expected a witness with the URL of its submissions and a key, found `{url[:80]}`"
            )
        if any(key.type is not note.KeyType.COSIGNATURE for key in keys):
            raise ConfigurationError(
                f"expected keys of type 4 (cosignature) for the witness `{keys[0].name}`, found another",
                hint="ask its operator for the verifier key of its cosignatures",
            )
        self.name = keys[0].name
        self._url = url.rstrip("/") + "/add-checkpoint"
        self._keys = tuple(keys)
        self._now = now
        self._timeout_seconds = timeout_seconds
        self._client: httpx2.Client | None = None
        self._size = 0

    def hold(self, whole: Note, found: Checkpoint, prove: Prove) -> tuple[Signature, ...]:
        """Its cosignatures on this checkpoint, verified; raises `RollbackError` and `AnchorError`."""
        for _ in range(CONFLICTS):
            hashes = prove(self._size, found.size) if 0 < self._size < found.size else ()
            status, kind, answer = self._post(_request(self._size, hashes, whole))
            if status == 200:
                signatures = self._verified(answer, found)
                self._size = found.size
                return signatures
            if status != 409 or not self._learn(kind, answer, found):
                raise self._refused(status, found)
        raise AnchorError(f"the witness `{self.name}` named another size {CONFLICTS} times")

    def close(self) -> None:
        """Let go of the connection."""
        if self._client is not None:
            self._client.close()

    def _learn(self, kind: str, answer: bytes, found: Checkpoint) -> bool:
        """Whether a conflict is about the size alone, and we can go on from what it knows."""
        if kind.partition(";")[0].strip() != "text/x.tlog.size":
            return False
        try:
            size = checkpoint.parse_size(answer.decode("ascii").removesuffix("\n"))
        except (UnicodeDecodeError, LedgerError) as error:
            raise AnchorError(f"expected a size from the witness `{self.name}`, found something else") from error
        if size > found.size:
            message = f"the witness `{self.name}` cosigned {size} records, and here are {found.size} signed ones"
            raise RollbackError(message, hint="see whether the database was put back to an older state")
        if size == self._size:
            if size == found.size:
                return False
            raise AnchorError(f"the witness `{self.name}` named the size {size}, from which it was just shown a proof")
        self._size = size
        return True

    def _refused(self, status: int, found: Checkpoint) -> AnchorError | RollbackError:
        match status:
            case 409 | 422:
                message = f"the witness `{self.name}` cosigned other records than these {found.size}"
                return RollbackError(
                    message, hint="somebody signed two histories with this key, or the database lost some"
                )
            case 404:
                return AnchorError(f"the witness `{self.name}` does not know the log `{found.origin}`", hint=_REGISTER)
            case 403:
                return AnchorError(f"the witness `{self.name}` does not know the key of this log", hint=_REGISTER)
            case _:
                return AnchorError(f"expected cosignatures from the witness `{self.name}`, found status {status}")

    def _verified(self, answer: bytes, found: Checkpoint) -> tuple[Signature, ...]:
        """The good cosignatures by its keys, at least one; one bad one and nothing it says counts."""
        keys = {(key.name, key.id): key for key in self._keys}
        try:
            lines = note.parse_lines(answer.decode())
            ours = [(item, keys[item.name, item.key_id]) for item in lines if (item.name, item.key_id) in keys]
            times = [note.check_one(found.text, item, key, verify).seconds or 0 for item, key in ours]
        except (UnicodeDecodeError, LedgerError) as error:
            raise AnchorError(f"the witness `{self.name}` sent what is no cosignature of this: {error}") from error
        if not ours:
            raise AnchorError(f"expected a cosignature by the key of the witness `{self.name}`, found none")
        if max(times) > self._now() + AHEAD_SECONDS:
            raise AnchorError(f"the witness `{self.name}` sent a cosignature from the future")
        return tuple(item for item, _ in ours)

    def _post(self, body: bytes) -> tuple[int, str, bytes]:
        httpx2 = _library()
        if self._client is None:
            self._client = httpx2.Client(timeout=self._timeout_seconds, follow_redirects=False)
        try:
            for attempt in retry_context(httpx2.TransportError, attempts=ATTEMPTS, timeout=2 * self._timeout_seconds):
                with attempt, self._client.stream("POST", self._url, content=body) as response:
                    return response.status_code, response.headers.get("content-type", ""), self._read(response)
        except httpx2.HTTPError as error:
            raise AnchorError(f"the witness `{self.name}` cannot be reached: {error or 'no answer'}") from error
        raise AnchorError(f"the witness `{self.name}` cannot be reached")

    def _read(self, response: httpx2.Response) -> bytes:
        data = b""
        for chunk in response.iter_bytes():
            data += chunk
            if len(data) > MAX_ANSWER_BYTES:
                raise AnchorError(
                    f"expected at most {MAX_ANSWER_BYTES} bytes from the witness `{self.name}`, found more"
                )
        return data


_REGISTER = "give its operator the origin and the verifier key that `demur ledger key show` prints"


def _request(old: int, hashes: Sequence[bytes], whole: Note) -> bytes:
    return f"old {old}\n{proof.hash_lines(hashes)}\n".encode() + whole.encode()


def _library() -> ModuleType:
    try:
        import httpx2  # noqa: PLC0415
        import stamina  # noqa: F401, PLC0415
    except ImportError as error:
        message = "expected HTTPX and stamina for witnesses, found them not installed"
        raise ConfigurationError(message, hint="pip install 'demur[anchor]'") from error
    return httpx2
