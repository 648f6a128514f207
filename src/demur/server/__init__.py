"""The gate as a service: AuthZEN and Demur's own resources over HTTP. Translation only; every rule is in the core.

    bytes -> guard -> identify -> access -> gate -> wire
             size,    who calls   may they?  (one tenant's)
             pace

- `settings`    what can be configured, from a TOML file
- `tenants`     every tenant's gate, opened at the start and closed at the end
- `identify`    from a request to an `Identity`
- `guard`       caps and paces, before anything is read
- `authzen`     the hot routes, on Starlette and msgspec
- `routes/`     everything else, one noun per file, on FastAPI
- `problems`    errors as problem documents (RFC 9457)
- `app`         all of it together

Clauses: S1, S5.3, S6, S7, S11.2, S12.
"""
