"""Alembic's entry: runs the migrations on the connection it is given, in the transaction that is open there.

The same revisions make SQLite's tables and PostgreSQL's; what differs between them stands in the revision itself.
"""

from __future__ import annotations

from alembic import context

context.configure(connection=context.config.attributes["connection"], transactional_ddl=False)
context.run_migrations()
