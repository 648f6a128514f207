"""A ward assistant's requests at the clinic's gate: `python examples/clinic/run.py [HOME] [LOCALE]`.

`requests.ndjson` is what the assistant wants, one AuthZEN request per line. Whatever is granted is carried out; what a
person must decide is put to the pharmacist, whose credential is issued here for the sake of the example.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from facts import records

import demur
from demur import wiring

if TYPE_CHECKING:
    from collections.abc import Callable

HERE = Path(__file__).parent
ASSISTANT = demur.Caller("ward-assistant")
TOOLS: dict[str, Callable[..., str]] = {
    "read_record": lambda record: f"opened {record}",
    "update_record": lambda record, section, text: f"wrote {len(text)} characters into {section} of {record}",
    "dispense": lambda prescription, medicine, dose: f"handed out {dose} mg {medicine} for {prescription}",
}


def carry_out(gate: demur.Gateway, request: dict, locale: str) -> demur.Grant | demur.Refusal | demur.Deferral:
    """Ask the gate; run the tool only on a grant that was redeemed for the very arguments the tool gets."""
    answer = gate.decide(request, caller=ASSISTANT)
    what = f"{request['subject']['id']}: {request['action']['name']} {request['resource']['id']}"
    match answer:
        case demur.Grant():
            arguments = dict(answer.arguments)
            redeemed = gate.redeem(answer.token, arguments)
            if isinstance(redeemed, demur.Redemption):
                print(f"{what}\n  allow: {TOOLS[answer.action](answer.resource.id, **arguments)}")
                gate.complete(answer.id, "success")
        case demur.Refusal():
            told = answer.explain(audience=demur.Audience.END_USER, locale=locale)
            print(f"{what}\n  {answer.outcome} ({answer.reason.category}): {told}")
        case demur.Deferral():
            told = answer.refusal.explain(audience=demur.Audience.END_USER, locale=locale)
            print(f"{what}\n  {answer.outcome}: {told}")
    return answer


def main(home: Path, locale: str = "en") -> None:
    """Put every request to the gate, and what is deferred to the pharmacist."""
    with demur.open(HERE, home=home, sources={"records": records}) as gate:
        credential = wiring.open_reviewers(home).add("dr-apotheker", ["pharmacist"])
        for line in (HERE / "requests.ndjson").read_text(encoding="utf-8").splitlines():
            request = json.loads(line)
            answer = carry_out(gate, request, locale)
            if isinstance(answer, demur.Deferral):
                gate.rule(answer.review_id, verdict="approve", reason="palliative care, agreed", credential=credential)
                carry_out(gate, request, locale)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        main(Path(sys.argv[1] if len(sys.argv) > 1 else scratch), *sys.argv[2:3])
