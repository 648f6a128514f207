"""S2.1: an optional fact is read only where something makes sure that it is there."""

from __future__ import annotations

import pytest

from demur.core.cel import Scope, Variable, check
from demur.core.schema import Field, Kind, Type
from tests.core.cel.given import BOOL, SCOPE, STRING

NOTE = 'resource.note == "x"'
HAS = "has(resource.note)"

GUARDED = [
    f"{HAS} && {NOTE}",
    f"{NOTE} && {HAS}",
    f"!{HAS} || {NOTE}",
    f"{NOTE} || !{HAS}",
    f"{HAS} ? {NOTE} : false",
    f"!{HAS} ? true : {NOTE}",
    f"action.dry && {HAS} && {NOTE}",
    f"{HAS} && (action.dry || {NOTE})",
    f"{HAS} && has(resource.consent) && (resource.consent || {NOTE})",
    f"!(!{HAS} || action.dry) && {NOTE}",
    f"({HAS} || {HAS}) && {NOTE}",
    f"(action.dry ? {HAS} : {HAS}) && {NOTE}",
    f"({HAS} ? action.dry : false) && {NOTE}",
    f"{HAS} && subject.roles.exists(r, r == resource.note)",
    'has(resource.owner.email) && resource.owner.email == "x"',
    'resource.owners.all(o, has(o.email) && o.email == "x")',
    "resource.owners.map(o, has(o.email), o.email).size() == 1",
    "resource.owners.exists(o, resource.owners.all(p, has(o.email) && o.email == p.name))",
    'has(resource.owners[0].email) && resource.owners[0].email == "x"',
    f"({HAS} && false) || !{HAS} || {NOTE}",
    f"{HAS} && (has(resource.consent) ? {NOTE} : false)",
    f"{HAS} && (!has(resource.consent) ? false : {NOTE})",
    f"{HAS} && (action.dry ? {NOTE} : !({NOTE}))",
    f"{HAS} && (action.dry ? true : {NOTE})",
    f"{HAS} && resource.owners.all(o, o.name == 'x' || {NOTE})",
    f"{HAS} && [resource.note].all(n, n == 'x')",
    f"{HAS} && resource.owners.map(o, {NOTE}, {NOTE}).size() == 1",
    f"resource.owners.map(o, {HAS} && o.name != '', {NOTE}).size() == 1",
    f"(action.dry ? {HAS} : false) && {NOTE}",
    f"(action.dry ? false : {HAS}) && {NOTE}",
    f"(action.dry ? false : false) || ({HAS} && {NOTE})",
    f"!(action.dry ? !{HAS} : true) && {NOTE}",
    f"({HAS} || false) && {NOTE}",
    f"!(!{HAS} && true) && {NOTE}",
]

EMAIL = 'o.email == "x"'
HAS_EMAIL = "has(o.email)"
"""Of the variable `o` of a macro, whose level the names of reads and guards depend on."""

GUARDED_IN_A_MACRO = [
    f"!(!{HAS_EMAIL}) && {EMAIL}",
    f"!(!{HAS_EMAIL} || action.dry) && {EMAIL}",
    f"({HAS_EMAIL} && action.dry) && {EMAIL}",
    f"({HAS_EMAIL} || {HAS_EMAIL}) && {EMAIL}",
    f"({HAS_EMAIL} ? action.dry : false) && {EMAIL}",
    f"(action.dry ? {HAS_EMAIL} : {HAS_EMAIL}) && {EMAIL}",
    f"(o.name == 'x' ? {HAS_EMAIL} : {HAS_EMAIL}) && {EMAIL}",
    f"{HAS_EMAIL} ? {EMAIL} : false",
    f"!{HAS_EMAIL} ? true : {EMAIL}",
    f"({HAS_EMAIL} && {EMAIL}) ? true : false",
    f"{HAS_EMAIL} && (action.dry ? {EMAIL} : !({EMAIL}))",
    f"{HAS_EMAIL} && resource.owners.all(p, o.email != p.name)",
    f"{HAS_EMAIL} && resource.owners.all(p, has(p.email) && p.email != o.email)",
    f"{HAS_EMAIL} && resource.owners.all(p, resource.owners.all(q, q.name != o.email))",
    f"(resource.owners.all(p, has(p.email) && p.email == o.name) ? {HAS_EMAIL} : {HAS_EMAIL}) && {EMAIL}",
    "[o].all(l, has(l.email) && l.email == 'x')",
    "[[o]].all(l, has(l[0].email) && l[0].email == 'x')",
    f"[o].filter(x, {HAS_EMAIL} && {EMAIL}).size() == 1",
    f"[o].map(x, {HAS_EMAIL} && x.name != '', o.email).size() == 1",
    "[o].map(x, has(x.email) && x.name != '', x.email).size() == 1",
]
UNGUARDED_IN_A_MACRO = [
    f"{EMAIL} ? {HAS_EMAIL} : {HAS_EMAIL}",
    f"(resource.owners.all(p, p.name == o.email) ? {HAS_EMAIL} : {HAS_EMAIL}) && true",
    f"(resource.owners.all(p, resource.owners.all(q, q.name == o.email)) ? {HAS_EMAIL} : {HAS_EMAIL}) && true",
    f"([o].map(x, o.email != '', x).size() == 1 ? {HAS_EMAIL} : {HAS_EMAIL}) && true",
    f"([o.email].map(x, x != '', x).size() == 1 ? {HAS_EMAIL} : {HAS_EMAIL}) && true",
    f"resource.owners.all(p, {HAS_EMAIL} && p.email == 'x')",
    f"resource.owners.all(o, {HAS_EMAIL}) && {EMAIL}",
    "[o].map(x, x.email == 'x', x.name).size() == 1",
    "[o.email].all(x, x == 'x')",
    "[[o]].all(l, has(l[0].email) && l[1].email == 'x')",
]

