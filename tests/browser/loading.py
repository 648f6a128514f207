"""How long pages take at the server where many reviews wait."""

from __future__ import annotations

from pathlib import Path


def load(folder: Path, reviews: int, *, times: int) -> None:
    """Print a table."""
    raise NotImplementedError(f"{folder}, {reviews}, {times}")
