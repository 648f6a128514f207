"""The tables of the store and how they changed, for Alembic; the same for every database."""
