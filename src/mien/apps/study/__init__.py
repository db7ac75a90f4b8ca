"""A study in the browser: people look at pictures, rate or compare them, and every vote is kept.

May import everything of mien, and at import time the extra `study` (FastAPI, SQLAlchemy, Alembic): the command line
imports this folder inside its verbs only. Data flows one way: folder → database → page → votes → `mien scale`.
Start with `settings.py` (what can be chosen) and `schema.py` (what is kept), then `observers.py` (who takes part),
`assignment.py` (who sees what; `pool.py`: which pairs wait), `votes.py` (what becomes of an answer) and `server.py`
(the way in).
"""
