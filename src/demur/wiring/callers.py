"""The programs that may call a service: where they are kept."""

from __future__ import annotations

from pathlib import Path

from demur.adapters.callers import CallerBook, CallerEntry, digest

__all__ = ["CALLERS", "CallerBook", "CallerEntry", "digest", "open_callers"]

CALLERS = "callers.json"


def open_callers(home: Path) -> CallerBook:
    """The callers of a home."""
    return CallerBook(Path(home) / CALLERS)
