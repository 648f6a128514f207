"""Attempts with stamina, about which nothing is printed: who asks decides what to log, and where.

stamina tells every attempt to hooks of the whole process, and without a choice of its host's that is structlog, on
standard output. Attempts of ours are left out of that; those of the host, and its own hooks for them, stay as they are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from stamina._core import _RetryContextIterator
    from stamina.instrumentation import RetryDetails, RetryHook

NAME = "demur"
"""By which the hooks know our attempts."""


def retry_context(
    on: type[Exception] | Callable[[Exception], bool],
    *,
    attempts: int,
    timeout: float | None,
    wait_initial: float = 0.1,
    wait_max: float = 5.0,
) -> _RetryContextIterator:
    """As `stamina.retry_context`; raises `ImportError` where stamina is not installed."""
    import stamina  # noqa: PLC0415  (of the extras `client` and `server`)
    from stamina import instrumentation  # noqa: PLC0415  (as above)

    hooks = instrumentation.get_on_retry_hooks()
    if not all(isinstance(hook, _Quiet) for hook in hooks):
        quiet = tuple(hook if isinstance(hook, _Quiet) else _Quiet(hook) for hook in hooks)
        instrumentation.set_on_retry_hooks(quiet)
    found = stamina.retry_context(
        on=on, attempts=attempts, timeout=timeout, wait_initial=wait_initial, wait_max=wait_max
    )
    return found.with_name(NAME, (), {})


class _Quiet:
    """A hook of the process, for attempts that are not ours."""

    def __init__(self, hook: RetryHook) -> None:
        self._hook = hook

    def __call__(self, details: RetryDetails) -> None | AbstractContextManager[None]:
        return None if details.name == NAME else self._hook(details)