UNGUARDED = [
    'resource.owners.all(o, has(o.email) && resource.owners.all(p, p.email == "x"))',
    NOTE,
    'resource.owners.filter(o, o.email == "x")[0].name == "x"',
    'has(resource.owners.filter(o, o.email == "x")[0].email)',
    f"[{NOTE}].size() == 1",
    f"{{1: {NOTE}}}.size() == 1",
    f"{{{NOTE}: 1}}.size() == 1",
    f"{HAS} || {NOTE}",
    f"false ? {NOTE} : true",
    f"(true || {HAS}) && {NOTE}",
    f"(!false || {HAS}) && {NOTE}",
    f"(!has(resource.consent) || {HAS}) && {NOTE}",
    f"(!has(resource.owner.email) || {HAS}) && {NOTE}",
    f"(!(action.dry && action.dry) || {HAS}) && {NOTE}",
    f"(!(action.dry ? action.dry : action.dry) || {HAS}) && {NOTE}",
    f"!(action.dry ? !{HAS} : action.dry) && {NOTE}",
    f"!({NOTE} ? !{HAS} : !{HAS}) && {NOTE}",
    f"[resource.note].all(n, {HAS})",
    f"resource.owners.map(o, {NOTE}, o.name).size() == 1",
    "has([resource.owner][0].email) && [resource.owner, resource.owner][0].email == 'x'",
    "has(resource.owners.filter(o, true)[0].email) && resource.owners.filter(o, false)[0].email == 'x'",
    f"!{HAS} && {NOTE}",
    f"!{HAS} ? {NOTE} : true",
    f"has(resource.consent) && {NOTE}",
    f"({HAS} || action.dry) && {NOTE}",
    f"({HAS} ? true : action.dry) && {NOTE}",
    f"{NOTE} && {NOTE}",
    f"({NOTE} ? {HAS} : {HAS})",
    f"({NOTE} ? {HAS} : {HAS}) && ({NOTE} ? {HAS} : {HAS})",
    f"(action.dry && {HAS}) || {NOTE}",
    'resource.owner.email == "x"',
    'resource.owners.all(o, o.email == "x")',
    'resource.owners.all(o, resource.owners.all(p, has(o.email) && p.email == "x"))',
    'has(resource.owners[0].email) && resource.owners[1].email == "x"',
    'resource.owners.all(o, has(o.email)) && resource.owners.all(o, o.email != "")',
    'has(resource.owners[action.amount].email) && resource.owners[action.amount].email != ""',
]


@pytest.mark.parametrize("text", [*GUARDED, *(f"resource.owners.all(o, {text})" for text in GUARDED_IN_A_MACRO)])
def test_a_read_is_guarded_by_what_its_siblings_need(text: str) -> None:
    uses = check(text, SCOPE).uses
    assert uses
    assert [use for use in uses if not use.guarded] == []


@pytest.mark.parametrize("text", [*UNGUARDED, *(f"resource.owners.all(o, {text})" for text in UNGUARDED_IN_A_MACRO)])
def test_a_read_is_unguarded_where_it_could_meet_an_absent_fact(text: str) -> None:
    assert [use for use in check(text, SCOPE).uses if not use.guarded] != []


