"""Alembic's entry: migrates the schema that is first on the search path of the connection it is handed."""

from alembic import context

schema = context.config.attributes["schema"]
context.configure(connection=context.config.attributes["connection"], version_table_schema=schema)
with context.begin_transaction():
    context.run_migrations()
