"""Every page, as anybody finds it who looks closely: its headers, its markup, its accessibility in light and dark."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import axe_playwright_python  # type: ignore[import-untyped]  # only its copy of axe is used
import httpx2
import pytest
from playwright.sync_api import expect

from tests.browser import browsing, story
from tests.browser.browsing import Visit
from tests.browser.conftest import Visiting
from tests.browser.house import House, house
from tests.browser.places import DOORS, parameters, places
from tests.browser.reading import Reading

AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text(encoding="utf-8")
WCAG = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22a", "wcag22aa"]
POLICY = {
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self'",
    "connect-src 'self'",
    "font-src 'self'",
    "form-action 'self'",
    "frame-ancestors 'none'",
    "base-uri 'none'",
}
HEADERS = {
    "cache-control": "no-store",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "same-origin",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with house(tmp_path_factory.mktemp("house"), start=story.START) as opened:
        story.tell(opened)
        yield opened


@pytest.fixture(scope="module")
def answers(home: House) -> dict[str, httpx2.Response]:
    """What a browser without scripts gets for every page, by name."""
    cookies = {"demur": home.credential(story.staff(home)[0])}
    found = {}
    for place in (*places(home), *DOORS):
        given = cookies if place not in DOORS else {}
        found[place.name] = httpx2.get(home.url + place.path, cookies=given, timeout=30)
        assert found[place.name].status_code == place.status, (place, found[place.name].text)
    return found


def violations(visit: Visit) -> list[str]:
    """What axe has against the page as it is now."""
    visit.page.evaluate(AXE)
    told: dict[str, Any] = visit.page.evaluate(
        "(tags) => axe.run(document, {runOnly: {type: 'tag', values: tags}, resultTypes: ['violations']})", WCAG
    )
    return [
        f"{visit.path}: {one['id']}: {node['target']}: {node['failureSummary']}"
        for one in told["violations"]
        for node in one["nodes"]
    ]


@pytest.mark.parametrize(("scheme", "size"), [("light", browsing.DESK), ("dark", browsing.PHONE)])
def test_no_page_keeps_anybody_out(home: House, visiting: Visiting, scheme: str, size: dict[str, int]) -> None:
    """WCAG 2.2, levels A and AA, as far as axe can tell."""
    visit = visiting(story.staff(home)[0], color_scheme=scheme, viewport=size)
    found: list[str] = []
    for place in places(home):
        assert visit.go(place.path) == place.status
        found += violations(visit)
    visit.context.clear_cookies()
    for place in DOORS:
        visit.go(place.path)
        found += violations(visit)

    assert found == []


def test_no_page_is_wider_than_a_phone(home: House, visiting: Visiting) -> None:
    visit = visiting(story.staff(home)[0], viewport={"width": 320, "height": 640})
    wider = {}
    for place in places(home):
        visit.go(place.path)
        wider[place.name] = visit.too_wide()

    assert {name: found for name, found in wider.items() if found} == {}


def test_every_page_forbids_code_that_is_not_ours(answers: dict[str, httpx2.Response]) -> None:
    for name, answer in answers.items():
        policy = answer.headers["content-security-policy"]
        assert "unsafe" not in policy, name
        if name not in {place.name for place in DOORS}:
            assert set(policy.split("; ")) == POLICY, name
        else:
            assert policy.startswith("default-src 'none'; style-src 'sha256-"), name


def test_every_page_has_the_headers_of_every_answer(answers: dict[str, httpx2.Response]) -> None:
    for name, answer in answers.items():
        assert {key: answer.headers.get(key) for key in HEADERS} == HEADERS, name
        assert answer.headers["content-type"] == "text/html; charset=utf-8", name


def test_every_page_is_sound_markup_without_code(answers: dict[str, httpx2.Response]) -> None:
    faults = {name: Reading(answer.text).faults for name, answer in answers.items()}

    assert {name: found for name, found in faults.items() if found} == {}


def test_every_page_has_a_title_of_its_own(answers: dict[str, httpx2.Response]) -> None:
    titles = [re.findall("<title>(.*?)</title>", answer.text, re.DOTALL) for answer in answers.values()]

    assert all(len(found) == 1 and found[0].endswith(" - Demur") for found in titles)


def test_what_a_page_loads_is_ours_and_is_what_it_says(home: House, answers: dict[str, httpx2.Response]) -> None:
    files = {path for answer in answers.values() for path in re.findall(r'"(/desk/static/[^"]+)"', answer.text)}
    assert any(path.endswith(".js") for path in files)
    for path in files:
        answer = httpx2.get(home.url + path)
        assert (answer.status_code, answer.headers["x-content-type-options"]) == (200, "nosniff")
        assert answer.headers["content-type"].split(";")[0] in {"text/javascript", "text/css", "image/svg+xml"}, path


def test_reading_finds_what_is_wrong() -> None:
    """The test above can fail."""
    for text in (
        "<script>1</script>",
        '<p style="color:red">',
        "<p onclick=x>",
        '<a href="https://evil.example">',
        '<a href="javascript:x">',
        "<input name=x>",
        '<p id="a"></p><p id="a"></p>',
        "<div><span></div></span>",
        "<h1></h1><h1></h1>",
    ):
        assert Reading(f'<html lang="en"><h1>x</h1>{text}</html>').faults, text
    assert Reading('<html lang="en"><h1>x</h1><label>a<input></label><p>b</html>').faults == []


def test_dialogs_and_refusals_keep_nobody_out(home: House, visiting: Visiting) -> None:
    """What opens over a page, what a page tells when something was not done, and what lies folded."""
    visit = visiting(story.staff(home)[0], color_scheme="dark")
    page, review = visit.page, parameters(home)["review"]
    found: list[str] = []

    visit.go("/desk")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_visible()
    found += violations(visit)

    visit.go(f"/desk/reviews/{review}")
    page.get_by_role("button", name="Reveal").first.click()
    expect(page.get_by_role("dialog")).to_be_visible()
    found += violations(visit)
    page.keyboard.press("Escape")
    page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
    found += violations(visit)

    page.get_by_role("form", name="Deny").get_by_label("Reason").fill(" ")
    page.get_by_role("form", name="Deny").get_by_role("button").click()
    expect(page.get_by_role("alert")).to_be_visible()
    found += violations(visit)

    visit.go("/desk?q=no-such-review")
    found += violations(visit)
    visit.go("/desk/playground")
    page.get_by_role("button", name="Judge").click()
    page.wait_for_load_state()
    found += violations(visit)

    visit.context.clear_cookies()
    visit.go("/login")
    for label in ("Tenant", "Name", "Password"):
        page.get_by_label(label).fill("nobody at all")
    page.get_by_label("Password").press("Enter")
    expect(page.get_by_role("alert")).to_be_visible()
    found += violations(visit)

    assert found == []
