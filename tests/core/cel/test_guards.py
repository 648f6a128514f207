"""S2.1: an optional fact is read only where something makes sure that it is there."""

from __future__ import annotations

import pytest

from demur.core.cel import Scope, Variable, check
from tests.core.cel.given import BOOL, SCOPE

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
]

UNGUARDED = [
    'resource.owners.all(o, has(o.email) && resource.owners.all(p, p.email == "x"))',
    NOTE,
    f"{HAS} || {NOTE}",
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


@pytest.mark.parametrize("text", GUARDED)
def test_a_read_is_guarded_by_what_its_siblings_need(text: str) -> None:
    uses = check(text, SCOPE).uses
    assert uses
    assert [use for use in uses if not use.guarded] == []


@pytest.mark.parametrize("text", UNGUARDED)
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
    ],
)
def test_the_guards_of_a_condition_are_what_is_present_when_it_is_true(text: str, guards: set[str]) -> None:
    assert check(text, SCOPE).guards == guards


def test_each_read_is_reported_with_its_place() -> None:
    uses = check(f"action.dry\n|| {NOTE}\n|| resource.consent", SCOPE).uses
    assert [(use.path, use.line, use.column) for use in uses] == [("resource.note", 2, 4), ("resource.consent", 3, 4)]


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
