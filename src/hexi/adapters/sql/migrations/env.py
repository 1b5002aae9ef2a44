"""Run by Alembic inside the transaction that ``schema.bring_up`` has begun."""

from alembic import context

from hexi.adapters.sql.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
    transactional_ddl=True,
)
context.run_migrations()
