"""The watermark of free space under a home, and the event that tells operators when it is crossed."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from demur.adapters.space import Room, Watermark
from demur.observability.events import event

if TYPE_CHECKING:
    from pathlib import Path

    from demur.ports import Observer
    from demur.wiring.settings import Settings

LOW, ENOUGH = "governance.storage.low", "governance.storage.recovered"


def open_watermark(settings: Settings, home: Path, observer: Observer) -> Watermark:
    """The watermark; `observer` is told `governance.storage.low` and `governance.storage.recovered`."""

    def tell(room: Room) -> None:
        observer.notify(
            event(
                kind=LOW if room.is_low else ENOUGH,
                id=secrets.token_hex(16),
                log=settings.log,
                subject="store",
                at=str(settings.clock.now()),
                data={"free_bytes": room.free_bytes, "min_free_bytes": room.min_free_bytes},
            )
        )

    return Watermark(home, settings.min_free_bytes, tell=tell)
