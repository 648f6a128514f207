"""The gate as a service: AuthZEN and Demur's own resources over HTTP. Translation only; every rule is in the core.

    bytes -> guard -> identify -> access -> gate -> wire
             size,    who calls   may they?  (one tenant's)
             pace

- `settings`    what can be configured, from a TOML file
- `tenants`     every tenant's gate, opened at the start and closed at the end
- `identify`    from a request to an `Identity`
- `guard`       caps and paces, before anything is read
- `overload`    whoever comes when too much is asked is turned away; `reply`: responses whose headers are made once
- `service`     what every route shares; `awaiting`: answers that another thread ends, awaited in groups
- `authzen`     the hot routes, on Starlette and msgspec; `search` looks through what is known
- `routes/`     everything else, one noun per file; a `route` says its method, path and act, and all else follows
- `openapi`     what the routes are, for programs; `docs` for people
- `problems`    errors as problem documents (RFC 9457)
- `app`         all of it together; `running` as a process; `doors`: for the command line of the owner, in the home

Clauses: S1, S5.3, S6, S7, S11.2, S12.
"""
