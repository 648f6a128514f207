"""A day and a half at a bank that also runs a clinic, so that pages have something to show. All of it by the API."""

from __future__ import annotations

from typing import Any

from demur.core.access import Role
from tests.browser.house import TENANTS, House, Person, hurry, transfer

DAYS = 86_400.0
START = -1.5 * DAYS
"""When the story begins, in seconds from now; it ends now."""
EVERYTHING = tuple(sorted(set(Role) - {Role.CALLER}))


def dispense(medicine: str, dose: int, *, ward: str = "ward-3", **more: object) -> dict[str, Any]:
    """Ask for a dose of so many milligrams."""
    return {
        "subject": {"type": "user", "id": "nurse-lind"},
        "action": {"name": "dispense", "properties": {"medicine": medicine, "dose": dose}},
        "resource": {"type": "prescription", "id": f"{ward}/{medicine}"},
        **more,
    }


def delete(*ids: str) -> dict[str, Any]:
    """Ask for the deletion of records."""
    return {
        "subject": {"type": "user", "id": "officer-haas"},
        "action": {"name": "delete_records", "properties": {"ids": list(ids)}},
        "resource": {"type": "record", "id": "archive-2009"},
    }


def note(text: str) -> dict[str, Any]:
    """Ask for a note on a file."""
    return {
        "subject": {"type": "user", "id": "ann"},
        "action": {"name": "post_note", "properties": {"text": text}},
        "resource": {"type": "account", "id": "acc-1"},
    }


def staff(house: House) -> tuple[Person, Person, Person]:
    """An operator who may see everything, and two reviewers."""
    olga = house.person("olga", *EVERYTHING, panels=("payments", "pharmacist", "records"))
    mara = house.person("mara", Role.REVIEWER, panels=("payments", "pharmacist"))
    tarek = house.person("طارق", Role.REVIEWER, Role.AUDITOR, panels=("payments",))
    return olga, mara, tarek


def tell(house: House) -> None:
    """Fill the house."""
    olga, mara, tarek = staff(house)
    _past(house, mara, tarek)
    house.clock.advance(-house.clock.ahead - 2_950)
    _today(house, mara)
    _levers(house, olga)
    _ahead(house, olga, mara, tarek)


def _past(house: House, mara: Person, tarek: Person) -> None:
    """What was decided and ruled on before."""
    ruled = (
        (
            transfer(120_000, payee="Stadtwerke Köln", memo="Abschlag März"),
            mara,
            "approve",
            "the invoice was checked by phone",
        ),
        (transfer(910_000, payee="Zoë & Søn ApS"), tarek, "approve", "known supplier, third invoice of the series"),
        (
            transfer(2_400_000, payee="Nordlicht GmbH"),
            mara,
            "reject",
            "the account number changed a day before; call back first",
        ),
        (dispense("morphine", 30), mara, "approve", "palliative care, confirmed by Dr. Weber"),
        (dispense("ibuprofen", 1_600), mara, "reject", "twice the usual dose, no reason given"),
        (transfer(150_000, subject="李雷", payee="北京供电局", resource="acc-8"), tarek, "approve", "电费，与上月相同"),
        (transfer(300_000, subject="سلمى", payee="شركة النيل", resource="acc-9"), tarek, "reject", "الرصيد غير كافٍ"),
    )
    for body, person, verdict, reason in ruled:
        review = house.defer(body)
        house.clock.advance(700)
        house.rule(review, person, verdict, reason)
        for number in range(3):
            house.ask(transfer(5_000 * (number + 1)))
        house.ask(transfer(2_500_000, subject="omar"))
        house.ask(dispense("paracetamol", 500))
        house.ask(note("READ THIS NOW!!!" if verdict == "reject" else "called back, all is well"))
        house.clock.advance(9_000)
    house.defer(hurry())
    house.ask(transfer(90_000, subject="yara"))
    house.ask(transfer(150_000, subject="jonas"))
    house.clock.advance(600)


def _today(house: House, mara: Person) -> None:
    """What waits now."""
    house.defer(transfer(240_000, payee="Müller & Söhne GbR", memo="Rechnung 2026-114, Dachreparatur"))
    house.clock.advance(400)
    two = house.defer(transfer(7_500_000, payee="Notariat am Markt", memo="Kaufpreis Wohnung"))
    house.rule(two, mara, "approve", "the notary confirmed the contract")
    house.clock.advance(600)
    house.defer(delete("r-2207", "r-2208", "r-2209", "r-2210"))
    house.defer(transfer(180_000, subject="李雷", payee="北京供电局", memo="五月电费", resource="acc-8"))
    house.clock.advance(800)
    house.defer(transfer(420_000, subject="سلمى", payee="شركة النيل للمقاولات", memo="دفعة ثانية", resource="acc-9"))
    house.defer(dispense("morphine", 40, ward="station-7"))
    for amount in (61_000, 62_500, 70_000, 88_000):
        house.defer(transfer(amount, payee="Bäckerei Kern", resource="acc-3"))
    house.clock.advance(1_150)
    house.defer(hurry())
    house.ask(dispense("morphine", 400))
    house.ask(note("STOP!!!"))


def _levers(house: House, olga: Person) -> None:
    """A stop and a quarantine, so that their pages are not empty."""
    credential = house.credential(olga)
    house.call("POST", "/levers/stops", credential, actions=["delete_*"], reason="the archive is being moved this week")
    body = {"caller": "agent:assistant", "subject": {"type": "user", "id": "omar"}, "session": ""}
    house.call("POST", "/sessions/quarantine", credential, reason="asks for the same transfer all night", **body)


def _ahead(house: House, olga: Person, mara: Person, tarek: Person) -> None:
    """A role that is lent, and an approval of what comes again and again."""
    gate = house.service.tenants.gate(TENANTS[0])
    until = house.clock.now().plus(4 * DAYS)
    gate.delegate(to=tarek.name, until=until, credential=house.credential(mara), reason="on leave until Thursday")
    for month in ("January", "February", "March"):
        rent = house.defer(transfer(55_000, payee="Hausverwaltung Öz", memo=f"rent for {month}", resource="acc-rent"))
        house.rule(rent, mara, "approve", "the rent, as every month")
    waiting = house.defer(transfer(55_000, payee="Hausverwaltung Öz", memo="rent for April", resource="acc-rent"))
    scope = gate.standing_propose(waiting).scope
    gate.standing_grant(scope, credential=house.credential(olga), reason="the rent does not change before summer")
