"""An adviser's requests at the bank's gate: `python examples/recommendations/run.py [HOME] [LOCALE]`.

`requests.ndjson` is what the assistant wants, one AuthZEN request per line. Printed is what the customer is told; what
the obligations of a refusal ask for (log, notify) reaches a subscriber that the customer knows nothing of.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from facts import accounts

import demur

if TYPE_CHECKING:
    from collections.abc import Mapping

HERE = Path(__file__).parent
ADVISER = demur.Caller("adviser")


def answered(gate: demur.Gateway, line: bytes, locale: str) -> str:
    """The answer to one request in the customer's words. A grant is redeemed and completed where the bank would act."""
    answer = gate.decide(line, caller=ADVISER)
    match answer:
        case demur.Grant():
            redeemed = gate.redeem(answer.token, dict(answer.arguments))
            if isinstance(redeemed, demur.Refusal):
                return redeemed.explain(audience=demur.Audience.END_USER, locale=locale)
            gate.complete(answer.id, "success")
            return f"{answer.action} {answer.resource.id} was carried out"
        case demur.Refusal():
            return answer.explain(audience=demur.Audience.END_USER, locale=locale)
        case demur.Deferral():
            return answer.refusal.explain(audience=demur.Audience.END_USER, locale=locale)


def main(home: Path, locale: str = "en") -> None:
    """Put every request to the gate and print what was asked for, what the customer hears, and who else was told."""
    told: list[str] = []

    def desk(event: Mapping[str, object]) -> None:
        duties = event["data"]["context"].get("refusal", {}).get("obligations", [])
        told.extend(f"{event['subject']}: {duty['type']} {duty['properties']}" for duty in duties)

    with demur.open(HERE, home=home, sources={"account": accounts}) as gate:
        gate.subscribe(desk)
        for line in (HERE / "requests.ndjson").read_bytes().splitlines():
            print(f"{line.decode()}\n  {answered(gate, line, locale)}")
    print("\nobligations carried out:", *told, sep="\n  ")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        main(Path(sys.argv[1] if len(sys.argv) > 1 else scratch), *sys.argv[2:3])
