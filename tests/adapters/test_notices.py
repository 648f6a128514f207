"""Places are told of reviews: what they asked for, in their language, naming nobody, once, however often we restart."""

from __future__ import annotations

import http.server
import json
import logging
import socketserver
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from demur.adapters.clock import ManualClock
from demur.core import notice, phrases
from demur.core.access import Role
from demur.core.notice import Happening, Notice
from demur.core.review import ReviewState
from demur.core.terms import Timestamp, parse_timestamp
from demur.errors import ConfigurationError
from demur.steps import linking
from demur.steps.enrolling import LOCAL
from demur.steps.people import People
from demur.wiring import Parts, Place, Settings, open_gate, sink_places
from demur.wiring.notices import open_notices

# Some of Apprise's many plugins import these; nothing here uses those.
pytestmark = pytest.mark.filterwarnings("ignore:'(imghdr|telnetlib)' is deprecated:DeprecationWarning")
START = parse_timestamp("2026-11-20T09:00:00Z")
DESK = "https://desk.example"
POLICY = """
demur: 1
namespace: shop
actions:
  refund: {arguments: {amount: int}}
  erase: {arguments: {amount: int}}
rules:
  - id: refund
    effect: review
    actions: [refund]
    review: {role: manager, within: 1h, risk: high}
  - id: erase
    effect: review
    actions: [erase]
    review: {role: keeper, within: 4h, risk: low}
"""
PERSONAL = ("zx81-ann", "zx81-invoice", "7654321", "zx81-bot")


