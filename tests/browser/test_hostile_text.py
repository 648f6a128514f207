"""Whatever somebody writes into any field is text on every page: nothing runs, nothing is fetched, nothing is lost."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote

import httpx2
import pytest
from playwright.sync_api import Browser

from demur.console import app
from demur.console.drawing import Drawing, Link
from demur.console.files import Files
from demur.core.access import Role
from tests.browser import browsing, corpus, story
from tests.browser.browsing import PHONE, Visit
from tests.browser.conftest import Visiting
from tests.browser.corpus import VECTORS, Vector
from tests.browser.house import POLICIES, House, Person, house, transfer
from tests.browser.places import places

PROBE = "() => ({ran: window.__ran ?? 0, title: document.title, bases: document.querySelectorAll('base').length})"
MAX_ID = 1_024


@pytest.fixture(scope="module")
def policies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The policies of these tests, with hostile texts wherever a policy holds text."""
    folder = tmp_path_factory.mktemp("policies")
    text = corpus.printable(corpus.all_in_one(most=1_500))
    for path in POLICIES.rglob("*.yaml"):
        target = folder / path.relative_to(POLICIES)
        target.parent.mkdir(exist_ok=True)
        raw = path.read_text(encoding="utf-8")
        for key in ("description", "explain"):
            raw = re.sub(rf"\b({key}): (?!\")([^}}\n]+)", lambda found: f"{found[1]}: {_quoted(found[2], text)}", raw)
        target.write_text(raw, encoding="utf-8")
    return folder


def _quoted(old: str, text: str) -> str:
    return json.dumps(f"{old} {text}", ensure_ascii=False)


@pytest.fixture(scope="module")
def reviews() -> dict[str, str]:
    """The review that waits with each vector, by the vector's name."""
    return {}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, policies: Path, reviews: dict[str, str]) -> Iterator[House]:
    with house(tmp_path_factory.mktemp("house"), policies) as opened:
        opened.program()
        with ThreadPoolExecutor(8) as pool:
            found = pool.map(lambda vector: opened.defer(hostile(vector)), VECTORS)
            reviews.update(zip((vector.name for vector in VECTORS), found, strict=True))
        _rulings(opened)
        _levers(opened)
        yield opened


def hostile(vector: Vector) -> dict[str, object]:
    """A request with this text in every place that a caller fills."""
    text, short = vector.text, vector.text[:MAX_ID]
    return {
        **transfer(60_000, subject=short, resource=short, payee=text, memo=text),
        "context": {"session": short[:200], "trace_id": short[:200], "justification": text, text[:60]: text},
    }


def _rulings(home: House) -> None:
    """Reasons of verdicts and of other steps, by people whose names are hostile too."""
    for number, vector in enumerate(VECTORS[:12]):
        body = hostile(Vector(f"ruled-{number}", f"{vector.text} {number}"))
        verdict = "approve" if number % 2 else "reject"
        home.rule(home.defer(body), mallory(home), verdict, corpus.all_in_one(VECTORS[number::12])[:900])


def _levers(home: House) -> None:
    olga = story.staff(home)[0]
    credential = home.credential(olga)
    text = corpus.all_in_one(most=900)
    home.call("POST", "/levers/stops", credential, actions=["delete_*"], reason=text)
    actor = {"type": "agent", "id": "<img src=x onerror=window.__ran=1>"}
    home.call("POST", "/levers/stops", credential, actor=actor, reason=text)
    subject = {"type": "user", "id": "'\"><svg onload=window.__ran=1>"}
    home.call("POST", "/levers/glass", credential, subject=subject, actions=["dispense"], reason=text)
    held = {"caller": "agent:<script>window.__ran=1</script>", "subject": subject, "session": "<b onclick=1>{{7*7}}"}
    home.call("POST", "/sessions/quarantine", credential, reason=text, **held)
    until = home.clock.now().plus(3_600)
    gate = home.service.tenants.gate("harbour")
    gate.delegate(to="mara", until=until, credential=home.credential(mallory(home)), reason=text)


def mallory(home: House) -> Person:
    return home.person("<img/src=x/onerror=window.__ran=1>{{7*7}}\"'", Role.REVIEWER, panels=("payments",))


def check(visit: Visit) -> None:
    """Nothing ran, and nothing that was stored became part of the page."""
    told = visit.page.evaluate(PROBE)
    assert (told["ran"], told["bases"]) == (0, 0), visit.path
    assert told["title"].endswith(" - Demur"), told
    assert visit.faults == [], visit.path


def flat(text: str) -> str:
    return " ".join(text.split())


