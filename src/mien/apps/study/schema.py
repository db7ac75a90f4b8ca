"""What is kept, as tables. The migrations in `migrations/` make them; a test holds both equal.

study     one row for each study: its link, the hash of its owner's token, its settings, whether it is open
item      what is shown; observers know an item by its `public` name only
observer  a random code, the hash of a token, what the viewing check found; no name, no address
trial     one question to one observer; a pair that nobody has been given yet has no observer
vote      the answer to a trial: at most one, because the trial is its key; rows are added, never changed
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

metadata = MetaData()

study = Table(
    "study",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("link", String(64), nullable=False, unique=True),
    Column("owner_sha256", String(64), nullable=False),
    Column("title", Text, nullable=False),
    Column("settings", Text, nullable=False),  # JSON, see settings.py
    Column("items_sha256", String(64), nullable=False),  # of what is shown
    Column("open", Boolean, nullable=False),
    Column("created", Float, nullable=False),  # seconds since 1970, as all times
)

wording = Table(
    "wording",
    metadata,
    Column("study_id", ForeignKey("study.id"), primary_key=True),
    Column("sha256", String(64), primary_key=True),
    Column("consent", Text, nullable=False),
    Column("instructions", Text, nullable=False),
)

item = Table(
    "item",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("study_id", ForeignKey("study.id"), nullable=False),
    Column("public", String(32), nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("path", Text, nullable=False),
    Column("scene", Text, nullable=False),
    Column("reference", Text, nullable=False),  # name of another item, or ""
    Column("role", String(16), nullable=False),
    Column("mime", String(32), nullable=False),
    Column("width", Integer),
    Column("height", Integer),
    Column("size", BigInteger, nullable=False),
    UniqueConstraint("study_id", "name"),
)

observer = Table(
    "observer",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("study_id", ForeignKey("study.id"), nullable=False),
    Column("number", Integer, nullable=False),  # 1, 2, ...: with the study's seed, the seed of every order
    Column("code", String(16), nullable=False),
    Column("token_sha256", String(64), nullable=False, unique=True),
    Column("joined", Float, nullable=False),
    Column("wording_sha256", String(64), nullable=False),  # what was agreed to
    Column("quota", Integer, nullable=False),  # trials that count
    Column("check", Text),  # JSON of the viewing check; NULL before it
    UniqueConstraint("study_id", "number"),
    UniqueConstraint("study_id", "code"),
)

trial = Table(
    "trial",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("study_id", ForeignKey("study.id"), nullable=False),
    Column("observer_id", ForeignKey("observer.id")),  # NULL: a pair that waits for somebody
    Column("position", Integer),  # in the observer's order, from 0
    Column("role", String(16), nullable=False),  # training, main or trap
    Column("scene", Text, nullable=False),
    Column("first_id", ForeignKey("item.id")),  # the item that is rated, or the one of a pair with the lower number
    Column("second_id", ForeignKey("item.id")),  # the other one of a pair, or the reference
    Column("left_id", ForeignKey("item.id")),  # which one of a pair is on the left
    Column("round", Integer, nullable=False),  # how many-th asking of this pair, or repetition of this item, from 1
    Column("pool", Boolean, nullable=False),  # a pair of which every round exists once in the study
    Column("expected", String(8)),  # the answer that a trap asks for
    Column("given", Float),  # when the observer got it
    Column("answered", Float),  # when the vote came
    UniqueConstraint("observer_id", "position"),
    CheckConstraint("(observer_id IS NULL) = (position IS NULL)", name="given_has_position"),
)
# Whatever goes wrong above, the database itself never holds the same asking of a pair twice.
Index(
    "one_round_of_a_pair",
    trial.c.study_id,
    trial.c.first_id,
    trial.c.second_id,
    trial.c.round,
    unique=True,
    sqlite_where=trial.c.pool,
    postgresql_where=trial.c.pool,
)
Index("trial_of_scene", trial.c.study_id, trial.c.scene, trial.c.observer_id)

vote = Table(
    "vote",
    metadata,
    Column("trial_id", ForeignKey("trial.id"), primary_key=True),
    Column("observer_id", ForeignKey("observer.id"), nullable=False),
    Column("key", String(64), nullable=False),  # made by the page; a vote that is sent again has the same one
    Column("answer", String(8), nullable=False),
    Column("response_ms", Integer, nullable=False),
    Column("views", Integer, nullable=False),
    Column("session", String(64), nullable=False),  # one opening of the page
    Column("width", Integer),  # of the window, CSS px
    Column("height", Integer),
    Column("ratio", Float),  # device pixels for each CSS px
    Column("shown_scale", Float),  # device pixels for each pixel of the file
    Column("received", Float, nullable=False),
    UniqueConstraint("observer_id", "key"),
)
