"""One browser and one service for the tests of a module, a window for each test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from playwright.sync_api import Browser

from demur.core.access import Role
from tests.browser import browsing
from tests.browser.browsing import Visit
from tests.browser.house import House, Person, house
from tests.conftest import is_ci

Visiting = Callable[..., Visit]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Browsers take a core each, so their tests run one after the other, in one process."""
    for item in items:
        if "tests/browser/" in item.path.as_posix():
            item.add_marker(pytest.mark.xdist_group("browser"))
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Of a module and not longer: while it is open, no other test of this process can run an event loop."""
    if not browsing.executable():
        told = "there is no chromium: `apt-get install chromium`, or name one in DEMUR_CHROMIUM"
        if is_ci():
            pytest.fail(told)
        pytest.skip(told)
    with browsing.browser() as opened:
        yield opened


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with house(tmp_path_factory.mktemp("house")) as opened:
        yield opened


@pytest.fixture
def visiting(chromium: Browser, home: House) -> Iterator[Visiting]:
    """Opens windows, of somebody who is logged in or of a stranger; at the end of the test nothing may have gone wrong in any of them."""
    visits: list[Visit] = []
    with ExitStack() as closing:

        def open_one(person: Person | None = None, **options: Any) -> Visit:
            visit = closing.enter_context(browsing.visiting(chromium, home, **options))
            visits.append(visit)
            if person is not None:
                visit.enter(person)
            return visit

        yield open_one
        for visit in visits:
            visit.check()


@pytest.fixture(scope="module")
def mara(home: House) -> Person:
    return home.person("mara", Role.REVIEWER, panels=("payments", "pharmacist", "records"))


@pytest.fixture(scope="module")
def tarek(home: House) -> Person:
    return home.person("tarek", Role.REVIEWER, panels=("payments",))


@pytest.fixture(scope="module")
def ann(home: House) -> Person:
    """Who asks for transfers, and is a reviewer all the same."""
    return home.person("ann", Role.REVIEWER, panels=("payments",))


@pytest.fixture(scope="module")
def olga(home: House) -> Person:
    """An operator, auditor and administrator at once."""
    return home.person("olga", *sorted(set(Role) - {Role.CALLER}), panels=("payments", "pharmacist", "records"))
