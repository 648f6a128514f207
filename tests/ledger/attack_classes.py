"""The classes of attacks, in the order of the table in docs/attacks.md."""

from __future__ import annotations

from tests.ledger import exports
from tests.ledger.attacks import (
    MALLORY,
    NEWEST,
    OTHER_LOG,
    SIGNED,
    SIZE,
    UNWITNESSED,
    WINDOW,
    Attack,
    alter,
    as_signed,
    both,
    cut,
    disclosure,
    drop,
    edited,
    forged,
    handed_over,
    honest,
    lines,
    link,
    manifest,
    member,
    note,
    other,
    picked,
    pipe,
    put,
    raw,
    rechained,
    reconciled,
    replace,
    resigned,
    swap,
    with_event,
)
from tests.ledger.exports import LOG_KEY, POLICY, WITNESS, checkpoint

ATTACKS = [
    # With nothing but the files.
    Attack("edit a record", lambda e: e.files.update({"tile/entries/000": exports.bundle(edited(10)[:256])})),
    Attack("edit a record and its hash in the tile", lambda e: e.files.update(
        {k: v for k, v in exports.whole(edited(10), SIGNED).files.items() if k.endswith("/000") and "tile/1" not in k})),
    Attack("edit a record and make all tiles anew", lambda e: e.files.update(
        {k: v for k, v in exports.whole(edited(10), SIGNED).files.items() if k.startswith("tile")})),
    Attack("edit a record and make chain and tiles anew", lambda e: e.files.update(
        {k: v for k, v in exports.whole(rechained(edited(10), 11), SIGNED).files.items() if k.startswith("tile")})),
    Attack("delete a record", lambda e: e.files.update(
        {"tile/entries/000": exports.bundle([*e.leaves[:10], *e.leaves[11:256]])})),
    Attack("delete a record and renumber the others", lambda e: e.files.update(
        {k: v for k, v in exports.whole(rechained([*e.leaves[:10], *e.leaves[11:], e.leaves[-1]], 10), SIGNED).files.items()
         if k.startswith("tile")})),
    Attack("insert a record", lambda e: e.files.update(
        {k: v for k, v in exports.whole(rechained([*e.leaves[:10], e.leaves[10], *e.leaves[10:-1]], 10), SIGNED).files.items()
         if k.startswith("tile")})),
    Attack("swap two records", lambda e: e.files.update(
        {"tile/entries/000": exports.bundle([*e.leaves[:10], e.leaves[11], e.leaves[10], *e.leaves[12:256]])})),
    Attack("give one record twice", lambda e: e.files.update(
        {"tile/entries/000": exports.bundle([*e.leaves[:11], e.leaves[10], *e.leaves[12:256]])})),
    Attack("swap two bundles", swap("tile/entries/000", "tile/entries/001")),
    Attack("a bundle of another export", lambda e: e.files.update({"tile/entries/001": other().files["tile/entries/001"]})),
    Attack("a bundle cut off in the middle", lambda e: e.files.update({"tile/entries/001": e.files["tile/entries/001"][:-9]})),
    Attack("bytes behind the last record of a bundle", lambda e: e.files.update(
        {"tile/entries/001": e.files["tile/entries/001"] + b"\0\0"})),
    Attack("a bundle left out", drop("tile/entries/001")),
    Attack("alter a tile", alter("tile/0/000", 100)),
    Attack("alter a tile of a higher level", alter("tile/1/000.p/2", 3)),
    Attack("alter a partial tile", alter("tile/0/002.p/78", 0)),
    Attack("swap two tiles", swap("tile/0/000", "tile/0/001")),
    Attack("a tile left out", drop("tile/0/001")),
    Attack("a tile that the tree has no place for", put("tile/0/003", bytes(8192)), is_covered=False),
    Attack("a symbolic link for a bundle", lambda e: None, is_covered=False, after=link),
    Attack("a pipe for a bundle", lambda e: None, is_covered=False, after=pipe),
    Attack("a checkpoint of two megabytes", put("checkpoint", NEWEST.encode() + b"x" * (2 << 20)), is_covered=False),
    # The end.
    Attack("cut off the end, keep the checkpoint", cut(400)),
    Attack("cut off the end, drop the checkpoint", both(
        cut(400), drop("checkpoint"), lambda e: e.manifest(origin="")), "INTEGRITY_ONLY"),
    Attack("roll back to an older checkpoint, nobody kept a newer one", cut(500, signed=500), "ANCHORED"),
    Attack("roll back, the auditor kept the newer checkpoint", cut(500, signed=500), held=(NEWEST,), is_covered=False),
    Attack("drop the checkpoint only", both(
        lambda e: resigned(e, e.leaves, LOG_KEY, signed=SIZE), drop("checkpoint"), lambda e: e.manifest(origin="")), "INTEGRITY_ONLY"),
    # The checkpoint.
    Attack("another size in the checkpoint", replace("checkpoint", b"\n590\n", b"\n589\n")),
    Attack("another root in the checkpoint", lambda e: e.files.update(
        {"checkpoint": NEWEST.replace(NEWEST.split("\n")[2], other().files["checkpoint"].decode().split("\n")[2]).encode()})),
    Attack("a line added to the checkpoint", replace("checkpoint", b"\n\n", b"\nextension\n\n")),
    Attack("another origin in the checkpoint", both(
        replace("checkpoint", b"shop\n590", b"shoq\n590"), manifest(origin="ledger.example/shoq"))),
    Attack("no signature of the log", put("checkpoint", lines(NEWEST.encode(), 1))),
    Attack("no cosignature of the witness on the newest checkpoint", put("checkpoint", lines(NEWEST.encode(), 0)), "ANCHORED", is_covered=False),
    Attack("a key of the attacker under the log's name", put("checkpoint", note(MALLORY, WITNESS))),
    Attack("the attacker's signature under the log's key id", put("checkpoint", forged(MALLORY, LOG_KEY))),
    Attack("the signature of another log in the policy", put("checkpoint", note(OTHER_LOG, WITNESS)),
           policy=POLICY + f"log {OTHER_LOG.vkey}\n"),
    Attack("the checkpoint of another log in the policy", both(
        put("checkpoint", note(OTHER_LOG, WITNESS, origin=OTHER_LOG.name, root=bytes(32))),
        drop("checkpoints/256", "checkpoints/500"), manifest(origin=OTHER_LOG.name)), policy=POLICY + f"log {OTHER_LOG.vkey}\n"),
    Attack("a signature of an unknown key beside the others", put("checkpoint", note(LOG_KEY, WITNESS, MALLORY)), "ANCHORED"),
    Attack("the same signature twice", put("checkpoint", note(LOG_KEY, LOG_KEY, WITNESS)), "ANCHORED"),
    Attack("another checkpoint's cosignature", put("checkpoint", lines(NEWEST.encode(), 0) + lines(
        honest().files["checkpoints/500"], 1).split(b"\n\n")[1])),
    Attack("another time in the cosignature", put("checkpoint", lines(note(LOG_KEY), 0) + lines(
        note(WITNESS, seconds=exports.T0 + 60), 0).split(b"\n\n")[1].replace(
        note(WITNESS, seconds=exports.T0 + 60).split(b" ")[-1][:20], note(WITNESS).split(b" ")[-1][:20]))),
    Attack("a cosignature from the future", put("checkpoint", note(LOG_KEY, WITNESS, seconds=1 << 40)),
           "ANCHORED", is_covered=False),
    Attack("two roots for one size", put("checkpoints/500", checkpoint(other().hashes, 500, LOG_KEY, WITNESS).encode())),
    Attack("an earlier checkpoint under another size", swap("checkpoints/256", "checkpoints/500"), is_covered=False),
    Attack("the attacker's policy within the export", both(
        put("checkpoint", note(MALLORY)), put("trust-policy.txt", f"log {MALLORY.vkey}\nquorum none\n".encode()))),
    # The manifest.
    Attack("counts that are not so", lambda e: e.manifest(counts={"decision": SIZE}), is_covered=False),
    Attack("fewer records in the manifest", lambda e: e.manifest(last=SIZE - 5, size=SIZE - 5), is_covered=False),
    Attack("a member twice in the manifest", replace("manifest.json", b'"first":0', b'"first":0,"first":0'), is_covered=False),
    Attack("another log in the manifest", lambda e: e.manifest(log="bank"), is_covered=False),
    Attack("chosen records that pass for a range", lambda e: picked(e, [300, 301, 303]), is_covered=False),
    Attack("a range that passes for chosen records", lambda e: e.manifest(
        kind="filter", filter={}, of={}), "ANCHORED", is_covered=False),
    # With the log's key: a dishonest operator.
    Attack("a fork that no witness saw", lambda e: resigned(e, other().leaves, LOG_KEY), "INTEGRITY_ONLY", is_covered=False),
    Attack("a fork with the witness's cosignature of the true ledger", both(
        lambda e: resigned(e, other().leaves, LOG_KEY),
        lambda e: e.files.update({"checkpoint": e.files["checkpoint"] + lines(NEWEST.encode(), 1).split(b"\n\n")[1]}))),
    Attack("a fork, the policy asks for no witness, nobody kept a checkpoint", lambda e: resigned(
        e, other().leaves, LOG_KEY), "ANCHORED", policy=UNWITNESSED),
    Attack("a fork, the policy asks for no witness, the auditor kept a checkpoint", lambda e: resigned(
        e, other().leaves, LOG_KEY), policy=UNWITNESSED, held=(NEWEST,), is_covered=False),
    Attack("a key beyond the sizes for which it is trusted", lambda e: None, policy=WINDOW, is_covered=False),
    Attack("a handover to the attacker's key, its signature made up", with_event(
        handed_over(MALLORY), MALLORY, WITNESS)),
    Attack("a handover by a key that nobody trusts", with_event(
        handed_over(MALLORY, old=MALLORY), MALLORY, WITNESS)),
    Attack("the old key signs after it handed over", with_event(
        handed_over(LOG_KEY, last=500), LOG_KEY, WITNESS), is_covered=False),
    # Signed and witnessed, but against the rules of the ledger.
    Attack("a member twice in a leaf", as_signed(raw(20, b'"v":1', b'"v":1,"v":1'), is_chained=False), is_covered=False),
    Attack("a fraction in a leaf", as_signed(raw(20, b'"v":1', b'"v":1.0'), is_chained=False), is_covered=False),
    Attack("NaN in a leaf", as_signed(raw(20, b'"v":1', b'"v":NaN'), is_chained=False)),
    Attack("1,000 levels in a leaf", as_signed(raw(20, b'"v":1', b'"v":' + b"[" * 1000 + b"]" * 1000), is_chained=False),
           is_covered=False),
    Attack("a space in a leaf", as_signed(raw(20, b'"v":1', b'"v": 1'), is_chained=False), "ANCHORED"),
    Attack("a number missing", as_signed(lambda found: [*found[:20], *(
        raw for raw in found[21:])], is_chained=False)),
    Attack("a number twice", as_signed(member(20, sequence=19), is_chained=False)),
    Attack("a number as text", as_signed(member(20, sequence="20"), is_chained=False)),
    Attack("`previous_hash` of another history", as_signed(
        member(20, previous_hash=other().hashes[19].hex()), is_chained=False)),
    Attack("a record of another log", as_signed(member(20, log="bank"), is_chained=False)),
    Attack("a time before that of the record before", as_signed(
        member(20, timestamp="2020-01-01T00:00:00Z"), is_chained=False), is_covered=False),
    Attack("a reconciliation that covers other records", reconciled(covers={"size": 500, "head": "0" * 64}), is_covered=False),
    Attack("a reconciliation that covers what came later", reconciled(covers={"size": 560, "head": "0" * 64}),
           is_covered=False),
    Attack("a reconciliation with findings", reconciled(findings={"critical": 1, "info": 0, "warning": 0}), "ANCHORED",
           is_covered=False),
    # Disclosed fields.
    Attack("another value in a disclosed field", lambda e: disclosure(e, value="c2VjcmV1"), is_covered=False),
    Attack("another salt in a disclosed field", lambda e: disclosure(e, salt="00" * 32), is_covered=False),
    Attack("a field whose salt was erased", lambda e: disclosure(e, salt=""), is_covered=False),
    Attack("another name for a disclosed field", lambda e: disclosure(e, name="actor"), is_covered=False),
    Attack("a disclosure moved to another record", lambda e: disclosure(e, at=6), is_covered=False),
]  # fmt: skip
