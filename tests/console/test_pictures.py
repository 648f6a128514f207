"""Pictures: what they show is told in words too, and nothing that is put in is markup."""

from __future__ import annotations

import xml.etree.ElementTree as Tree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from demur.console import pictures
from demur.console.pictures import Stage
from demur.core.terms import Category

SVG = "{http://www.w3.org/2000/svg}"
ORDER = [str(one) for one in Category]


def parsed(markup: str) -> list[Tree.Element]:
    return list(Tree.fromstring(f'<div xmlns="http://www.w3.org/2000/svg">{markup}</div>'))


def heights(markup: str) -> list[tuple[str, float, float]]:
    (drawn,) = parsed(markup)
    bars = [one for one in drawn.iter(f"{SVG}rect") if "part" in one.attrib["class"]]
    return [(one.attrib["class"], float(one.attrib["y"]), float(one.attrib["height"])) for one in bars]


TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=60)


@given(st.lists(st.tuples(TEXT, st.lists(TEXT, max_size=6)), min_size=1, max_size=6), TEXT)
def test_whatever_a_path_says_it_is_well_formed_and_told(stages: list[tuple[str, list[str]]], title: str) -> None:
    drawn = parsed(str(pictures.path([Stage(name, lines) for name, lines in stages], title=title)))

    assert [one.attrib["role"] for one in drawn] == ["img", "img"]
    for one in drawn:
        assert (one.find(f"{SVG}title").text or "") == title  # type: ignore[union-attr]  # every picture has one
        told = one.find(f"{SVG}desc").text or ""  # type: ignore[union-attr]  # as above
        assert all(line in told for _, lines in stages for line in lines)


def test_a_path_names_its_title_and_description() -> None:
    first, second = parsed(str(pictures.path([Stage("Asked", ["pay"])], title="The path")))
    names = [one.attrib["aria-labelledby"].split() for one in (first, second)]
    assert len({name for pair in names for name in pair}) == 4
    assert [child.attrib["id"] for child in first if "id" in child.attrib] == names[0]


def test_bars_are_as_high_as_they_count() -> None:
    drawn = heights(
        str(pictures.stacked([{"temporal": 1}, {"temporal": 4, "categorical": 4}], ORDER, title="t", told="d"))
    )
    (_, _, alone), (_, lower, first), (_, upper, second) = drawn
    assert first == pytest.approx(second)
    assert first == pytest.approx(4 * alone)
    assert upper + second == pytest.approx(lower)


@given(st.lists(st.dictionaries(st.sampled_from(ORDER), st.integers(0, 10**9), max_size=10), max_size=40))
def test_no_bar_leaves_the_picture(bars: list[dict[str, int]]) -> None:
    for _, top, high in heights(str(pictures.stacked(bars, ORDER, title="t", told="d"))):
        assert top >= -1.5 * len(ORDER)
        assert top + high <= pictures.BAR_HEIGHT + 0.01


def test_an_empty_picture_is_a_picture() -> None:
    assert heights(str(pictures.stacked([], ORDER, title="t", told="d"))) == []
    assert heights(str(pictures.histogram([0, 0], name="n", title="t", told="d"))) == []
    assert heights(str(pictures.share([("allow", 0)]))) == []


def test_shares_fill_the_whole() -> None:
    (drawn,) = parsed(str(pictures.share([("allow", 3), ("deny", 1)])))
    wide = [float(one.attrib["width"]) for one in drawn]
    assert wide == pytest.approx([74.6, 24.6])
    assert drawn.attrib["aria-hidden"] == "true"


def test_markup_in_a_line_is_text() -> None:
    told = str(pictures.path([Stage("<b>", ['"><script>x</script>'])], title="<i>"))
    assert "<script>" not in told
    assert "<b>" not in told
