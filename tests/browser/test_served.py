"""The service as people start it, a browser, and nothing between: from the first link to the first verdict."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from playwright.sync_api import Browser, expect

from demur.core.access import Role
from tests.browser.house import PASSWORD, POLICIES, transfer

DEMUR = str(Path(sys.executable).with_name("demur"))
EVERYTHING = sorted(set(Role) - {Role.CALLER})


@pytest.fixture
def told(tmp_path: Path) -> Iterator[dict[str, Any]]:
    """What `demur serve` tells when it answers."""
    command = [DEMUR, "serve", "--policies", str(POLICIES), "--home", str(tmp_path / "home")]
    with subprocess.Popen([*command, "--bind", "127.0.0.1:0", "--json"], stdout=subprocess.PIPE, text=True) as served:
        try:
            assert served.stdout is not None
            yield json.loads(served.stdout.readline())
        finally:
            served.terminate()
    assert served.returncode == 0


def test_the_first_administrator_comes_in_by_the_link_and_decides(chromium: Browser, told: dict[str, Any]) -> None:
    (key,), (link,) = told["first_keys"].values(), told["first_links"].values()
    page = chromium.new_page()
    page.set_default_timeout(10_000)
    page.goto(link)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button").click()
    page.wait_for_url("**/login")
    _log_in(page)
    expect(page.get_by_role("heading", level=1)).to_have_text("Queue")

    # Rights of reviewers are given, by oneself to oneself too; all of it is recorded, and the login ends within moments.
    page.goto(told["url"] + "/desk/people")
    form = page.get_by_role("region", name="Add or change a person")
    form.get_by_label("Name", exact=True).fill("admin")
    for role in EVERYTHING:
        form.get_by_label(role, exact=True).check()
    form.get_by_label("Panels").fill("payments")
    form.get_by_role("button").click()
    expect(page.get_by_text("demur-link-").first).to_be_visible()

    asked = httpx2.post(
        told["url"] + "/access/v1/evaluation",
        json=transfer(70_000),
        headers={"Authorization": f"Bearer {key}"},
        timeout=30,
    ).json()
    review = asked["context"]["deferral"]["review_id"]
    page.context.clear_cookies()
    page.goto(f"{told['url']}/desk/reviews/{review}")
    _log_in(page)
    page.wait_for_url(f"**/desk/reviews/{review}")
    page.get_by_role("form", name="Approve").get_by_label("Reason").fill("the first of many")
    page.get_by_role("form", name="Approve").get_by_role("button").click()
    expect(page.get_by_role("status").filter(has_text="Approved")).to_be_visible()
    page.close()


def _log_in(page: Any) -> None:
    page.get_by_label("Name").fill("admin")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in", exact=True).click()
    page.wait_for_url("**/desk**")
