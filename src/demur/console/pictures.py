"""Pictures for pages, as SVG made here: the path of a decision, bars over time, a histogram.

- No picture says what the page does not also say in words; each has a title and a description for those who hear it.
- Colours and shapes come from classes, so that light and dark, and the content policy, hold for them too.
- All text is escaped where it is put in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from markupsafe import Markup, escape

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

MAX_LINE = 27
"""Characters of one line of a box; what is longer is cut, and stands in full in the text beside the picture."""
BOX_WIDTH, BOX_GAP, BOX_TOP, LINE = 208, 40, 44, 19
MIN_LINES = 4
BAR_HEIGHT = 120
_SVG = Markup(
    '<svg class="picture {kind}" viewBox="0 0 {width} {height}" role="img" aria-labelledby="{name}-t {name}-d"{more}>'
    '<title id="{name}-t">{title}</title><desc id="{name}-d">{told}</desc>{inside}</svg>'
)
_HIDDEN = Markup('<svg class="picture {kind}" viewBox="0 0 {width} {height}" aria-hidden="true"{more}>{inside}</svg>')


class Stage:
    """One stop on the path of a decision: what it is called, what happened there, and how that looks."""

    def __init__(self, title: str, lines: Sequence[str], tone: str = "") -> None:
        self.title = title
        self.lines = tuple(lines)
        self.tone = tone


def path(stages: Sequence[Stage], *, title: str) -> Markup:
    """The way of a decision from left to right and, for narrow screens, from top to bottom.

    Only one of the two is shown; the other is hidden from everybody.
    """
    told = " Then ".join(f"{stage.title}: {', '.join(stage.lines)}." for stage in stages)
    rows = max(MIN_LINES, *(len(stage.lines) for stage in stages))
    height = BOX_TOP + rows * LINE + 8
    wide, narrow = Markup(), Markup()
    down = 2
    for place, stage in enumerate(stages):
        left = place * (BOX_WIDTH + BOX_GAP) + 2
        wide += _box(stage, left, 2, BOX_WIDTH, height)
        own = BOX_TOP + max(1, len(stage.lines)) * LINE + 6
        narrow += _box(stage, 2, down, 336, own)
        if place:
            wide += _arrow(left - BOX_GAP + 4, 2 + height // 2, is_down=False)
            narrow += _arrow(170, down - 26, is_down=True)
        down += own + 32
    width = len(stages) * (BOX_WIDTH + BOX_GAP) - BOX_GAP + 4
    first = _SVG.format(
        kind="path wide", width=width, height=height + 4, name="path-wide", title=title, told=told, inside=wide, more=""
    )
    second = _SVG.format(
        kind="path narrow",
        width=340,
        height=down - 28,
        name="path-narrow",
        title=title,
        told=told,
        inside=narrow,
        more="",
    )
    return first + second


def stacked(bars: Sequence[Mapping[str, int]], order: Sequence[str], *, title: str, told: str) -> Markup:
    """One bar for each part of a span, the oldest first, built up of the parts in `order`; as wide as its place."""
    most = max([1, *(sum(bar.values()) for bar in bars)])
    step = 10
    inside = Markup()
    for place, bar in enumerate(bars):
        top = float(BAR_HEIGHT)
        for name in order:
            count = bar.get(name, 0)
            if count:
                high = max(1.5, count * (BAR_HEIGHT - 4) / most)
                top -= high
                inside += _rect(place * step + 1, top, step - 2, high, f"part {name}")
    inside += Markup('<line class="axis" x1="0" y1="{0}" x2="{1}" y2="{0}"/>').format(BAR_HEIGHT, len(bars) * step)
    return _SVG.format(
        kind="bars",
        width=len(bars) * step,
        height=BAR_HEIGHT + 1,
        name="bars",
        title=title,
        told=told,
        inside=inside,
        more=Markup(' preserveAspectRatio="none"'),
    )


def histogram(counts: Sequence[int], *, name: str, title: str, told: str) -> Markup:
    """One bar for each count, in order; as wide as its place."""
    most, step = max([1, *counts]), 10
    inside = Markup()
    for place, count in enumerate(counts):
        high = max(2.0, count * (BAR_HEIGHT - 4) / most) if count else 0.0
        if high:
            inside += _rect(place * step + 1, BAR_HEIGHT - high, step - 2, high, f"part age-{place}")
    inside += Markup('<line class="axis" x1="0" y1="{0}" x2="{1}" y2="{0}"/>').format(BAR_HEIGHT, len(counts) * step)
    return _SVG.format(
        kind="bars",
        width=len(counts) * step,
        height=BAR_HEIGHT + 1,
        name=name,
        title=title,
        told=told,
        inside=inside,
        more=Markup(' preserveAspectRatio="none"'),
    )


def share(parts: Iterable[tuple[str, int]]) -> Markup:
    """One bar of the whole, divided by how many there are of each; decoration beside numbers."""
    known = [(name, count) for name, count in parts if count]
    total = sum(count for _, count in known)
    inside, left = Markup(), 0.0
    for name, count in known:
        wide = 100 * count / total
        inside += _rect(left, 0, max(0.6, wide - 0.4), 6, f"part {name}")
        left += wide
    return _HIDDEN.format(kind="share", width=100, height=6, inside=inside, more=Markup(' preserveAspectRatio="none"'))


def _box(stage: Stage, left: int, top: int, wide: int, high: int) -> Markup:
    texts = Markup().join(
        Markup('<text class="line" x="{0}" y="{1}">{2}</text>').format(
            left + 14, top + BOX_TOP + place * LINE + 4, _cut(line)
        )
        for place, line in enumerate(stage.lines)
    )
    return Markup(
        '<g class="stage {tone}"><rect x="{left}" y="{top}" width="{wide}" height="{high}" rx="10"/>'
        '<rect class="edge" x="{left}" y="{edge}" width="4" height="{inner}" rx="2"/>'
        '<text class="name" x="{text}" y="{first}">{title}</text>{texts}</g>'
    ).format(
        tone=stage.tone, left=left, top=top, wide=wide, high=high, edge=top + 10, inner=high - 20, text=left + 14,
        first=top + 24, title=stage.title, texts=texts,
    )  # fmt: skip


def _arrow(left: int, top: int, *, is_down: bool) -> Markup:
    if is_down:
        return Markup('<path class="arrow" d="M{0} {1}v18m-5-6 5 6 5-6"/>').format(left, top)
    return Markup('<path class="arrow" d="M{0} {1}h30m-6-5 6 5-6 5"/>').format(left, top)


def _rect(left: float, top: float, wide: float, high: float, kind: str) -> Markup:
    return Markup('<rect class="{0}" x="{1:.2f}" y="{2:.2f}" width="{3:.2f}" height="{4:.2f}"/>').format(
        kind, left, top, wide, high
    )


def _cut(text: str) -> Markup:
    return escape(text if len(text) <= MAX_LINE else text[: MAX_LINE - 1] + "…")