@pytest.mark.parametrize(
    ("text", "guards"),
    [
        (HAS, {"resource.note"}),
        (f"{HAS} && has(resource.consent)", {"resource.note", "resource.consent"}),
        (f"{HAS} || has(resource.consent)", set()),
        (f"!!{HAS}", {"resource.note"}),
        (f"!{HAS}", set()),
        (f"!(!{HAS} || action.dry)", {"resource.note"}),
        (f"{HAS} ? action.dry : false", {"resource.note"}),
        (f"{NOTE} ? {HAS} : {HAS}", set()),
        ("has(resource.owner.email)", {"resource.owner.email"}),
        ("resource.owners.all(o, has(o.email))", set()),
        ("action.dry", set()),
        (f"resource.owners.all(o, o.name == 'x') ? {HAS} : false", {"resource.note"}),
        (f"action.dry ? {HAS} : {HAS} && has(resource.consent)", {"resource.note"}),
        (f"{HAS} ? false : true", set()),
        ("has([resource.owner][0].email)", set()),
        (f"{HAS} && has(resource.owners[0].email)", {"resource.note", "resource.owners[0].email"}),
    ],
)
def test_the_guards_of_a_condition_are_what_is_present_when_it_is_true(text: str, guards: set[str]) -> None:
    assert check(text, SCOPE).guards == guards


def test_each_read_is_reported_with_its_place() -> None:
    uses = check(f"action.dry\n|| {NOTE}\n|| resource.consent", SCOPE).uses
    assert [(use.path, use.line, use.column) for use in uses] == [("resource.note", 2, 4), ("resource.consent", 3, 4)]


def test_reads_are_reported_in_the_order_of_the_text() -> None:
    uses = check(f"({HAS} && {NOTE}) || resource.consent || ({HAS} && {NOTE})", SCOPE).uses
    assert [(use.path, use.column, use.guarded) for use in uses] == [
        ("resource.note", 24, True),
        ("resource.consent", 49, False),
        ("resource.note", 92, True),
    ]


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ('resource.owners[0].email == "x"', "resource.owners[].email"),
        ('[resource.owner][0].email == "x"', "()[].email"),
        ('(action.dry ? resource.owner : resource.owner).email == "x"', "().email"),
        ('resource.owner.email == "x"', "resource.owner.email"),
    ],
)
def test_a_read_is_reported_by_what_it_is_read_from(text: str, path: str) -> None:
    assert [use.path for use in check(text, SCOPE).uses] == [path]


PLACE = Type(Kind.OBJECT, fields=(Field("city", STRING, optional=True),))
PERSON = Type(
    Kind.OBJECT,
    fields=(Field("home", PLACE), Field("tags", Type(Kind.LIST, element=STRING), optional=True)),
)
PEOPLE = Scope(
    {
        "l.people": Variable(0, Type(Kind.LIST, element=PERSON)),
        "l.marks": Variable(1, Type(Kind.LIST, element=STRING), optional=True),
    },
    lambda _: True,
)


@pytest.mark.parametrize(
    ("text", "is_guarded"),
    [
        ('l.marks.all(m, m == "x")', False),
        ('has(l.marks) && l.marks.all(m, m == "x")', True),
        ('l.people.all(p, p.tags.exists(t, t == "x"))', False),
        ('l.people.all(p, has(p.tags) && p.tags.exists(t, t == "x"))', True),
        ('has(l.marks) && l.people.all(p, l.marks.exists(m, m == "x"))', True),
        ('has(l.people.filter(p, true)[0].home.city) && l.people.filter(p, false)[0].home.city == "x"', False),
        ('has(l.people[0].home.city) && l.people[0].home.city == "x"', True),
    ],
)
def test_the_list_of_a_macro_is_a_read_like_any_other(text: str, *, is_guarded: bool) -> None:
    uses = check(text, PEOPLE).uses
    assert uses
    assert all(use.guarded for use in uses) is is_guarded


def test_a_field_of_a_macro_variable_is_reported_by_the_name_it_has_there() -> None:
    assert [use.path for use in check('resource.owners.all(o, o.email == "x")', SCOPE).uses] == ["o.email"]


def test_testing_is_not_reading() -> None:
    assert check(HAS, SCOPE).uses == ()


def test_thousands_of_guards_are_followed_in_linear_time() -> None:
    text = " && ".join([HAS, NOTE] * 1_400)
    assert all(use.guarded for use in check(text, SCOPE).uses)


def test_a_fact_is_not_optional_unless_it_says_so() -> None:
    scope = Scope({"a.b": Variable(0, BOOL)}, lambda _: True)
    assert check("a.b", scope).uses == ()
