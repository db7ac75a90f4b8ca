"""How Alembic runs here: on the connection that `mien.apps.study.database` hands over, in its transaction."""

from alembic import context

context.configure(connection=context.config.attributes["connection"])
context.run_migrations()