class Post(http.server.BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        server: Any = self.server
        if server.is_out_of_order:
            self.send_response(500)
        else:
            server.got.append((self.path, json.loads(body)))
            self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


class Server(http.server.ThreadingHTTPServer):
    def __init__(self, *given: Any) -> None:
        self.got: list[tuple[str, dict[str, str]]] = []
        self.is_out_of_order = False
        super().__init__(*given)


class Place80:
    """A real server that takes what Apprise posts as JSON."""

    def __init__(self) -> None:
        self.server = Server(("127.0.0.1", 0), Post)
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()
        self.port = self.server.server_address[1]

    @property
    def got(self) -> list[tuple[str, dict[str, str]]]:
        return self.server.got

    def titles(self) -> list[str]:
        return [body["title"] for _, body in self.got]

    def url(self, path: str = "room") -> str:
        return f"json://127.0.0.1:{self.port}/{path}"


@pytest.fixture
def outside() -> Iterator[Place80]:
    place = Place80()
    yield place
    place.server.shutdown()
    place.server.server_close()


@pytest.fixture
def policies(tmp_path: Path) -> Path:
    folder = tmp_path / "policies"
    folder.mkdir()
    (folder / "shop.yaml").write_text(POLICY)
    return folder


def place(tmp_path: Path, url: str, name: str = "room", **more: Any) -> dict[str, Place]:
    path = tmp_path / f"{name}.url"
    path.write_text(f"# where it goes\n{url}\n")
    return {name: Place(url_file=str(path), **more)}


@contextmanager
def gate(policies: Path, home: Path | None, places: dict[str, Place], **more: Any) -> Iterator[Parts]:
    parts = open_gate(
        Settings(policies, home, notify=places, desk_url=DESK, heartbeat_seconds=0, desk_seconds=0, **more)
    )
    try:
        yield parts
    finally:
        parts.gate.close()


def wait_until(is_so: Callable[[], object], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not is_so() and time.monotonic() < end:
        time.sleep(0.02)
    assert is_so()


def defer(parts: Parts, action: str = "refund", subject: str = "zx81-ann") -> str:
    answer: Any = parts.gate.decide(
        {
            "subject": {"type": "user", "id": subject},
            "actor": {"type": "agent", "id": "zx81-bot"},
            "action": {"name": action, "properties": {"amount": 7654321}},
            "resource": {"type": "invoice", "id": "zx81-invoice"},
        }
    )
    review_id: str = answer.review_id
    return review_id


def add(parts: Parts, name: str, *panels: str, languages: tuple[str, ...] = ()) -> str:
    people = People(parts.world.store, parts.world.vault, parts.world.clock)
    people.add(name, by=LOCAL, roles=[Role.REVIEWER], panels=panels, languages=languages)
    return people.log_in(people.id_of(name))


def told_of(parts: Parts, *names: str) -> bool:
    """Whether all of the ledger was gone through for these places."""
    size = parts.world.store.read(lambda tx: tx.head.size)
    return all(found and found.next >= size for found in sink_places(parts.world.store, names).values())


def test_a_place_is_told_what_waits_and_nothing_that_names_anybody(
    policies: Path, tmp_path: Path, outside: Place80
) -> None:
    with gate(policies, tmp_path / "home", place(tmp_path, outside.url())) as parts:
        review = defer(parts)
        defer(parts)  # asked again, the same review
        wait_until(lambda: told_of(parts, "notify.room"))
        deadline = parts.gate.reviews()[0].deadline
    ((path, body),) = outside.got
    assert path == "/room"
    assert body["title"] == f"Review {review} waits for a decision"
    assert body["message"].splitlines() == [
        "Risk: high",
        f"Decide by: {deadline}",
        f"{DESK}/desk/reviews/{review}",
    ]
    assert not [text for text in PERSONAL if text in json.dumps(outside.got)]


def test_an_action_is_named_only_where_the_place_may_be_told(policies: Path, tmp_path: Path, outside: Place80) -> None:
    places = place(tmp_path, outside.url(), named_actions=("ref*",))
    with gate(policies, None, places) as parts:
        defer(parts)
        defer(parts, "erase")
        wait_until(lambda: len(outside.got) == 2)
    lines = [body["message"].splitlines() for _, body in outside.got]
    assert ["Action: refund" in each for each in lines] == [True, False]
    assert "erase" not in json.dumps(outside.got)


@pytest.mark.parametrize(
    ("wish", "told"),
    [
        ({"risks": ("high",)}, ["refund"]),
        ({"risks": ("low", "medium")}, ["erase"]),
        ({"roles": ("keeper",)}, ["erase"]),
        ({"roles": ("nobody",)}, []),
        ({"roles": ("keeper",), "risks": ("high",)}, []),
        ({"groups": ("north",)}, []),
        ({"events": ("expired",)}, []),
        ({}, ["refund", "erase"]),
    ],
)
def test_a_place_is_told_what_it_asked_for(
    policies: Path, tmp_path: Path, outside: Place80, wish: dict[str, Any], told: list[str]
) -> None:
    places = place(tmp_path, outside.url(), named_actions=("*",), **wish)
    with gate(policies, None, places) as parts:
        defer(parts)
        defer(parts, "erase")
        wait_until(lambda: told_of(parts, "notify.room"))
    assert [body["message"].split("Action: ")[1].split()[0] for _, body in outside.got] == told


def test_what_follows_is_told_too_as_it_stands_then(policies: Path, tmp_path: Path, outside: Place80) -> None:
    events = tuple(Happening)
    with gate(policies, None, place(tmp_path, outside.url(), events=events, locale="de")) as parts:
        mara, otto = add(parts, "mara", "manager"), parts.book.add("otto", ["operator", "manager"])
        first, second = defer(parts), defer(parts, "erase")
        parts.gate.take(first, credential=mara)
        wait_until(lambda: told_of(parts, "notify.room"))
        parts.gate.rule(first, verdict="reject", reason="zx81-ann may not", credential=mara)
        parts.gate.cancel_request(second)
        wait_until(lambda: told_of(parts, "notify.room"))
        assert otto
    assert outside.titles() == [
        f"Prüfung {first} wartet auf eine Entscheidung",
        f"Prüfung {second} wartet auf eine Entscheidung",
        f"Prüfung {first} wurde zugeteilt",
        f"Prüfung {first} ist beendet: abgelehnt",
        f"Prüfung {second} ist beendet: nicht mehr nötig",
    ]
    assert not [text for text in PERSONAL if text in json.dumps(outside.got)]


def test_a_person_is_told_what_they_may_rule_on_with_a_link_of_their_own(
    policies: Path, tmp_path: Path, outside: Place80
) -> None:
    places = {
        **place(tmp_path, outside.url("mara"), "mara", person="mara"),
        **place(tmp_path, outside.url("zx81-ann"), "ann", person="zx81-ann"),
        **place(tmp_path, outside.url("kim"), "kim", person="kim"),
    }
    with gate(policies, None, places) as parts:
        add(parts, "mara", "manager", languages=("fr-CA",))
        add(parts, "zx81-ann", "manager")
        add(parts, "kim", "keeper")
        review = defer(parts)
        wait_until(lambda: told_of(parts, *(f"notify.{name}" for name in places)))
        ((path, body),) = outside.got
        assert path == "/mara"
        assert body["title"] == f"L’examen {review} attend une décision"
        link = next(line for line in body["message"].splitlines() if line.startswith("https://"))
        token = link.removeprefix(f"{DESK}/desk/links/")
        world = parts.world
        for person, is_theirs in (("mara", True), ("kim", False), ("zx81-ann", False)):
            found = world.store.read(partial(_found, world, token, person))
            assert (found is not None) is is_theirs
        assert "mara" not in body["message"]


def _found(world: Any, token: str, person: str, tx: Any) -> Any:
    return linking.find(world, tx, token, person)


def test_a_person_is_not_told_what_another_holds(policies: Path, tmp_path: Path, outside: Place80) -> None:
    places = {
        **place(tmp_path, outside.url("mara"), "mara", person="mara", events=("assigned",)),
        **place(tmp_path, outside.url("otto"), "otto", person="otto", events=("assigned",)),
    }
    with gate(policies, None, places) as parts:
        mara, _ = add(parts, "mara", "manager"), add(parts, "otto", "manager")
        parts.gate.take(defer(parts), credential=mara)
        wait_until(lambda: told_of(parts, "notify.mara", "notify.otto"))
    assert [path for path, _ in outside.got] == ["/mara"]


def test_a_place_that_is_away_is_told_later_also_by_the_next_process(
    policies: Path, tmp_path: Path, outside: Place80
) -> None:
    outside.server.is_out_of_order = True
    home, places = tmp_path / "home", place(tmp_path, outside.url())
    with gate(policies, home, places) as parts:
        review = defer(parts)
        wait_until(lambda: _error(parts))
        assert "took nothing" in _error(parts)
    outside.server.is_out_of_order = False
    with gate(policies, home, places) as parts:
        wait_until(lambda: told_of(parts, "notify.room"))
    assert outside.titles() == [f"Review {review} waits for a decision"]


def test_what_is_over_by_the_time_it_could_be_told_is_not(policies: Path, tmp_path: Path, outside: Place80) -> None:
    outside.server.is_out_of_order = True
    with gate(policies, tmp_path / "home", place(tmp_path, outside.url())) as parts:
        review = defer(parts)
        wait_until(lambda: _error(parts))
        parts.gate.cancel_request(review)
        outside.server.is_out_of_order = False
        wait_until(lambda: told_of(parts, "notify.room"))
    assert outside.got == []


def _error(parts: Parts) -> str:
    found = sink_places(parts.world.store, ["notify.room"])["notify.room"]
    return found.error if found else ""


def test_of_several_replicas_one_tells(policies: Path, tmp_path: Path) -> None:
    sent: list[str] = []

    def opener(_: str) -> Callable[[Any], bool]:
        def send(told: Any) -> bool:
            sent.append(told.title)
            return True

        return send

    parts = open_gate(Settings(policies))
    places = place(tmp_path, "x://")
    replicas = [open_notices(parts.world, places, DESK, opener=opener)[0] for _ in range(3)]
    for one in replicas:
        one.step()
    reviews = [defer(parts), defer(parts, "erase")]
    for _ in range(3):
        for one in replicas:
            one.step()
    assert sent == [f"Review {review} waits for a decision" for review in reviews]
    parts.gate.close()


def test_a_near_deadline_is_recorded_and_told_once_whoever_looks(
    policies: Path, tmp_path: Path, outside: Place80
) -> None:
    clock = ManualClock(START)
    places = place(tmp_path, outside.url(), events=("deadline_near",))
    with gate(policies, tmp_path / "home", places, clock=clock) as parts:
        review, later = defer(parts), defer(parts, "erase")
        clock.advance(45 * 60 - 1)
        assert parts.gate.remind(900) == 0
        clock.advance(1)
        assert [parts.gate.remind(900), parts.gate.remind(900)] == [1, 0]
        wait_until(lambda: told_of(parts, "notify.room"))
    with gate(policies, tmp_path / "home", places, clock=clock) as parts:
        clock.advance(60)
        assert parts.gate.remind(900) == 0
        wait_until(lambda: told_of(parts, "notify.room"))
    assert outside.titles() == [f"Review {review}: the deadline is near"]
    assert later not in json.dumps(outside.got)


def test_no_log_line_and_no_error_names_an_address(
    policies: Path, tmp_path: Path, outside: Place80, caplog: pytest.LogCaptureFixture
) -> None:
    outside.server.is_out_of_order = True
    with (
        caplog.at_level(logging.DEBUG),
        gate(policies, tmp_path / "home", place(tmp_path, outside.url("a-secret-token"))) as parts,
    ):
        defer(parts)
        wait_until(lambda: _error(parts))
        assert "secret" not in _error(parts)
    assert "Failed to send JSON POST notification" in caplog.text  # what names no address is still said
    assert "a-secret-token" not in caplog.text


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"url": "nonsense-secret"}, "an address that Apprise understands for the place `room`"),
        ({"url": "# nothing but a remark"}, "found none"),
        ({"url": None}, "cannot be read"),
        ({"env": "DEMUR_NO_SUCH_PLACE"}, "the variable `DEMUR_NO_SUCH_PLACE`"),
        ({"both": True}, "either `url_file` or `url_env`"),
        ({"neither": True}, "either `url_file` or `url_env`"),
        ({"url": "json://localhost/secret", "risks": ("huge",)}, "found `huge`"),
        ({"url": "json://localhost/secret", "events": ()}, "expected some of `events`"),
        ({"url": "json://localhost/secret", "name": "Room 101"}, "expected a name"),
    ],
)
def test_a_place_that_cannot_be_is_refused_when_the_gate_opens(
    policies: Path, tmp_path: Path, given: dict[str, Any], said: str
) -> None:
    path = tmp_path / "room.url"
    if given.get("url") is not None:
        path.write_text(given["url"])
    named: dict[str, Any] = {} if "env" in given or "neither" in given else {"url_file": str(path)}
    named |= {"url_env": given.get("env", "X")} if "env" in given or "both" in given else {}
    more = {name: given[name] for name in ("risks", "events") if name in given}
    places = {given.get("name", "room"): Place(**named, **more)}
    with pytest.raises(ConfigurationError) as error:
        open_gate(Settings(policies, notify=places))
    assert said in str(error.value)
    assert "secret" not in str(error.value)


