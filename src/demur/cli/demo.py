"""`demur demo`: the whole story in real output. But for the headings, every answer and number comes from the run.

An assistant at the front desk of a clinic calls its tools, each behind the gate, and does what refusals offer. Then the
disk takes no more bytes for a moment, and somebody tampers with copies of the ledger. At last whoever watches can open
the desk and decide what still waits. The policies lie in `story/`.
"""

from __future__ import annotations

import resource as limits
import tempfile
from contextlib import closing, contextmanager, nullcontext
from importlib.resources import as_file, files
from itertools import zip_longest
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Annotated

import typer

from demur.cli import demo_desk, terminal
from demur.errors import ConfigurationError, LedgerError, RefusedError, RulingError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from contextlib import AbstractContextManager as Disk

    from demur.core.refusal import Refusal
    from demur.core.review import Deferral
    from demur.gateway import Gateway

INK = {"allow": "green", "defer": "yellow", "deny": "red", "unavailable": "magenta"}
"""Colour repeats what the word says; without colours nothing is lost."""
CLERK = {"type": "user", "id": "kim"}
ASSISTANT = "front-desk-assistant"
WIDTH = 100
_INDENT = 28
_HALF = (WIDTH - _INDENT - 2) // 2


def demo(
    home: Annotated[
        Path | None, typer.Option("--home", metavar="DIR", help="Keep what was recorded here; default: a fresh folder.")
    ] = None,
) -> None:
    """See actions allowed, refused and deferred, the disk fail, a ledger that notices tampering, and open the desk."""
    if home is not None and home.exists() and (not home.is_dir() or any(home.iterdir())):
        raise ConfigurationError(f"expected an empty folder, found something in `{home}`", hint="choose another one")
    with (
        tempfile.TemporaryDirectory(prefix="demur-demo-") as scratch,
        as_file(files("demur.cli") / "story") as policies,
    ):
        place = home or Path(tempfile.mkdtemp(prefix="demur-demo-"))
        teller = Teller()
        waiting = _work(teller, policies, place)
        _tamper(teller, place, Path(scratch))
        teller.begin(
            f"The desk, where the last refund of chapter 5 waits for {demo_desk.REVIEWER}: serve, log in, look"
        )
        demo_desk.invite(teller.say, place, policies, waiting)


class Teller:
    """Prints the story: a label on the left, what happened on the right."""

    def __init__(self) -> None:
        self._console = terminal.console()
        self._chapters = 0

    def begin(self, title: str) -> None:
        """The next chapter."""
        self._chapters += 1
        gap = "\n" if self._chapters > 1 else ""
        self._console.print(f"{gap}{self._chapters}. {title}", style="bold")

    def tell(self, label: str, text: str, outcome: str = "") -> None:
        """One thing that happened, led by its outcome where it has one."""
        from rich.text import Text

        said = f"{outcome}  {text}" if outcome else text
        lines = wrap(said, min(self._console.width, WIDTH) - _INDENT) or [""]
        lines = [f"   {label:<{_INDENT - 3}}{lines[0]}", *(" " * _INDENT + line for line in lines[1:])]
        told = Text("\n".join(lines))
        told.stylize(INK.get(outcome, ""), _INDENT, _INDENT + len(outcome))
        self._console.print(told)

    def say(self, text: str) -> None:
        """One line to be copied, so as it stands however wide the screen is."""
        self._console.print(f"   {text}", highlight=False, markup=False, soft_wrap=True)

    def beside(self, label: str, left: str, right: str) -> None:
        """Two readings of one thing, side by side."""
        for place, (one, other) in enumerate(zip_longest(wrap(left, _HALF), wrap(right, _HALF), fillvalue="")):
            head = "" if place else label
            self._console.print(
                f"   {head:<{_INDENT - 3}}{one:<{_HALF}}  {other}".rstrip(), highlight=False, markup=False
            )


