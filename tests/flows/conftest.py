"""The shop, once over memory and once over SQLite: a story must read the same on both."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from .shop import Shop, open_shop

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(params=["memory", "sqlite"])
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Shop]:
    """An open shop."""
    home = tmp_path / "home" if request.param == "sqlite" else None
    opened = open_shop(tmp_path, home=home)
    yield opened
    opened.gate.close()