def test_a_place_from_a_variable_is_told_by_all_its_addresses(
    policies: Path, outside: Place80, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROOMS", f"{outside.url('one')}\n{outside.url('two')}")
    with gate(policies, None, {"room": Place(url_env="ROOMS")}) as parts:
        defer(parts)
        wait_until(lambda: len(outside.got) == 2)
    assert sorted(path for path, _ in outside.got) == ["/one", "/two"]


class Mail(socketserver.StreamRequestHandler):
    """As much of SMTP (RFC 5321) as a client needs that sends one mail without authentication."""

    def handle(self) -> None:
        self.say("220 here")
        while line := self.rfile.readline().decode().strip():
            match line[:4].upper():
                case "DATA":
                    self.say("354 go on")
                    mail = []
                    while (text := self.rfile.readline()) != b".\r\n":
                        mail.append(text)
                    self.server.got.append(b"".join(mail).decode())  # type: ignore[attr-defined]  # of the test
                    self.say("250 taken")
                case "QUIT":
                    self.say("221 bye")
                    return
                case _:
                    self.say("250 fine")

    def say(self, text: str) -> None:
        self.wfile.write(text.encode() + b"\r\n")


def test_a_mail_is_a_mail(policies: Path, tmp_path: Path) -> None:
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Mail) as server:
        got: list[str] = []
        server.got = got  # type: ignore[attr-defined]  # of the test
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        url = f"mailto://localhost:{server.server_address[1]}?from=desk@localhost.local&to=mara@localhost.local"
        with gate(policies, None, place(tmp_path, url, "mara", person="mara")) as parts:
            add(parts, "mara", "manager")
            review = defer(parts)
            wait_until(lambda: got)
        server.shutdown()
    (mail,) = got
    assert f"Subject: Review {review} waits for a decision" in mail
    assert not [text for text in PERSONAL if text in mail]


@pytest.mark.parametrize("locale", phrases.LOCALES)
@pytest.mark.parametrize("what", Happening)
@pytest.mark.parametrize("risk", ["low", "medium", "high", "critical"])
def test_every_language_has_words_for_everything(locale: str, what: Happening, risk: str) -> None:
    for state in ReviewState:
        found = Notice(
            what=what,
            review_id="5f0c1b2a3d4e5f60",
            risk=risk,
            deadline=Timestamp(START.nanos),
            state=state,
            action="refund",
            link="https://desk.example/desk/reviews/5f0c1b2a3d4e5f60",
            is_personal=True,
        )
        title, body = notice.words(found, locale)
        assert "5f0c1b2a3d4e5f60" in title
        assert "{" not in title + body
        assert "deadline" not in body
    assert set(notice._WORDS[locale]) == set(notice._WORDS["en"])


def test_a_courier_of_a_place_stops_with_its_gate(policies: Path, tmp_path: Path, outside: Place80) -> None:
    with gate(policies, None, place(tmp_path, outside.url())):
        assert any(one.name == "demur-outbox-notify.room" for one in threading.enumerate())
    assert not any(one.name == "demur-outbox-notify.room" for one in threading.enumerate())
