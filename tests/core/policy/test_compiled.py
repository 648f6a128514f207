"""A checked set as bytes: it comes back equal, or not at all."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from demur.adapters.documents import read_folder
from demur.core.policy.compiled import VERSION, CompiledError, decode_compiled, encode_compiled
from demur.core.policy.document import Condition
from demur.core.policy.load import load
from demur.core.schema import Source
from tests.core.policy.written import SHOP, ZONES, loaded

EXAMPLES = Path(__file__).parents[3] / "examples"
FULL = (
    SHOP
    + """
sources: {limits: {kind: static, table: {gold: {limit: 500, tags: [a, {b: 1.5}], none: null}}, key: subject.role}}
rules:
  - id: r
    effect: review
    actions: ["*"]
    when:
      - {name: a, expr: 'time.now < timestamp("9999-12-31T00:00:00Z")', explain: before the end}
      - {name: b, expr: 'time.now > timestamp("0001-01-01T00:00:00Z") && subject.role in ["a", "ü"]', explain: after}
      - any: [{name: c, expr: 'subject.roles.exists(r, r == "x") || duration("1h") > duration("30m")', explain: x}]
    unless: [{name: d, expr: '[1, 2, 3][0] == 2 ? true : {"a": 1.5}["a"] > 2.0', explain: x}]
    messages: {end_user: {en: No, de: Nein}}
    review: {role: boss, within: 90m}
  - id: s
    effect: permit
    actions: [refund]
    narrow: {amount: {at_most: 5}, note: {set: ok}}
    obligations: [{id: o, type: log, properties: {a: [1, {b: null}], c: 1.5}}]
    alternatives: [{action: ship, arguments: {country: DE, express: true}, explain: y}]
    grant_seconds: 60
"""
)


@pytest.mark.parametrize("name", ["clinic", "recommendations"])
def test_an_example_comes_back_equal(name: str) -> None:
    documents = load(read_folder(EXAMPLES / name), ZONES.is_zone)
    assert decode_compiled(encode_compiled(documents)) == documents


def test_everything_a_document_can_hold_comes_back_equal() -> None:
    documents = loaded(FULL)
    assert decode_compiled(encode_compiled(documents)) == documents


def test_instants_beyond_64_bits_of_nanoseconds_come_back_equal() -> None:
    condition = decode_compiled(encode_compiled(loaded(FULL))).rules[0].when[0]
    assert isinstance(condition, Condition)
    assert condition == loaded(FULL).rules[0].when[0]


def test_times_that_a_schema_allows_come_back_as_times() -> None:
    documents = loaded(
        "demur: 1\nnamespace: a\nfacts: {subject.t: {type: timestamp, one_of: ['2026-01-01T00:00:00Z']},"
        " subject.d: {type: duration, one_of: [90s]}}\n"
    )
    assert decode_compiled(encode_compiled(documents)) == documents


def test_another_version_is_refused() -> None:
    raw = msgspec.msgpack.decode(encode_compiled(loaded(FULL)), type=dict[str, msgspec.Raw])
    old = msgspec.msgpack.encode({**raw, "version": VERSION + 1})
    with pytest.raises(CompiledError, match=f"expected version {VERSION} of compiled policies, found {VERSION + 1}"):
        decode_compiled(old)


@given(st.binary(max_size=200))
def test_other_bytes_are_refused(raw: bytes) -> None:
    with pytest.raises(CompiledError):
        decode_compiled(raw)


@given(st.data())
def test_damaged_bytes_are_refused_or_read_but_never_crash(data: st.DataObject) -> None:
    raw = bytearray(encode_compiled(loaded(FULL)))
    place = data.draw(st.integers(0, len(raw) - 1))
    raw[place] ^= data.draw(st.integers(1, 255))
    try:
        decode_compiled(bytes(raw))
    except CompiledError:
        return


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    )
)
def test_any_settings_of_a_source_come_back_equal(value: object) -> None:
    documents = loaded(SHOP)
    source = Source(name="s", kind="static", settings={"table": value})  # type: ignore[dict-item]  # plain data
    schema = msgspec.structs.replace(documents.schema, sources={"s": source})
    changed = msgspec.structs.replace(documents, schema=schema)
    assert decode_compiled(encode_compiled(changed)) == changed
