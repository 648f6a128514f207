"""The few pages that a browser gets before the console: logging in and choosing a password. No script at all."""

from __future__ import annotations

import base64
import hashlib
from html import escape

from starlette.responses import HTMLResponse

# The colours are those of the console's tokens; these pages stand without it.
_STYLE = (
    ":root{color-scheme:light dark;--page:#f6f7f9;--card:#fff;--line:#dfe2e8;--edge:#7b8291;--text:#191c23;"
    "--quiet:#565d6d;--accent:#3550c8;--on:#fff;--bad:#a3211b;--bad-page:#fdecea}"
    "@media(prefers-color-scheme:dark){:root{--page:#0f1217;--card:#171b22;--line:#2b313d;--edge:#7d8698;"
    "--text:#e7eaf0;--quiet:#a2abbb;--accent:#9db0ff;--on:#0f1217;--bad:#ff9d94;--bad-page:#3a1917}}"
    "*{box-sizing:border-box}"
    "body{margin:0;min-height:100vh;display:grid;place-items:center;padding:1.5rem 1rem;background:var(--page);"
    "color:var(--text);font:1rem/1.5 system-ui,-apple-system,'Segoe UI',Roboto,sans-serif}"
    "main{width:100%;max-width:24rem;background:var(--card);border:1px solid var(--line);border-radius:12px;"
    "padding:2rem}"
    "h1{font-size:1.375rem;line-height:1.3;margin:0 0 1.25rem}"
    ".mark{display:flex;align-items:center;gap:.5rem;font-weight:650;margin:0 0 1.5rem}"
    ".mark svg{width:1.75rem;height:1.75rem;fill:none;stroke:var(--accent);stroke-width:2.25;stroke-linecap:round;"
    "stroke-linejoin:round}"
    "label{display:block;font-weight:550;margin:0 0 1rem}"
    "input{display:block;width:100%;min-height:2.75rem;margin-top:.25rem;padding:.5rem .75rem;font:inherit;"
    "color:inherit;background:var(--page);border:1px solid var(--edge);border-radius:8px}"
    "button,.button{display:block;width:100%;min-height:2.75rem;padding:.5rem .75rem;font:inherit;font-weight:600;"
    "text-align:center;text-decoration:none;color:var(--on);background:var(--accent);border:0;border-radius:8px;"
    "cursor:pointer}"
    "input:focus-visible,button:focus-visible,a:focus-visible{outline:3px solid var(--accent);outline-offset:2px}"
    "a{color:var(--accent)}p{margin:0 0 1rem;color:var(--quiet)}form+p{margin:1.25rem 0 0}"
    ".bad{color:var(--bad);background:var(--bad-page);border-radius:8px;padding:.625rem .75rem}"
)
_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
CSP = f"default-src 'none'; style-src 'sha256-{_HASH}'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
_MARK = (
    '<p class="mark"><svg viewBox="0 0 24 24" aria-hidden="true">'
    '<path d="M12 3 4 6v6c0 4.5 3.2 7.6 8 9 4.8-1.4 8-4.5 8-9V6z"/><path d="M9 9.5v5M15 9.5v5"/></svg>Demur</p>'
)
_PAGE = (
    '<!doctype html><html lang="en"><head><meta charset="utf-8">'
    '<meta name="viewport" content="width=device-width, initial-scale=1">'
    "<title>{title}</title><style>{style}</style></head><body><main>{mark}<h1>{heading}</h1>{body}</main></body></html>"
)
WRONG = "That name and password do not go together. Check both and try again."


def log_in(
    tenants: tuple[str, ...], *, provider: str = "", wanted: str = "", name: str = "", failure: str = ""
) -> HTMLResponse:
    """The form for name and password; `wanted` is the page to go to then, `failure` why the last try was none."""
    which = '<input name="tenant" type="hidden" value="{0}">' if len(tenants) == 1 else _TENANT
    other = f'<p><a href="{escape(provider)}">Log in with your organisation</a></p>' if provider else ""
    onward = f'<input name="next" type="hidden" value="{escape(wanted)}">' if wanted else ""
    told = f'<p class="bad" role="alert">{escape(failure)}</p>' if failure else ""
    return _page(
        "Log in",
        f'{told}<form method="post" action="/login">{_filled(which, tenants)}{onward}'
        f"{_NAME.format(escape(name))}{_CURRENT}<button>Log in</button></form>{other}",
        status=401 if failure else 200,
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


def step_on(path: str) -> HTMLResponse:
    """On to an own page by a step of its own, since a browser that another site sent brings no strict cookie."""
    page = _page("One moment", f'<p><a class="button" href="{escape(path)}">Go on</a></p>')
    page.headers["Refresh"] = f"0; url={path}"
    return page


def logged_in(name: str, token: str) -> HTMLResponse:
    """Who is logged in, and the way out."""
    return _page(
        "Your login",
        f'<p>Logged in as {escape(name)}.</p><form method="post" action="/logout">'
        f'<input name="token" type="hidden" value="{escape(token)}"><button>Log out</button></form>',
    )


_TENANT = '<label>Tenant<input name="tenant" autocomplete="organization" required></label>'
_NAME = '<label>Name<input name="name" autocomplete="username" value="{0}" required autofocus></label>'
_CURRENT = '<label>Password<input name="password" type="password" autocomplete="current-password" required></label>'
_FRESH = (
    '<label>Password, at least 12 characters<input name="password" type="password" minlength="12" '
    'autocomplete="new-password" required></label>'
)


def _filled(which: str, tenants: tuple[str, ...]) -> str:
    return which.format(escape(tenants[0])) if len(tenants) == 1 else which


def _page(heading: str, body: str, *, status: int = 200) -> HTMLResponse:
    title = f"{heading} - Demur"
    page = HTMLResponse(_PAGE.format(title=title, style=_STYLE, mark=_MARK, heading=heading, body=body), status)
    page.headers["Content-Security-Policy"] = CSP
    return page
