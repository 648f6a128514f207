"""Random bytes are given out once: to one caller, in one process."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

from demur.noise import Noise


def test_no_piece_is_given_out_twice() -> None:
    noise = Noise()
    with ThreadPoolExecutor(8) as pool:
        pieces = list(pool.map(noise.take, [32] * 4_000))
    assert len(set(pieces)) == 4_000
    assert {len(piece) for piece in pieces} == {32}


def test_more_than_a_piece_can_be_asked_for() -> None:
    assert len(Noise().take(Noise.PIECE * 3)) == Noise.PIECE * 3


def test_a_fork_gets_bytes_of_its_own() -> None:
    noise = Noise()
    noise.take(1)
    out, into = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(into, noise.take(32))
        os._exit(0)
    os.waitpid(pid, 0)
    assert os.read(out, 32) != noise.take(32)
    os.close(out)
    os.close(into)
