"""A model behind an OpenAI-compatible endpoint, asked for the next message of a conversation.

`OPENAI_BASE_URL` is where it is (such as `http://localhost:8000/v1`), `OPENAI_MODEL` which one, `OPENAI_API_KEY` the
key where one is needed.
"""

from __future__ import annotations

import json
import os
import urllib.request
from typing import TYPE_CHECKING

from tools import CATALOGUE

if TYPE_CHECKING:
    from collections.abc import Sequence

Message = dict[str, object]
TIMEOUT_SECONDS = 60
MAX_BYTES = 4_000_000


class EndpointError(Exception):
    """The endpoint gave no message."""


class Endpoint:
    """Answers a conversation as a model does. Raises `EndpointError` where there is no usable answer."""

    def __init__(self, base_url: str, model: str, key: str = "") -> None:
        if not base_url.startswith(("http://", "https://")):
            raise EndpointError(f"expected an http or https URL in `OPENAI_BASE_URL`, found `{base_url}`")
        self._url = base_url.rstrip("/") + "/chat/completions"
        self._model = model
        self._headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {key}"} if key else {})

    @classmethod
    def of_environment(cls) -> Endpoint:
        """The endpoint that the environment names."""
        names = ("OPENAI_BASE_URL", "OPENAI_MODEL", "OPENAI_API_KEY")
        base_url, model, key = (os.environ.get(name, "") for name in names)
        return cls(base_url, model or "default", key)

    def __call__(self, messages: Sequence[Message]) -> Message:
        """The next message: calls of tools, or the last words."""
        body = json.dumps({"model": self._model, "messages": list(messages), "tools": CATALOGUE}).encode()
        request = urllib.request.Request(self._url, body, self._headers)  # noqa: S310  (checked above)
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as reply:  # noqa: S310
                message = json.loads(reply.read(MAX_BYTES))["choices"][0]["message"]
        except (OSError, ValueError, LookupError, TypeError) as error:
            raise EndpointError(f"expected a message from `{self._url}`, found none: {error}") from error
        if not isinstance(message, dict):
            raise EndpointError(f"expected a message from `{self._url}`, found something else")
        return message
