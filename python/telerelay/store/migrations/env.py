"""Runs migrations on the connection that `telerelay.store.engine` opened."""

from alembic import context

from telerelay.store.tables import Table

connection = context.config.attributes["connection"]
# SQLite cannot alter a table in place; alembic then copies it.
context.configure(connection=connection, target_metadata=Table.metadata, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
