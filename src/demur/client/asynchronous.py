"""The client for programs on an event loop; the blocking one runs it on a loop of its own."""

from __future__ import annotations

import asyncio
import re
import ssl
from typing import TYPE_CHECKING, Self
from urllib.parse import quote

from demur.client import asking, reading, waiting
from demur.client.asking import LOCAL
from demur.client.line import Line, Message, UnreachableError
from demur.client.waiting import AsyncPending
from demur.core.grant import Completion
from demur.core.review import Deferral, ReviewState
from demur.core.terms import Outcome
from demur.errors import AnswerError, ConfigurationError, RulingError, StoreError
from demur.waiting import bind

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

    from demur.client.asking import Question
    from demur.client.line import Reply
    from demur.client.reading import ReviewPage
    from demur.core.evidence import Answer
    from demur.core.grant import Redemption
    from demur.core.intake import Caller
    from demur.core.refusal import Refusal
    from demur.core.terms import Value
    from demur.core.told import Wanted

TIMEOUT_SECONDS = 10.0
_CREDENTIAL = re.compile(r"[\x21-\x7e]*", re.ASCII)
_EVALUATION = "/access/v1/evaluation"
_REDEEM = "/grants/redeem"


class AsyncClient:
    """Asks a service. For one event loop; close it, or use it as a context."""

    def __init__(
        self,
        base_url: str,
        *,
        credential: str = "",
        timeout: float = TIMEOUT_SECONDS,
        verify: bool | str | Path | ssl.SSLContext = True,
    ) -> None:
        """`credential` is an API key or token; `timeout` the seconds for a whole answer, retries included.

        `verify` is whom to trust: the usual authorities, a file of certificates, or an `ssl.SSLContext`, which may also
        hold a certificate of our own. Raises `ConfigurationError`.
        """
        _check_credential(credential)
        if not timeout > 0:
            raise ConfigurationError(f"expected a timeout in seconds above 0, found `{timeout}`")
        self._line = Line(base_url, credential=credential, timeout_seconds=timeout, verify=_trust(verify))

    async def decide(self, request: bytes | str | Mapping[str, object], *, caller: Caller = LOCAL) -> Answer:
        """The answer to one request; `unavailable` where none came that can be believed.

        Raises `IntakeError` and `AccessError`.
        """
        return await self.put(asking.question(request, caller))

    async def put(self, asked: Question) -> Answer:
        """The answer to a question that was prepared."""
        try:
            reply = await self._line.ask(Message("POST", _EVALUATION, asked.body, asked.request_id))
        except UnreachableError as error:
            return asking.unavailable(str(error), asked.request_id)
        return self._bound(asking.answer(reply, asked), asked.wanted)

    async def redeem(
        self, token: str, arguments: Mapping[str, Value], *, understands: Collection[str] = ()
    ) -> Redemption | Refusal:
        """Use up a grant for exactly these arguments. Act only on a `Redemption`, and only once.

        Where the answer is lost the grant may be used up, and nothing may be done on it. Raises `IntakeError` and
        `AccessError`.
        """
        body, request_id = asking.redeeming(token, arguments, understands), asking.new_id()
        try:
            reply = await self._line.ask(Message("POST", _REDEEM, body, request_id, is_repeatable=False))
        except UnreachableError as error:
            return asking.unavailable(str(error), request_id)
        return asking.redemption(reply, arguments, request_id)

    async def complete(self, grant_id: str, status: str) -> Refusal | None:
        """Record how the execution ended: `success`, `failure` or `unknown`. A refusal where it cannot be recorded.

        Where an answer was lost and the report is repeated, the refusal may be that it was reported already.
        """
        body, request_id = asking.encode({"status": Completion(status).value}), asking.new_id()
        path = f"/grants/{quote(grant_id, safe='')}/complete"
        try:
            reply = await self._line.ask(Message("POST", path, body, request_id))
        except UnreachableError as error:
            return asking.unavailable(str(error), request_id)
        return asking.completion(reply, request_id)

    async def rule(self, review_id: str, *, verdict: str, reason: str, credential: str) -> ReviewState:
        """Approve or reject a deferred action, as the person whose credential this is; how the review then stands.

        Raises `RulingError` where that person may not rule, or not any more, `AccessError`, and `StoreError` where
        nothing says that it was recorded.
        """
        _check_credential(credential)
        body, request_id = asking.encode({"verdict": verdict, "reason": reason}), asking.new_id()
        path = f"/reviews/{quote(review_id, safe='')}/rule"
        try:
            reply = await self._line.ask(Message("POST", path, body, request_id, credential, is_repeatable=False))
        except UnreachableError as error:
            raise StoreError(f"nothing says that the ruling was recorded: {error}") from error
        asking.raise_for(reply)
        if reply.status in {404, 409}:
            raise RulingError(str(reply.members.get("detail") or "the ruling was refused"))
        try:
            if reply.status == 200:
                return waiting.read_state(reply.members)
        except AnswerError as error:
            raise StoreError(f"nothing says that the ruling was recorded: {error}") from error
        raise StoreError(f"nothing says that the ruling was recorded: the status was {reply.status}")

    async def reviews(
        self,
        *,
        credential: str,
        status: str = "",
        risk: str = "",
        role: str = "",
        limit: int = 0,
        token: str = "",
    ) -> ReviewPage:
        """The reviews that a person with this credential may read, the earliest deadline first; the open ones where no
        `status` is named. `token` is the `next_token` of the page before.

        Raises `AccessError`, `IntakeError` for a filter that is none, and `StoreError` where they cannot be read.
        """
        return reading.page(
            await self._read(reading.path(status=status, risk=risk, role=role, limit=limit, token=token), credential)
        )

    async def review(self, review_id: str, *, credential: str) -> dict[str, object]:
        """One review as a reviewer sees it, as JSON has it; raises as `reviews`, and `RulingError` where it is none."""
        return reading.members(await self._read(reading.path(f"/{quote(review_id, safe='')}"), credential))

    async def claim(self, review_id: str) -> Answer:
        """What came of a review of this program's own: the grant of the action that was deferred, judged again.

        A `Refusal` says what stands in the way, a `Deferral` that people have to decide yet. While the grant lives the
        same one is given again. Raises `RulingError` where no such review was opened for this program, `IntakeError`
        where its request cannot be put together again, and `AccessError`.
        """
        return await self._claim(review_id, None)

    async def review_state(self, review_id: str) -> ReviewState:
        """How a review stands; `pending_review` where that cannot be learned. Raises `AccessError`."""
        request_id = asking.new_id()
        path = f"/reviews/{quote(review_id, safe='')}/status"
        try:
            reply = await self._line.ask(Message("GET", path, request_id=request_id))
            asking.raise_for(reply)
            if reply.status != 200 or reply.request_id not in {"", request_id}:
                return ReviewState.PENDING
            return waiting.read_state(reply.members)
        except (UnreachableError, AnswerError):
            return ReviewState.PENDING

    async def wait(self, review_id: str, timeout: float) -> ReviewState:  # noqa: ASYNC109  (the same name as where it blocks)
        """How a review stands as soon as it is settled, or `pending_review` after `timeout` seconds."""
        try:
            async with asyncio.timeout(timeout):
                for pause in waiting.pauses():
                    state = await self.review_state(review_id)
                    if state is not ReviewState.PENDING:
                        return state
                    await asyncio.sleep(pause)
        except TimeoutError:
            pass
        return ReviewState.PENDING

    async def _read(self, path: str, credential: str) -> Reply:
        _check_credential(credential)
        try:
            return await self._line.ask(Message("GET", path, None, asking.new_id(), credential))
        except UnreachableError as error:
            raise StoreError(f"the reviews cannot be read: {error}") from error

    async def _claim(self, review_id: str, wanted: Wanted | None) -> Answer:
        path, request_id = f"/reviews/{quote(review_id, safe='')}/claim", asking.new_id()
        try:
            reply = await self._line.ask(Message("POST", path, b"{}", request_id))
        except UnreachableError as error:
            return asking.unavailable(str(error))
        return self._bound(asking.claimed(reply, wanted, request_id), wanted)

    async def go_on(self, pending: Deferral, wanted: Wanted | None, timeout_seconds: float) -> Answer:
        """What came of a deferral, as `AsyncPending.wait` says; `wanted` is the action, where it is known."""
        try:
            async with asyncio.timeout(timeout_seconds):
                return await self._resumed(pending, wanted)
        except TimeoutError:
            return pending

    def _bound(self, found: Answer, wanted: Wanted | None) -> Answer:
        """The answer; a deferral as one that can be waited for."""
        if not isinstance(found, Deferral):
            return found

        async def resume(pending: AsyncPending, timeout_seconds: float) -> Answer:
            return await self.go_on(pending, wanted, timeout_seconds)

        return bind(found, AsyncPending, resume)

    async def _resumed(self, pending: Deferral, wanted: Wanted | None) -> Answer:
        """Until the review is decided and the service said what came of it."""
        for pause in waiting.pauses():
            if await self.review_state(pending.review_id) is not ReviewState.PENDING:
                try:
                    found = await self._claim(pending.review_id, wanted)
                except RulingError as error:
                    return asking.unavailable(str(error))
                is_same = isinstance(found, Deferral) and found.review_id == pending.review_id
                if not is_same and found.outcome is not Outcome.UNAVAILABLE:
                    return found
            await asyncio.sleep(pause)
        return pending

    async def close(self) -> None:
        """Let go of the connections."""
        await self._line.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


def _check_credential(credential: str) -> None:
    if not _CREDENTIAL.fullmatch(credential):
        raise ConfigurationError("expected a credential of printable ASCII characters, found others")


def _trust(verify: bool | str | Path | ssl.SSLContext) -> bool | ssl.SSLContext:  # noqa: FBT001  (what the parameter of that name may be)
    if isinstance(verify, (bool, ssl.SSLContext)):
        return verify
    try:
        return ssl.create_default_context(cafile=verify)
    except OSError as error:
        raise ConfigurationError(f"the certificates in `{verify}` cannot be read: {error}") from error
