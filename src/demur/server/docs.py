"""The OpenAPI document as a page: one file, no script, nothing fetched from anywhere."""

from __future__ import annotations

import base64
import hashlib
import html
import json
from typing import TYPE_CHECKING, Any

from starlette.responses import Response

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #1b1b1b; }
h1, h2 { line-height: 1.2; } code, pre { font: 14px/1.4 ui-monospace, monospace; }
pre { background: #f4f4f4; padding: .75rem; overflow-x: auto; } summary { cursor: pointer; }
section { border-top: 1px solid #ccc; padding: .5rem 0; } .method { display: inline-block; min-width: 4rem; }
@media (prefers-color-scheme: dark) { body { background: #161616; color: #eee; } pre { background: #262626; } }
"""
_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
CONTENT_POLICY = f"default-src 'none'; style-src 'sha256-{_HASH}'; frame-ancestors 'none'; base-uri 'none'"


def page(document: Mapping[str, Any]) -> Response:
    """The page of an OpenAPI document."""
    text = "".join(_lines(document))
    return Response(text, media_type="text/html", headers={"Content-Security-Policy": CONTENT_POLICY})


def _lines(document: Mapping[str, Any]) -> Iterator[str]:
    info = document["info"]
    yield f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{_safe(info["title"])}</title>'
    yield f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style></head><body><main>'
    yield f"<h1>{_safe(info['title'])}</h1><p>{_safe(info['description'])}</p>"
    yield '<p>For programs: <a href="/openapi.json">openapi.json</a> (OpenAPI 3.1)</p>'
    for path, methods in document["paths"].items():
        for method, told in methods.items():
            yield from _operation(path, method, told)
    yield "<h2>Schemas</h2>"
    for name, schema in document["components"]["schemas"].items():
        yield f'<section id="{_safe(name)}"><h3><code>{_safe(name)}</code></h3>{_json(schema)}</section>'
    yield "</main></body></html>"


def _operation(path: str, method: str, told: Mapping[str, Any]) -> Iterator[str]:
    yield f'<section><h2><code class="method">{_safe(method.upper())}</code> <code>{_safe(path)}</code></h2>'
    yield f"<p>{_safe(told.get('summary', ''))}</p><p>{_safe(told.get('description', ''))}</p>"
    shown = {name: told[name] for name in ("parameters", "requestBody", "responses") if told.get(name)}
    yield f"<details><summary>Parameters, body and answers</summary>{_json(shown)}</details></section>"


def _json(value: object) -> str:
    return f"<pre>{_safe(json.dumps(value, indent=2, ensure_ascii=False))}</pre>"


def _safe(text: object) -> str:
    return html.escape(str(text))