def is_plain(text: str) -> bool:
    """Whether it has no character that pages show by name."""
    return all(unicodedata.category(letter) not in {"Cc", "Cf"} for letter in text)


@pytest.mark.parametrize("chosen", range(4))
def test_hostile_requests_are_text_on_their_reviews(
    home: House, visiting: Visiting, reviews: dict[str, str], chosen: int
) -> None:
    visit = visiting(story.staff(home)[0])
    for vector in VECTORS[chosen::4]:
        visit.page.goto(f"{home.url}/desk/reviews/{reviews[vector.name]}", wait_until="domcontentloaded")
        check(visit)
        shown = flat(visit.page.locator("main").text_content() or "")
        if is_plain(vector.text):
            assert flat(vector.text) in shown, vector.name


def test_every_page_of_a_hostile_house_is_inert(home: House, visiting: Visiting, reviews: dict[str, str]) -> None:
    visit = visiting(story.staff(home)[0], viewport=PHONE)
    wider = {}
    for place in places(home):
        visit.go(place.path)
        check(visit)
        # Hovering and clicking is what handlers wait for; nothing that is stored may be anything that can be clicked.
        assert visit.page.locator("main [onmouseover], main [onclick], main a[href^='javascript']").count() == 0
        wider[place.name] = visit.too_wide()
    assert {name: found for name, found in wider.items() if found} == {}


def test_the_pages_of_somebody_with_a_hostile_name_are_inert(home: House, visiting: Visiting) -> None:
    visit = visiting(mallory(home))
    visit.go("/desk")
    check(visit)
    assert mallory(home).name in (visit.page.locator("body").text_content() or "")


def test_hostile_addresses_are_text(home: House, visiting: Visiting) -> None:
    """Every parameter of the address of every page, and paths that there are none of."""
    visit = visiting(story.staff(home)[0])
    parts = [VECTORS[number].text for number in (0, 5, 24, 27, 32, 40, 57)]
    names = ("q", "risk", "role", "action", "state", "order", "who", "view", "did", "token", "after", "next", "id")
    for number, place in enumerate(places(home)):
        query = "&".join(f"{name}={quote(parts[(number + at) % len(parts)])}" for at, name in enumerate(names))
        visit.go(f"{place.path.partition('?')[0]}?{query}")
        check(visit)
    for part in parts:
        visit.go(f"/desk/{quote(part, safe='')}")
        check(visit)
        visit.go(f"/desk/reviews/{quote(part, safe='')}")
        check(visit)


def test_hostile_logins_are_text(home: House, visiting: Visiting) -> None:
    visit = visiting()
    for vector in VECTORS[:30:6]:
        visit.go(f"/login?next={quote(vector.text)}")
        visit.page.get_by_label("Tenant").fill("harbour")
        visit.page.get_by_label("Name").fill(vector.text.replace("\n", " "))
        visit.page.get_by_label("Password").fill(vector.text)
        visit.page.get_by_role("button", name="Log in", exact=True).click()
        assert visit.page.locator("h1").count() in {0, 1}
        assert visit.page.evaluate(PROBE)["ran"] == 0
    assert visit.faults == []


def test_policies_of_a_hostile_house_are_escaped_on_every_page(home: House) -> None:
    """The same by the bytes of the answer: no page has an element that somebody wrote."""
    cookies = {"demur": home.credential(story.staff(home)[0])}
    for place in places(home):
        text = httpx2.get(home.url + place.path, cookies=cookies, timeout=30).text
        assert "<script>window" not in text, place
        assert "<img" not in text, place
        assert "<svg onload" not in text, place
        assert "onerror=" not in re.sub(r">[^<]*<", "><", re.sub(r'"[^"]*"', '""', text)), place


class Careless(Drawing):
    """Draws pages without escaping anything."""

    def __init__(self, files: Files, pages: Sequence[Link]) -> None:
        super().__init__(files, pages)
        self._jinja.autoescape = False


def test_this_would_be_seen_if_pages_did_not_escape(
    chromium: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tests above can fail: without escaping the policy of the browser stops the worst, and all of it is noticed."""
    monkeypatch.setattr(app, "Drawing", Careless)
    with house(tmp_path) as careless, browsing.visiting(chromium, careless) as visit:
        visit.enter(story.staff(careless)[0])
        for vector in VECTORS:
            if vector.name in {"script", "img-elsewhere", "img-onerror"}:
                visit.go(f"/desk/reviews/{careless.defer(hostile(vector))}")

    assert any(fault.startswith("error: csp: script-src") for fault in visit.faults), visit.faults
    assert any("evil.example" in fault for fault in visit.faults), visit.faults
