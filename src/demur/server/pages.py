"""The few pages that a browser gets before the console: logging in and choosing a password. No script at all."""

from __future__ import annotations

import base64
import hashlib
from html import escape

from starlette.responses import HTMLResponse

_STYLE = (
    "body{font:1rem/1.5 system-ui,sans-serif;max-width:24rem;margin:4rem auto;padding:0 1rem}"
    "label,input,button{display:block;width:100%;box-sizing:border-box;font:inherit}"
    "input,button{padding:.5rem;margin:.25rem 0 1rem}"
)
_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
CSP = f"default-src 'none'; style-src 'sha256-{_HASH}'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
_PAGE = (
    '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
    "<title>{title}</title><style>{style}</style></head><body><main><h1>{title}</h1>{body}</main></body></html>"
)


def log_in(tenants: tuple[str, ...], *, provider: str = "") -> HTMLResponse:
    """The form for name and password."""
    which = '<input name="tenant" type="hidden" value="{0}">' if len(tenants) == 1 else _TENANT
    other = f'<p><a href="{escape(provider)}">Log in with your organisation</a></p>' if provider else ""
    return _page(
        "Log in",
        f'<form method="post" action="/login">{_filled(which, tenants)}{_NAME}{_CURRENT}'
        f"<button>Log in</button></form>{other}",
    )


def choose(tenants: tuple[str, ...], link: str) -> HTMLResponse:
    """The form for a password, for whoever holds a link."""
    which = '<input name="tenant" type="hidden" value="{0}">' if len(tenants) == 1 else _TENANT
    return _page(
        "Choose a password",
        f'<form method="post" action="/welcome">{_filled(which, tenants)}'
        f'<label>Code<input name="link" value="{escape(link)}" autocomplete="off" required></label>{_FRESH}'
        "<button>Keep it</button></form>",
    )


def arrived() -> HTMLResponse:
    """On to the own pages: by a step of its own, since a browser that another site sent brings no strict cookie."""
    page = _page("Demur", '<p><a href="/me">Go on</a></p>')
    page.headers["Refresh"] = "0; url=/me"
    return page


def logged_in(name: str, token: str) -> HTMLResponse:
    """Who is logged in, and the way out."""
    return _page(
        "Demur",
        f'<p>Logged in as {escape(name)}.</p><form method="post" action="/logout">'
        f'<input name="token" type="hidden" value="{escape(token)}"><button>Log out</button></form>',
    )


_TENANT = '<label>Tenant<input name="tenant" autocomplete="organization" required></label>'
_NAME = '<label>Name<input name="name" autocomplete="username" required autofocus></label>'
_CURRENT = '<label>Password<input name="password" type="password" autocomplete="current-password" required></label>'
_FRESH = (
    '<label>Password, at least 12 characters<input name="password" type="password" minlength="12" '
    'autocomplete="new-password" required></label>'
)


def _filled(which: str, tenants: tuple[str, ...]) -> str:
    return which.format(escape(tenants[0])) if len(tenants) == 1 else which


def _page(title: str, body: str) -> HTMLResponse:
    page = HTMLResponse(_PAGE.format(title=title, style=_STYLE, body=body))
    page.headers["Content-Security-Policy"] = CSP
    return page
