"""One file for each change of the tables, oldest first. May import sqlalchemy and alembic only; start with `0001`."""
