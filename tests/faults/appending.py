"""A process that appends to a store from several threads until it is killed, and tells what was acknowledged.

    python appending.py PATH THREADS

Each line on standard output is `thread number sequence hash`, written after the store acknowledged the record.
"""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from demur.adapters.sqlite import SqliteStore
from demur.core.record import Draft
from demur.ports import RequestRow

if TYPE_CHECKING:
    from collections.abc import Callable

    from demur.core.record import Entry
    from demur.ports import Transaction

LIFETIME = os.urandom(8).hex()


def client(store: SqliteStore, thread: int) -> None:
    number = 0
    while True:
        name = f"{LIFETIME}.{thread}.{number}"
        entry = store.submit(recording(name)).result(30)
        os.write(1, f"{name} {entry.sequence} {entry.record_hash.hex()}\n".encode())
        number += 1


def recording(name: str) -> Callable[[Transaction], Entry]:
    def work(tx: Transaction) -> Entry:
        entry = tx.append(Draft("decision", {"name": name}))
        tx.put_request(RequestRow(name.encode(), b"digest", entry.sequence))
        return entry

    return work


if __name__ == "__main__":
    store = SqliteStore(Path(sys.argv[1]), "demo")
    os.write(1, b"clean\n" if store.was_clean else b"killed\n")
    for number in range(int(sys.argv[2])):
        threading.Thread(target=client, args=(store, number)).start()
