"""Reviews decided without a mouse: every step is a key."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from demur.core.review import ReviewState
from tests.browser.browsing import Visit
from tests.browser.conftest import Visiting
from tests.browser.house import House, Person, transfer
from tests.browser.story import dispense


def press(page: Page, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


def log_in_by_keys(visit: Visit, person: Person) -> None:
    visit.go("/login")
    page = visit.page
    page.keyboard.press("Shift+Tab")  # the name has the focus; the tenant stands before it
    for text in (person.tenant, person.name, person.password):
        page.keyboard.type(text)
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_url("**/desk")


def decide(visit: Visit, key: str, reason: str, *, grave: bool = False) -> None:
    """From the queue: the first line, its verdict, a reason, and back."""
    page = visit.page
    press(page, "j", key)
    page.wait_for_url("**/desk/reviews/**")
    field = page.locator("#approve-reason" if key == "a" else "#reject-reason")
    expect(field).to_be_focused()
    page.keyboard.type(reason)
    if grave:
        tick = page.get_by_role("checkbox", name="The risk is high")
        while not tick.evaluate("(box) => box === document.activeElement"):
            page.keyboard.press("Tab")
        page.keyboard.press("Space")
        page.keyboard.press("Enter")
    else:
        page.keyboard.press("Control+Enter")
    expect(page.get_by_role("status").filter(has_text="Approved." if key == "a" else "Denied.")).to_be_visible()
    page.wait_for_load_state()
    press(page, "u")
    page.wait_for_url("**/desk")


def test_five_reviews_are_decided_by_keys_alone(home: House, visiting: Visiting, mara: Person) -> None:
    asked = [
        home.defer(dispense("morphine", 30)),
        *(home.defer(transfer(amount, resource=f"acc-{amount}")) for amount in (60_000, 70_000, 80_000, 90_000)),
    ]
    visit = visiting()
    log_in_by_keys(visit, mara)
    expect(visit.page.locator("[data-row]")).to_have_count(5)

    decide(visit, "a", "palliative care, confirmed by the ward", grave=True)
    decide(visit, "r", "not in the budget")
    decide(visit, "a", "ثالث فاتورة من السلسلة")
    decide(visit, "d", "the account changed a day before")
    decide(visit, "a", "known supplier")

    expect(visit.page.get_by_text("Nothing waits")).to_be_visible()
    states = [home.review(one).review.state for one in asked]
    approved, denied = ReviewState.APPROVED, ReviewState.DENIED
    assert states == [approved, denied, approved, denied, approved]
    assert [len(home.review(one).review.rulings) for one in asked] == [1] * 5


def test_keys_move_through_the_queue_and_say_what_they_do(home: House, visiting: Visiting, mara: Person) -> None:
    for number in range(3):
        home.defer(transfer(60_000 + number, resource=f"r-{number}"))
    visit = visiting(mara)
    visit.go("/desk")
    page = visit.page
    ids = page.eval_on_selector_all("[data-row]", "(rows) => rows.map((row) => row.dataset.row)")

    def focused() -> str:
        return str(page.evaluate("document.activeElement.closest('[data-row]')?.dataset.row ?? ''"))

    seen = []
    for key in ("j", "j", "j", "j", "k"):
        press(page, key)
        seen.append(focused())
    assert seen == [ids[0], ids[1], ids[2], ids[2], ids[1]]
    assert len(ids) == 3

    press(page, "?")
    expect(page.get_by_role("dialog")).to_be_visible()
    press(page, "a")
    assert visit.path == "/desk"
    press(page, "Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()

    press(page, "/")
    expect(page.get_by_label("Find by id")).to_be_focused()
    page.keyboard.type(ids[2][:8])
    expect(page.locator("[data-row]")).to_have_count(1)
    press(page, "Escape", "j", "Enter")
    page.wait_for_url(f"**/desk/reviews/{ids[2]}")
    press(page, "g", "d")
    page.wait_for_url("**/desk/decisions")


def test_keys_can_be_turned_off(home: House, visiting: Visiting, mara: Person) -> None:
    """WCAG 2.1.4: whoever speaks to their computer does not press keys by speaking."""
    home.defer(transfer(60_000))
    visit = visiting(mara)
    visit.go("/desk")
    page = visit.page
    press(page, "?")
    page.get_by_role("dialog").get_by_role("checkbox").focus()
    press(page, "Space", "Escape")
    press(page, "j", "a")

    assert visit.path == "/desk"
    assert page.evaluate("document.activeElement.closest('[data-row]')") is None


def test_every_control_of_a_review_is_reached_by_tab_and_is_seen(home: House, visiting: Visiting, mara: Person) -> None:
    visit = visiting(mara)
    visit.go(f"/desk/reviews/{home.defer(transfer(61_000))}")
    page = visit.page
    wanted = page.evaluate(
        """[...document.querySelectorAll('main button:enabled, main a, main textarea, main summary')]
        .filter((one) => one.checkVisibility()).length"""
    )
    reached = set()
    for _ in range(200):
        press(page, "Tab")
        where = page.evaluate(
            """() => { const one = document.activeElement, style = getComputedStyle(one), box = one.getBoundingClientRect();
            const at = document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2);
            return {inside: !!one.closest('main'), path: [...document.querySelectorAll('*')].indexOf(one), name: one.tagName,
              outline: style.outlineStyle !== 'none' && style.outlineWidth !== '0px' || style.boxShadow !== 'none',
              html: one.outerHTML.slice(0, 90), over: at?.outerHTML.slice(0, 90), seen: !!at && (one.contains(at) || at.contains(one) || !!at.closest('label')?.contains(one))}; }"""
        )
        if where["inside"]:
            assert where["outline"], where
            assert where["seen"], where
            reached.add(where["path"])
        elif reached:
            break
    assert len(reached) >= wanted > 10
