"""Lateness and quorums under concurrency: threads, replicas and processes race, and each thing happens once (S7.3)."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

import demur
from demur.core.review import ReviewState
from demur.errors import RulingError
from demur.wiring import Parts, Settings, open_gate

from .shop import POLICY, START, Shop, open_shop, refund

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.postgres import Server

THREADS = 16
TRIES = 25


@pytest.fixture(params=["memory", "sqlite"])
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Shop]:
    opened = open_shop(tmp_path, home=tmp_path / "home" if request.param == "sqlite" else None)
    yield opened
    opened.gate.close()


def kinds(parts: Parts) -> list[str]:
    return [json.loads(record.leaf)["type"] for record in parts.world.store.records()]


def tried(gate: Any, review: str, credential: str) -> str:
    try:
        after = gate.rule(review, verdict="approve", reason="seen", credential=credential)
    except RulingError as error:
        return str(error)
    return str(after.state.value)


def test_racing_past_the_deadline_every_verdict_is_refused_and_the_expiry_recorded_once(shop: Shop) -> None:
    review = shop.gate.decide(refund(60_000)).review_id
    shop.clock.advance(3_600)
    with ThreadPoolExecutor(THREADS) as pool:
        said = set(pool.map(lambda _: tried(shop.gate, review, shop.manager), range(THREADS * 2)))
    assert said == {f"the deadline {START.plus(3_600)} has passed; the action is denied"}
    assert kinds(shop.parts).count("review_expired") == 1
    assert "review_ruled" not in kinds(shop.parts)


def test_of_racing_verdicts_just_as_many_count_as_the_quorum_needs(shop: Shop) -> None:
    review = shop.gate.decide(refund(60_000)).review_id
    keys = [shop.parts.book.add(f"m{number}", ["manager"]) for number in range(THREADS)]
    with ThreadPoolExecutor(THREADS) as pool:
        said = list(pool.map(lambda key: tried(shop.gate, review, key), keys))
    assert said.count("approved") == 1
    assert kinds(shop.parts).count("review_ruled") == 1
    with ThreadPoolExecutor(THREADS) as pool:
        answers = list(pool.map(lambda _: shop.gate.decide(refund(60_000)), range(THREADS)))
    assert sum(isinstance(answer, demur.Grant) for answer in answers) == 1


def test_of_racing_people_one_holds_the_review(shop: Shop) -> None:
    review = shop.gate.decide(refund(60_000)).review_id
    keys = [shop.parts.book.add(f"m{number}", ["manager"]) for number in range(THREADS)]

    def take(key: str) -> bool:
        try:
            return bool(shop.gate.take(review, credential=key))
        except RulingError:
            return False

    with ThreadPoolExecutor(THREADS) as pool:
        assert list(pool.map(take, keys)).count(True) == 1
    assert kinds(shop.parts).count("review_assigned") == 1


def test_after_a_restart_past_the_deadline_an_approval_is_refused_and_the_expiry_recorded_once(tmp_path: Path) -> None:
    first = open_shop(tmp_path, home=tmp_path / "home")
    review = first.gate.decide(refund(60_000)).review_id
    first.gate.take(review, credential=first.manager)
    first.gate.close()
    for _ in range(2):
        first.clock.advance(3_600)
        again = open_gate(
            Settings(
                first.parts.settings.policies, tmp_path / "home", sources={"account": first.account}, clock=first.clock
            )
        )
        assert "deadline" in tried(again.gate, review, first.manager) or "expired" in tried(
            again.gate, review, first.manager
        )
        found = again.gate.review(review)
        assert found is not None
        assert (found.state, found.holder) == (ReviewState.EXPIRED, "")
        assert kinds(again).count("review_expired") == 1
        again.gate.close()


CHILD = """
import sys, time
from pathlib import Path
from tests.flows.test_review_races import opened, tried
folder, store, keys, review, credential, start, tries = sys.argv[1:]
parts = opened(Path(folder), store, keys)
print("ready", flush=True)
time.sleep(max(0.0, float(start) - time.time()))
for _ in range(int(tries)):
    print(tried(parts.gate, review, credential), flush=True)
    time.sleep(0.02)
parts.gate.close()
"""


def opened(folder: Path, store: str, keys: str) -> Parts:
    """A replica of its own."""
    return open_gate(
        Settings(
            folder / "policies", folder / "home", store=store, keys=keys, desk_seconds=0, heartbeat_seconds=0,
            sources={"account": lambda _: {"account.frozen": False}},
        )
    )  # fmt: skip


@pytest.mark.slow
def test_processes_that_race_over_the_deadline_record_the_expiry_once(
    tmp_path: Path, postgres: Server, root: Path
) -> None:
    (tmp_path / "policies").mkdir()
    policy = POLICY.replace("quorum: 1, within: 1h", "quorum: 2, within: 20s")
    (tmp_path / "policies" / "shop.yaml").write_text(policy)
    store, keys = postgres.new_database(), postgres.keys_database()
    parts = opened(tmp_path, store, keys)
    credential = parts.book.add("mara", ["manager"])
    deferral: Any = parts.gate.decide(refund(60_000))
    ends = deferral.deadline.nanos / 1e9
    told = [str(tmp_path), store, keys, deferral.review_id, credential, str(ends - 0.2), str(TRIES)]
    children = [
        subprocess.Popen(
            [sys.executable, "-c", CHILD, *told], cwd=root, stdout=subprocess.PIPE, text=True, encoding="utf-8"
        )
        for _ in range(3)
    ]
    said = [line for child in children for line in child.communicate(timeout=120)[0].splitlines() if line != "ready"]
    found = parts.gate.review(deferral.review_id)
    assert found is not None
    assert found.state is ReviewState.EXPIRED
    assert kinds(parts).count("review_expired") == 1
    assert kinds(parts).count("review_ruled") == len(found.review.rulings) <= 1
    assert len(said) == 3 * TRIES
    assert "approved" not in said
    assert sum("deadline" in line or "expired" in line for line in said) > 0
    parts.gate.close()
