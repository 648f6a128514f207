"""A gate that cannot be opened lets go of everything it took, so that it can be opened once the cause is gone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from demur.errors import ConfigurationError, StoreError
from demur.gateway import Gateway
from demur.wiring import open_reviewers
from tests.faults.life import Life, Place
from tests.flows.shop import open_shop

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("step", ["begin", "activate"])
@pytest.mark.parametrize("error", [StoreError("the disk failed"), OSError(5, "the disk failed")])
def test_a_gate_that_could_not_be_opened_keeps_nobody_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, error: Exception
) -> None:
    place = Place.make(tmp_path / "place")

    def failing(*_: object, **__: object) -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(Gateway, step, failing)
        with pytest.raises(StoreError, match="the disk failed"):
            place.open()
    life = Life.begin(place, 1)
    life.story(0, 3)
    assert life.unavailable == 0
    life.end()


def test_a_book_of_reviewers_that_cannot_be_read_says_so(tmp_path: Path) -> None:
    shop = open_shop(tmp_path, home=tmp_path / "home")
    book = tmp_path / "home" / "reviewers.json"
    book.unlink()
    book.mkdir(mode=0o700)
    with pytest.raises(ConfigurationError, match=r"reviewers.json` cannot be read: Is a directory"):
        shop.gate.rule("r", verdict="approve", reason="checked", credential=shop.manager)
    with pytest.raises(ConfigurationError, match=r"cannot be read"):
        open_reviewers(tmp_path / "home").entries()
    shop.gate.close()