def _record(arguments: Mapping[str, object]) -> Mapping[str, object]:
    return {"type": "record", "id": arguments["record"]}


def _invoice(arguments: Mapping[str, object]) -> Mapping[str, object]:
    return {"type": "invoice", "id": arguments["invoice"]}


def _device(arguments: Mapping[str, object]) -> Mapping[str, object]:
    return {"type": "device", "id": arguments["device"]}


class Desk:
    """The tools of the front desk behind their gate. `call` says what came of a call and whether its tool ran."""

    def __init__(self, teller: Teller, gate: Gateway, home: Path) -> None:
        from demur import Caller, guard

        self._teller, self._home, self._ran = teller, home, 0
        self._said: set[str] = set()
        self.answer: str | Refusal | Deferral = ""
        caller = Caller(ASSISTANT)

        @guard(gate, subject=CLERK, resource=_record, caller=caller)
        def read_record(record: str) -> str:
            self._ran += 1
            return f"{record}: allergic to penicillin"

        @guard(gate, subject=CLERK, resource=_invoice, caller=caller)
        def refund(invoice: str, amount: int) -> str:
            self._ran += 1
            return f"{invoice}: {amount / 100:.2f} EUR paid back"

        @guard(gate, subject=CLERK, resource=_record, caller=caller)
        def delete_records(record: str, scope: str) -> str:
            self._ran += 1
            return f"{record}: {scope} deleted"

        @guard(gate, subject=CLERK, resource=_record, caller=caller)
        def send_consent_form(record: str) -> str:
            self._ran += 1
            return f"{record}: form sent"

        @guard(gate, subject=CLERK, resource=_device, caller=caller)
        def lend_device(device: str, days: int) -> str:
            self._ran += 1
            return f"{device}: lent for {days} days"

        self.read_record, self.refund, self.delete_records = read_record, refund, delete_records
        self.lend_device = lend_device
        self._tools: dict[str, Callable[..., str]] = {
            "send_consent_form": send_consent_form,
            "lend_device": lend_device,
        }

    def call(self, tool: Callable[..., str], *arguments: object, disk: Callable[[], Disk[None]] = nullcontext) -> str:
        """Call a tool as the assistant would, on such a disk; gives the id of the review that waits, if one does."""
        before, known = self._ran, self._size()
        with disk():
            answer = self.answer = self._attempt(tool, arguments)
        label = " ".join(map(str, (tool.__name__, *arguments)))
        if isinstance(answer, str):
            self._teller.tell(label, f"the tool returned `{answer}`", "allow")
        else:
            self._stopped(label, answer)
        self._teller.tell("", f"tool runs: {self._ran - before}; recorded: {self._recorded(known)}")
        return getattr(answer, "review_id", "")

    def take_offer(self) -> None:
        """Do literally what the last refusal offers the assistant: the cheapest change, or another action."""
        from demur.agents import advice
        from demur.core.review import Deferral

        if isinstance(self.answer, str):
            return
        refused = self.answer.refusal if isinstance(self.answer, Deferral) else self.answer
        told = self.answer.to_dict()
        offer = (*advice.offers(told), *advice.alternatives(told))[0]
        match advice.apply({"action": refused.action}, offer)["action"]:
            case {"name": str(name), "properties": dict(arguments)}:
                self.call(self._tools[name], *arguments.values())

    def _attempt(self, tool: Callable[..., str], arguments: tuple[object, ...]) -> str | Refusal | Deferral:
        try:
            return tool(*arguments)
        except RefusedError as error:
            return error.answer  # type: ignore[return-value]  # one of these two stops a tool

    def _stopped(self, label: str, answer: Refusal | Deferral) -> None:
        from demur.core.review import Deferral

        refused = answer.refusal if isinstance(answer, Deferral) else answer
        reason = refused.reason
        words = [reason.category.value, reason.disposition.value, reason.policy_reference]
        outcome = answer.outcome.value
        self._teller.tell(label, ", ".join(word for word in words if word not in {"", outcome}), outcome)
        # The folder has another name in every run and means nothing to the reader.
        why = refused.explain().replace(str(self._home), "HOME")
        if why in self._said:  # what was said of this action already
            return
        self._said.add(why)
        self._teller.tell("", why)
        for item in refused.missing_conditions:
            self._teller.tell("", f"because {item.explanation} ({', '.join(item.facts)})")
        for offered in _offered(answer.to_dict()):
            self._teller.tell("", offered)

    def _size(self) -> int:
        from demur import wiring

        with closing(wiring.open_reader(self._home)) as reader:
            return reader.head().size

    def _recorded(self, first: int) -> str:
        from demur import wiring
        from demur.core.ledger import chain

        with closing(wiring.open_reader(self._home)) as reader:
            leaves = [chain.read_leaf(record.leaf) for record in reader.records(first)]
        told = [f"{leaf['type']}" + (f" (requests: {leaf['count']})" if "count" in leaf else "") for leaf in leaves]
        return ", ".join(told) or "nothing"


