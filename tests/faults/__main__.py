"""The long fault runs: `python -m tests.faults RUN ...`. Exits with 1 where anything was lost.

kills       a gate killed at random moments
calls       a gate whose system calls fail or kill it (needs strace)
power       the disk as a power cut at any moment could leave it (needs strace)
postgres    PostgreSQL stopped at once, and connections cut at COMMIT
model       every state of a small model of the protocol
reviews     a process killed between any two steps of every transition of a review (system calls need strace)
all         all of these, and a table at the end
table       the table of the runs so far
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections import Counter
from pathlib import Path

from tests.faults.injected import Torture, is_possible
from tests.faults.kills import Slaughter
from tests.faults.model import Bounds, explore
from tests.faults.power import Blackout
from tests.faults.reports import Report, table
from tests.faults.transitions import TRANSITIONS, Torn

EVERY = 20
"""After so many points the counts are told."""
MEMORY = Path("/dev/shm") if os.access("/dev/shm", os.W_OK) else Path(tempfile.gettempdir())
DISK = Path(tempfile.gettempdir())
NO_STRACE = "needs strace, and the right to attach it to a process\n"


def kills(options: argparse.Namespace) -> bool:
    """Kill as often as asked for; whether nothing was lost."""
    report = Report(options.out, options.name)
    run = Slaughter(
        options.folder,
        options.number,
        threads=options.threads,
        life_seconds=options.life_seconds,
        seed=options.seed,
        counts=report.counts,
        on_round=lambda run: report.keep(run.counts, run.examples),
    )
    counts = run.run()
    return report.keep(counts, run.examples, is_done=True)


def calls(options: argparse.Namespace) -> bool:
    """A fault at so many system calls; whether nothing was lost and the gate recovered from each."""
    if not is_possible():
        sys.stderr.write(NO_STRACE)
        return False
    report = Report(options.out, options.name)
    run = Torture(options.folder, counts=report.counts)
    points = run.points(options.number, options.seed)
    for done, point in enumerate(points[run.counts["tried"] :], start=1):
        run.suffer(point)
        if done % EVERY == 0:
            report.keep(run.counts, run.examples)
    return report.keep(run.counts, run.examples, is_done=True)


def power(options: argparse.Namespace) -> bool:
    """So many states of the disk; whether each held what was acknowledged."""
    if not is_possible():
        sys.stderr.write(NO_STRACE)
        return False
    report = Report(options.out, options.name)
    run = Blackout(options.folder, counts=report.counts)
    counts = run.run(options.number, options.seed, lambda run: report.keep(run.counts, run.examples))
    return report.keep(counts, run.examples, is_done=True)


def postgres(options: argparse.Namespace) -> bool:
    """So many stops and so many cuts; whether nothing was lost."""
    from tests.faults import postgres_cuts, postgres_stops

    is_sound = True
    for name, run in (("postgres-stops", postgres_stops.run), ("postgres-cuts", postgres_cuts.run)):
        report = Report(options.out, name)
        counts, faults = run(options.number, seed=options.seed)
        is_sound = report.keep(counts, faults, is_done=True) and is_sound
    return is_sound


def model(options: argparse.Namespace) -> bool:
    """Every state of the model; whether none breaks a rule."""
    report = Report(options.out, options.name)
    found = explore(Bounds(grants=options.number, records=options.records))
    counts = Counter(states=found.states, steps=found.steps)
    return report.keep(counts, [" / ".join((found.fault, *found.trace))] if found.fault else [], is_done=True)


def reviews(options: argparse.Namespace) -> bool:
    """Every transition of a review, killed at so many lines and at every call that writes; whether all was sound."""
    report = Report(options.out, options.name)
    counts: Counter[str] = Counter()
    examples: list[str] = []
    for transition in TRANSITIONS:
        torn = Torn(options.folder, transition)
        torn.at_lines(options.number)
        if is_possible():
            torn.at_calls()
        counts += torn.counts
        examples += torn.examples
        report.keep(counts, examples)
    return report.keep(counts, examples, is_done=True)


def everything(options: argparse.Namespace) -> bool:
    """All runs in their long form, one after the other, then the table."""
    commands = (
        ("kills", "kills-memory", "--folder", str(MEMORY / "demur-kills"), "--number", "7000", "--threads", "24"),
        ("kills", "kills-disk", "--folder", str(DISK / "demur-kills"), "--number", "3000", "--threads", "48"),
        ("calls", "calls", "--number", "1100"),
        ("power", "power", "--number", "100000"),
        ("postgres", "--number", "1000"),
        ("model", "model", "--number", "2", "--records", "4"),
        ("reviews", "reviews", "--number", "24"),
    )
    outcomes = [run(["--out", str(options.out), *command]) for command in commands]
    sys.stdout.write(table(options.out))
    return all(outcomes)


def run(words: list[str]) -> bool:
    """One command; whether nothing is wrong."""
    options = _parser().parse_args(words)
    return bool(options.run(options))


def _table(options: argparse.Namespace) -> bool:
    sys.stdout.write(table(options.out))
    return True


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.faults", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("faults"), help="folder for the counts")
    commands = parser.add_subparsers(required=True)
    for function, number in (
        (kills, 5_000),
        (calls, 1_000),
        (power, 100_000),
        (postgres, 1_000),
        (model, 1),
        (reviews, 16),
    ):
        command = commands.add_parser(function.__name__)
        if function is not postgres:
            command.add_argument("name", help="of the run, and of its file", nargs="?", default=function.__name__)
        command.add_argument("--folder", type=Path, default=MEMORY / f"demur-{function.__name__}", help="for homes")
        command.add_argument("--number", type=int, default=number)
        command.add_argument("--seed", type=int, default=1)
        command.set_defaults(run=function)
        if function is kills:
            command.add_argument("--threads", type=int, default=32)
            command.add_argument("--life-seconds", type=float, default=0.3)
        if function is model:
            command.add_argument("--records", type=int, default=6)
    commands.add_parser("all").set_defaults(run=everything)
    commands.add_parser("table").set_defaults(run=_table)
    return parser


if __name__ == "__main__":
    sys.exit(0 if run(sys.argv[1:]) else 1)
