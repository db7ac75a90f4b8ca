"""The history of the tables; start with the oldest file of `versions/`. May import sqlalchemy and alembic only.

A change of `schema.py` comes with a new file there, which turns what exists into what is wanted and is never edited
after a release.
"""