def _offered(told: Mapping[str, object]) -> Iterator[str]:
    """What the refusal offers to this reader, each with the outcome that it was judged to lead to."""
    from demur.agents import advice

    way = advice.remediation(told)
    for item in (*_tables(way, "suggested_modifications"), *_tables(way, "compliant_alternatives")):
        match item:
            case {"action": name}:
                what = f"instead {name}"
            case {"earliest": at}:
                what = f"from {at}, other facts unchanged"
            case {"set": dict(values)}:
                what = ", ".join(f"{path} = {value}" for path, value in values.items())
            case {"obtain": [{"how": how}, *_]}:
                what = str(how)
            case _:
                directions = item.get("direction")
                what = ", ".join(f"{p}: {d}" for p, d in (directions if isinstance(directions, dict) else {}).items())
        yield f"offered: {what}; leads to {item['leads_to']}"


def _tables(way: Mapping[str, object], name: str) -> list[Mapping[str, object]]:
    found = way.get(name)
    return found if isinstance(found, list) else []


def _compare(teller: Teller, answer: str | Refusal | Deferral) -> None:
    """One refusal as the end user and as the operator read it."""
    from demur.agents import advice
    from demur.core.terms import Audience

    if isinstance(answer, str):
        return
    views = [answer.to_dict(audience=who) for who in (Audience.END_USER, Audience.OPERATOR)]
    reasons = [view["context"]["refusal"]["refusal_reason"] for view in views]  # type: ignore[index]  # JSON
    conditions = [_tables(advice.remediation(view), "missing_conditions") for view in views]
    told = [", ".join(f"{item['condition']} ({item['state']})" for item in items) for items in conditions]
    teller.beside("", "END USER", "OPERATOR")
    teller.beside("what is said", *[str(reason["explanation"]) for reason in reasons])
    teller.beside("rule", *[str(reason["policy_reference"] or "-") for reason in reasons])
    teller.beside("conditions in the way", *[text or "-" for text in told])
    teller.beside("what is offered", *["; ".join(_offered(view)).replace("offered: ", "") for view in views])


