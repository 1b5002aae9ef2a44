"""Alembic revisions, run by `schema.bring_up`."""
