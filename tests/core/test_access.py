"""Who may do what."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from demur.core import access
from demur.core.access import ALLOWED, Act, Identity, Role
from demur.core.terms import Entity, Timestamp
from demur.errors import AccessError

NOW = Timestamp(1_000)


def somebody(*roles: Role, **members: object) -> Identity:
    return Identity(id="key:a", tenant="clinic", roles=frozenset(roles), **members)  # type: ignore[arg-type]


def test_every_act_has_a_row_and_every_row_a_role() -> None:
    assert set(ALLOWED) == set(Act)
    assert all(ALLOWED.values())


@pytest.mark.parametrize("act", Act)
@pytest.mark.parametrize("role", Role)
def test_a_role_may_do_what_the_table_says_and_nothing_else(role: Role, act: Act) -> None:
    """S12"""
    if role in ALLOWED[act]:
        access.check(somebody(role), act, tenant="clinic", now=NOW)
    else:
        with pytest.raises(AccessError, match=f"for `{act}`, found `{role}`"):
            access.check(somebody(role), act, tenant="clinic", now=NOW)


@pytest.mark.parametrize("act", Act)
def test_nobody_does_anything_in_another_tenant(act: Act) -> None:
    with pytest.raises(AccessError, match="found another's"):
        access.check(somebody(*Role), act, tenant="bank", now=NOW)


def test_a_credential_ends_at_its_instant() -> None:
    held = somebody(Role.CALLER, expires_at=NOW)
    access.check(held, Act.EVALUATE, tenant="clinic", now=Timestamp(999))
    with pytest.raises(AccessError, match="in force"):
        access.check(held, Act.EVALUATE, tenant="clinic", now=NOW)


def test_without_a_role_nothing_is_allowed() -> None:
    with pytest.raises(AccessError, match="found `none`"):
        access.check(somebody(), Act.EVALUATE, tenant="clinic", now=NOW)


def test_the_author_of_a_change_does_not_put_it_in_force() -> None:
    """S12"""
    both = somebody(Role.AUTHOR, Role.APPROVER)
    access.check_activation(both, author="person:mara")
    for author in ("key:a", ""):
        with pytest.raises(AccessError, match="other than the author"):
            access.check_activation(both, author=author)


@pytest.mark.parametrize(
    ("pattern", "subject"),
    [
        ("user:*", Entity(type="user", id="vera")),
        ("user:team-*", Entity(type="user", id="team-a:b")),
        ("user:[x]", Entity(type="user", id="[x]")),
        ("*:*", Entity(type="device", id="7")),
        ("user:患者*", Entity(type="user", id="患者一")),
    ],
)
def test_a_credential_speaks_for_those_it_names(pattern: str, subject: Entity) -> None:
    """S1.1"""
    access.check_subject(somebody(Role.CALLER, subjects=(pattern,)), subject)


@pytest.mark.parametrize(
    ("pattern", "subject"),
    [
        ("user:*", Entity(type="user:x", id="vera")),
        ("user:*", Entity(type="admin", id="vera")),
        ("user:[xy]", Entity(type="user", id="x")),
        ("user:team-?", Entity(type="user", id="team-a")),
        ("user:Vera", Entity(type="user", id="vera")),
        ("user", Entity(type="user", id="")),
        ("*", Entity(type="user", id="vera")),
        ("", Entity(type="", id="")),
    ],
)
def test_a_credential_speaks_for_nobody_else(pattern: str, subject: Entity) -> None:
    """S1.1"""
    with pytest.raises(AccessError, match="may speak for"):
        access.check_subject(somebody(Role.CALLER, subjects=(pattern,)), subject)


@given(st.text(max_size=8), st.text(max_size=8))
def test_whoever_calls_may_speak_for_themselves_alone(kind: str, name: str) -> None:
    plain = Identity(id="person:vera", tenant="t", roles=frozenset({Role.CALLER}))
    if (kind, name) == ("person", "vera"):
        return
    with pytest.raises(AccessError):
        access.check_subject(plain, Entity(type=kind, id=name))


def test_somebody_with_a_star_for_a_name_speaks_for_nobody_else() -> None:
    """S1.1"""
    star = Identity(id="user:*", tenant="clinic", roles=frozenset({Role.CALLER}))

    access.check_subject(star, Entity(type="user", id="*"))
    with pytest.raises(AccessError):
        access.check_subject(star, Entity(type="user", id="ann"))


def test_what_a_program_wrote_is_not_for_its_owner_to_put_in_force() -> None:
    """S12"""
    program, owner = (
        somebody(Role.AUTHOR, owner="p-1"),
        Identity(id="user:m", tenant="clinic", roles=frozenset(), owner="p-1"),
    )

    with pytest.raises(AccessError):
        access.check_activation(owner, author=program.author)
    access.check_activation(somebody(Role.APPROVER, owner="p-2"), author=program.author)