def _work(teller: Teller, policies: Path, home: Path) -> str:
    """The day at the desk, up to the disk that fails and works again; the id of the review that still waits."""
    import demur
    from demur import wiring

    with demur.open(policies, home=home) as gate:
        desk = Desk(teller, gate, home)
        teller.begin("Allowed, and executed")
        desk.call(desk.read_record, "r-1")
        teller.begin("Refused, with what is missing; the action that it offers instead")
        desk.call(desk.read_record, "r-2")
        desk.take_offer()
        teller.begin("Refused; changed as offered, allowed; once more, and told the earliest time")
        desk.call(desk.lend_device, "d-4", 30)
        refused = desk.answer
        desk.take_offer()
        desk.call(desk.lend_device, "d-5", 7)
        teller.begin("The first of these refusals, as two people read it")
        _compare(teller, refused)
        teller.begin("Deferred to a person; approved with her credential; judged again; executed once")
        waiting = desk.call(desk.refund, "i-9", 90_000)
        credential = wiring.open_reviewers(home).add("vera", ["supervisor"])
        for name, secret in (("the assistant itself", "let-me-in"), ("vera, supervisor", credential)):
            _rule(teller, gate, waiting, name, secret)
        desk.call(desk.refund, "i-9", 90_000)
        waiting = desk.call(desk.refund, "i-9", 90_000)
        teller.begin("Refused for good")
        desk.call(desk.delete_records, "r-1", "all")
        teller.begin("Unavailable: the disk takes no more bytes, so nothing can be recorded and nothing runs")
        desk.call(desk.refund, "i-10", 1_000, disk=_full_disk)
        teller.begin("Available again, with a record of the gap")
        desk.call(desk.refund, "i-10", 1_000)
        return waiting


def _rule(teller: Teller, gate: Gateway, review_id: str, name: str, credential: str) -> None:
    try:
        review = gate.rule(review_id, verdict="approve", reason="the receipt is in order", credential=credential)
    except RulingError as error:
        teller.tell(name, f"may not rule: {error}")
    else:
        teller.tell(name, f"{review.state.value}: review of {', '.join(panel.rule for panel in review.panels)}")


def _tamper(teller: Teller, home: Path, scratch: Path) -> None:
    """What an auditor finds in the ledger, and in two copies that somebody altered."""
    from demur.cli import tampering

    teller.begin("The ledger, and what tampering with a copy of it leaves behind")
    teller.tell("demur ledger verify", _verified(home))
    teller.tell("demur ledger replay", _replayed(home))
    denied = _first_denial(home)
    tampering.flip_bit(home, scratch / "flipped", denied)
    teller.tell(f"one bit of record {denied}", "flipped in a copy")
    teller.tell("demur ledger verify", _verified(scratch / "flipped"))
    tampering.alter_outcome(home, scratch / "altered", denied, "allow")
    teller.tell(f"outcome of record {denied}", "altered in a copy, every hash after it computed anew")
    teller.tell("demur ledger verify", _verified(scratch / "altered"))
    teller.tell("demur ledger replay", _replayed(scratch / "altered"))


def _verified(home: Path) -> str:
    """What `demur ledger verify` finds."""
    from demur import wiring
    from demur.evaluation import verification

    try:
        with closing(wiring.open_reader(home)) as reader:
            found = verification.verify(reader, home)
    except LedgerError as error:
        return f"not ok: {error}"
    return f"ok: {found.end.size} records, {found.sealed} with sealed values; {found.signed} signed"


def _replayed(home: Path) -> str:
    """What `demur ledger replay` finds: each record whose outcome is not what its facts and policies lead to."""
    from demur import wiring
    from demur.evaluation import replay

    with closing(wiring.open_reader(home)) as reader:
        findings = list(replay.replay(reader.records(), reader, reader.vault))
    strange = [finding for finding in findings if finding.status is not replay.Status.SAME]
    if not strange:
        return f"ok: {len(findings)} decisions judged again, all the same"
    return "not ok: " + "; ".join(
        f"record {item.sequence} says `{item.recorded}`, judged again `{item.judged}`" for item in strange
    )


def _first_denial(home: Path) -> int:
    from demur import wiring
    from demur.core.ledger import chain

    with closing(wiring.open_reader(home)) as reader:
        return next(r.sequence for r in reader.records() if chain.read_leaf(r.leaf).get("outcome") == "deny")


@contextmanager
def _full_disk() -> Iterator[None]:
    """Let no file of this process grow or be written, as on a full disk: every write fails in the operating system."""
    soft, hard = limits.getrlimit(limits.RLIMIT_FSIZE)
    limits.setrlimit(limits.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        limits.setrlimit(limits.RLIMIT_FSIZE, (soft, hard))
