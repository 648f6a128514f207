"""The shell of the console: where a browser is sent, what every page carries, and what static files say."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from demur.console.files import Files
from demur.console.page import CSP
from demur.console.pages import PAGES
from demur.core.access import Role
from demur.steps.enrolling import LOCAL
from demur.wiring import callers
from tests.console.desks import Desk, desk, text_of


@pytest.fixture(scope="module")
def a_desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with desk(tmp_path_factory.mktemp("desk")) as opened:
        yield opened


def anonymous(a_desk: Desk, path: str, **headers: str) -> tuple[int, str]:
    response = a_desk.service.client.get(path, headers={"Accept": "text/html"} | headers, follow_redirects=False)
    return response.status_code, response.headers.get("location", "")


@pytest.mark.parametrize(
    ("asked", "sent_to"),
    [
        ("/desk", "/login?next=/desk"),
        ("/desk?risk=high", "/login?next=/desk%3Frisk%3Dhigh"),
        ("/desk/reviews/abc", "/login?next=/desk/reviews/abc"),
        ("/", "/login?next=/"),
    ],
)
def test_a_stranger_is_sent_to_log_in_and_back(a_desk: Desk, asked: str, sent_to: str) -> None:
    assert anonymous(a_desk, asked) == (303, sent_to)


def test_a_line_break_in_a_path_stays_out_of_the_headers(a_desk: Desk) -> None:
    assert anonymous(a_desk, "/desk/a%0d%0aSet-Cookie:x")[0] == 404


def test_whoever_comes_from_another_site_takes_one_step_here_first(a_desk: Desk) -> None:
    headers = {"Sec-Fetch-Site": "cross-site", "Accept": "text/html"}
    response = a_desk.service.client.get("/desk/reviews/abc?x=1", headers=headers, follow_redirects=False)

    assert (response.status_code, response.headers["refresh"]) == (200, "0; url=/desk/reviews/abc?x=1")


def test_htmx_is_told_to_leave_the_page_for_the_login(a_desk: Desk) -> None:
    response = a_desk.service.client.get("/desk", headers={"HX-Request": "true"}, follow_redirects=False)

    assert (response.status_code, response.headers["hx-redirect"]) == (204, "/login?next=/desk")


@pytest.mark.parametrize(
    ("wanted", "landed"),
    [
        ("/desk/reviews/abc?x=1", "/desk/reviews/abc?x=1"),
        ("", "/"),
        ("//evil.example", "/"),
        ("/\\evil.example", "/"),
        ("https://evil.example/", "/"),
        ("/desk\r\nSet-Cookie: a=b", "/"),
        ("/login?next=/", "/"),
        ("javascript:alert(1)", "/"),
    ],
)
def test_a_login_leads_only_to_pages_of_ours(a_desk: Desk, wanted: str, landed: str) -> None:
    people = a_desk.service.people()
    link = people.add("wanda", by=LOCAL, roles=[Role.REVIEWER])
    people.choose_password(link, callers.hash_password("correct horse battery"))
    sent = {"tenant": "clinic", "name": "wanda", "password": "correct horse battery", "next": wanted}
    response = a_desk.service.client.post(
        "/login", data=sent, headers={"Sec-Fetch-Site": "same-origin"}, follow_redirects=False
    )

    assert (response.status_code, response.headers["location"]) == (303, landed)


def test_a_wrong_password_in_a_browser_shows_the_form_again(a_desk: Desk) -> None:
    sent = {"tenant": "clinic", "name": "<b>nobody", "password": "wrong", "next": "/desk"}
    response = a_desk.service.client.post("/login", data=sent, headers={"Accept": "text/html"})

    assert response.status_code == 401
    assert "do not go together" in text_of(response)
    assert 'value="&lt;b&gt;nobody"' in response.text
    assert 'name="next" type="hidden" value="/desk"' in response.text


@pytest.mark.parametrize(
    ("role", "first"),
    [(Role.REVIEWER, "/desk"), (Role.OPERATOR, "/desk"), (Role.CALLER, "/desk/ledger")],
)
def test_the_front_door_leads_to_the_first_page_of_each_role(a_desk: Desk, role: Role, first: str) -> None:
    response = a_desk.browser(f"front-{role}", role).get("/")

    assert (response.status_code, response.headers["location"]) == (303, first)


def test_every_page_has_a_policy_without_anything_unsafe(a_desk: Desk) -> None:
    response = a_desk.browser("rhea", Role.REVIEWER).get("/desk")

    assert response.status_code == 200
    assert response.headers["content-security-policy"] == CSP
    assert "unsafe" not in CSP
    assert "default-src 'none'" in CSP
    assert response.headers["cache-control"] == "no-store"


def test_who_may_not_see_a_page_is_told_on_a_page(a_desk: Desk) -> None:
    response = a_desk.browser("cora", Role.CALLER).get("/desk")

    assert response.status_code == 403
    assert "This is not yours to do" in text_of(response)


def test_an_address_that_leads_nowhere_is_told_on_a_page(a_desk: Desk) -> None:
    response = a_desk.browser("nils", Role.REVIEWER).get("/desk/nowhere")

    assert response.status_code == 404
    assert response.headers["content-type"].startswith("text/html")


def test_a_form_without_the_token_of_our_pages_changes_nothing(a_desk: Desk) -> None:
    post = next((page for page in PAGES if page.method == "POST"), None)
    if post is None:
        pytest.skip("no page changes anything")
    browser = a_desk.browser("olga", Role.REVIEWER, Role.OPERATOR, Role.ADMINISTRATOR)
    path = post.path.replace("{", "").replace("}", "")

    assert browser.post(path, token="0" * 64).status_code == 403


def test_static_files_are_kept_for_ever_under_the_name_of_their_content(a_desk: Desk) -> None:
    files = Files.read()
    response = a_desk.service.client.get(files.url("desk.css"))

    assert response.status_code == 200
    assert response.headers["content-type"] == "text/css; charset=utf-8"
    assert response.headers["cache-control"] == "public, max-age=31536000, immutable"
    again = a_desk.service.client.get("/desk/static/desk.css", headers={"If-None-Match": response.headers["etag"]})
    assert (again.status_code, again.headers["cache-control"]) == (304, "no-cache")


@pytest.mark.parametrize(
    "name",
    [
        "..%2fapp.py",
        "%2e%2e/app.py",
        "..%5capp.py",
        "desk.css%00",
        "/etc/passwd",
        "desk.000000000000.css",
        "__init__.py",
    ],
)
def test_no_name_leads_out_of_the_static_files(a_desk: Desk, name: str) -> None:
    response = a_desk.service.client.get(f"/desk/static/{name}")

    assert response.status_code == 404
    assert "import" not in response.text


def test_no_template_has_a_style_or_a_script_of_its_own() -> None:
    templates = Path(__file__).resolve().parents[2] / "src" / "demur" / "console" / "templates"
    for path in sorted(templates.rglob("*.html")):
        text = path.read_text(encoding="utf-8")
        assert " style=" not in text, path
        assert "<style" not in text, path
        assert " onclick" not in text, path
        assert "hx-on" not in text, path
        assert "|safe" not in text.replace(" ", ""), path


def test_htmx_is_optional(a_desk: Desk, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("demur.console.files._TYPES", {"css": "text/css", "svg": "image/svg+xml"})
    found = Files.read()

    assert not found.has("htmx.min.js")
    assert "build the package" in caplog.text


@pytest.mark.parametrize("missing", ["jinja2", "fastapi"])
def test_without_its_extra_the_service_says_what_to_install(tmp_path: Path, missing: str) -> None:
    program = (
        f"import sys; sys.modules['{missing}'] = None; from demur.cli.main import app; "
        f"app(['serve', '--policies', '{tmp_path}', '--home', '{tmp_path}'])"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)

    assert ended.returncode == 2
    assert "expected the extra `server`" in ended.stderr
    assert 'pip install "demur[server]"' in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    ("referer", "sent_to"),
    [
        ("https://pdp.example.com/desk/reviews/abc?do=approve", "/login?next=/desk/reviews/abc"),
        ("https://evil.example/desk/reviews/abc", "/login?next=/desk"),
        ("", "/login?next=/desk"),
        ("https://pdp.example.com//evil.example", "/login?next=/desk"),
    ],
)
def test_whoever_sends_a_form_too_late_comes_back_to_its_page(a_desk: Desk, referer: str, sent_to: str) -> None:
    stranger = TestClient(a_desk.service.client.app, base_url="https://pdp.example.com")
    response = stranger.post(
        "/desk/reviews/abc/rule", data={"verdict": "approve"}, headers={"Referer": referer}, follow_redirects=False
    )

    assert (response.status_code, response.headers["location"]) == (303, sent_to)
