"""Looks at HTML without a browser: what a strict content policy and readers of the screen ask of it."""

from __future__ import annotations

from collections import Counter
from html.parser import HTMLParser
from urllib.parse import urlsplit

VOID = frozenset({"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"})
OPTIONAL = frozenset({"li", "dt", "dd", "p", "tr", "td", "th", "thead", "tbody", "tfoot", "option"})
LOADS = frozenset(
    {("script", "src"), ("link", "href"), ("img", "src"), ("form", "action"), ("a", "href"), ("use", "href")}
)


class Reading(HTMLParser):
    """What is wrong with a page, in `faults`, and its elements."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.faults: list[str] = []
        self.elements: Counter[str] = Counter()
        self._ids: Counter[str] = Counter()
        self._open: list[str] = []
        self._labelled: set[str] = set()
        self._controls: list[tuple[str, dict[str, str]]] = []
        self.lang = ""
        self.feed(text)
        self.close()
        self._finish()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        self.elements[tag] += 1
        if len(found) != len(attrs):
            self.faults.append(f"<{tag}> has an attribute twice")
        if "id" in found:
            self._ids[found["id"]] += 1
        self._check_code(tag, found)
        self._check_addresses(tag, found)
        self._note(tag, found)
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open[-1] != tag and self._open[-1] in OPTIONAL:
            self._open.pop()
        if not self._open or self._open.pop() != tag:
            self.faults.append(f"</{tag}> ends nothing at {self.getpos()}")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self._open.pop()

    def _check_code(self, tag: str, found: dict[str, str]) -> None:
        if tag == "script" and "src" not in found:
            self.faults.append("a script stands inside the page")
        if "style" in found:
            self.faults.append(f"<{tag}> has a style of its own: {found['style'][:40]}")
        self.faults += [f"<{tag}> has {name}" for name in found if name.startswith(("on", "hx-on"))]

    def _check_addresses(self, tag: str, found: dict[str, str]) -> None:
        for name, value in found.items():
            if (tag, name) in LOADS or name.startswith("hx-"):
                parts = urlsplit(value) if (tag, name) in LOADS else urlsplit("")
                if parts.scheme not in {"", "mailto"} or parts.netloc:
                    self.faults.append(f"<{tag} {name}> leads to {value[:60]}")

    def _note(self, tag: str, found: dict[str, str]) -> None:
        if tag == "html":
            self.lang = found.get("lang", "")
        if tag == "label" and "for" in found:
            self._labelled.add(found["for"])
        is_named = {"aria-label", "aria-labelledby"} & set(found) or "label" in self._open
        is_seen = found.get("type") not in {"hidden", "submit", "button"}
        if tag in {"input", "select", "textarea"} and is_seen and not is_named:
            self._controls.append((tag, found))

    def _finish(self) -> None:
        self.faults += [f"id `{name}` stands {count} times" for name, count in self._ids.items() if count > 1]
        self.faults += [
            f"<{tag} name={found.get('name')}> has no label"
            for tag, found in self._controls
            if found.get("id", "") not in self._labelled
        ]
        if self.elements["h1"] != 1:
            self.faults.append(f"{self.elements['h1']} headings of the first level")
        if not self.lang:
            self.faults.append("no language")
        if self._open:
            self.faults.append(f"never closed: {self._open}")
