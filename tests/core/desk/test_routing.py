"""Whom the desk asks: requirements bar, preferences order, the least loaded comes first (S7.1, S7.2)."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from demur.core.desk.routing import Ask, Colleague, may_decide, pick, speaks

NAMES = ("ann", "bo", "cy", "dee", "eve", "fay")
WORDS = st.frozensets(st.sampled_from(("x", "y", "z")), max_size=2)
PEOPLE = st.lists(
    st.builds(
        Colleague,
        name=st.sampled_from(NAMES),
        roles=WORDS,
        groups=WORDS,
        languages=st.frozensets(st.sampled_from(("de", "pt", "pt-BR")), max_size=2),
        load=st.integers(0, 3),
    ),
    unique_by=lambda one: one.name,
    max_size=6,
)
ASKS = st.lists(
    st.builds(
        Ask,
        role=st.sampled_from(("x", "y", "z")),
        group=st.sampled_from(("", "", "x", "y")),
        language=st.sampled_from(("", "de", "pt-BR")),
        on_duty=st.none() | st.frozensets(st.sampled_from(NAMES), max_size=3),
    ),
    min_size=1,
    max_size=3,
)
BARRED = st.frozensets(st.sampled_from(NAMES), max_size=2)


def fits(one: Colleague, ask: Ask) -> bool:
    return ask.role in one.roles and (ask.group == "" or ask.group in one.groups)


def preference(one: Colleague, ask: Ask) -> tuple[bool, bool, int]:
    tags = {tag.lower() for tag in one.languages}
    wanted = ask.language.lower()
    parts = {"-".join(wanted.split("-")[:count]) for count in range(1, wanted.count("-") + 2)}
    return (
        ask.on_duty is not None and one.name not in ask.on_duty,
        bool(ask.language) and not parts & tags,
        one.load,
    )


@given(ASKS, PEOPLE, BARRED)
def test_it_is_one_of_the_best_of_those_who_may(
    asks: list[Ask], people: list[Colleague], barred: frozenset[str]
) -> None:
    found = pick("r-1", asks, people, barred=barred)
    able = [one for one in people if one.name not in barred and any(fits(one, ask) for ask in asks)]
    if found is None:
        assert able == []
        return
    best = {one.name: min(preference(one, ask) for ask in asks if fits(one, ask)) for one in able}
    assert best[found.name] == min(best.values())


@given(ASKS, PEOPLE, BARRED)
def test_the_order_of_people_makes_no_difference(
    asks: list[Ask], people: list[Colleague], barred: frozenset[str]
) -> None:
    turned = list(reversed(people))
    assert pick("r-1", asks, people, barred=barred) == pick("r-1", asks, turned, barred=barred)


def test_equals_take_turns_over_many_reviews() -> None:
    people = [Colleague(name=name, roles=frozenset({"x"})) for name in NAMES]
    chosen = [pick(f"r-{number}", [Ask(role="x")], people) for number in range(600)]
    counts = [sum(one is not None and one.name == name for one in chosen) for name in NAMES]
    assert min(counts) > 50


def test_a_language_serves_for_its_regions_and_not_the_other_way_round() -> None:
    assert speaks({"pt"}, "pt-BR")
    assert speaks({"PT-br"}, "pt-BR")
    assert not speaks({"pt-BR"}, "pt")
    assert not speaks({"p"}, "pt")


def test_a_group_is_required_and_a_role_never_replaced_by_it() -> None:
    member = Colleague(name="ann", roles=frozenset({"other"}), groups=frozenset({"north"}))
    assert not may_decide(member, Ask(role="clerk", group="north"))
    assert not may_decide(Colleague(name="bo", roles=frozenset({"clerk"})), Ask(role="clerk", group="north"))


def test_nobody_is_asked_where_everybody_is_barred() -> None:
    people = [Colleague(name="ann", roles=frozenset({"x"}))]
    assert pick("r", [Ask(role="x")], people, barred={"ann"}) is None
