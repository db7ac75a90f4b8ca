"""First tables."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make them."""
    op.create_table(
        "study",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("link", sa.String(64), nullable=False, unique=True),
        sa.Column("owner_sha256", sa.String(64), nullable=False),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("settings", sa.Text, nullable=False),
        sa.Column("items_sha256", sa.String(64), nullable=False),
        sa.Column("open", sa.Boolean, nullable=False),
        sa.Column("created", sa.Float, nullable=False),
    )
    op.create_table(
        "wording",
        sa.Column("study_id", sa.Integer, sa.ForeignKey("study.id"), primary_key=True),
        sa.Column("sha256", sa.String(64), primary_key=True),
        sa.Column("consent", sa.Text, nullable=False),
        sa.Column("instructions", sa.Text, nullable=False),
    )
    op.create_table(
        "item",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("study_id", sa.Integer, sa.ForeignKey("study.id"), nullable=False),
        sa.Column("public", sa.String(32), nullable=False, unique=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("path", sa.Text, nullable=False),
        sa.Column("scene", sa.Text, nullable=False),
        sa.Column("reference", sa.Text, nullable=False),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("mime", sa.String(32), nullable=False),
        sa.Column("width", sa.Integer),
        sa.Column("height", sa.Integer),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.UniqueConstraint("study_id", "name"),
    )
    op.create_table(
        "observer",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("study_id", sa.Integer, sa.ForeignKey("study.id"), nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("code", sa.String(16), nullable=False),
        sa.Column("token_sha256", sa.String(64), nullable=False, unique=True),
        sa.Column("joined", sa.Float, nullable=False),
        sa.Column("wording_sha256", sa.String(64), nullable=False),
        sa.Column("quota", sa.Integer, nullable=False),
        sa.Column("check", sa.Text),
        sa.UniqueConstraint("study_id", "number"),
        sa.UniqueConstraint("study_id", "code"),
    )
    op.create_table(
        "trial",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("study_id", sa.Integer, sa.ForeignKey("study.id"), nullable=False),
        sa.Column("observer_id", sa.Integer, sa.ForeignKey("observer.id")),
        sa.Column("position", sa.Integer),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("scene", sa.Text, nullable=False),
        sa.Column("first_id", sa.Integer, sa.ForeignKey("item.id")),
        sa.Column("second_id", sa.Integer, sa.ForeignKey("item.id")),
        sa.Column("left_id", sa.Integer, sa.ForeignKey("item.id")),
        sa.Column("round", sa.Integer, nullable=False),
        sa.Column("pool", sa.Boolean, nullable=False),
        sa.Column("expected", sa.String(8)),
        sa.Column("given", sa.Float),
        sa.Column("answered", sa.Float),
        sa.UniqueConstraint("observer_id", "position"),
        sa.CheckConstraint("(observer_id IS NULL) = (position IS NULL)", name="given_has_position"),
    )
    op.create_index(
        "one_round_of_a_pair",
        "trial",
        ["study_id", "first_id", "second_id", "round"],
        unique=True,
        sqlite_where=sa.text("pool"),
        postgresql_where=sa.text("pool"),
    )
    op.create_index("trial_of_scene", "trial", ["study_id", "scene", "observer_id"])
    op.create_table(
        "vote",
        sa.Column("trial_id", sa.Integer, sa.ForeignKey("trial.id"), primary_key=True),
        sa.Column("observer_id", sa.Integer, sa.ForeignKey("observer.id"), nullable=False),
        sa.Column("key", sa.String(64), nullable=False),
        sa.Column("answer", sa.String(8), nullable=False),
        sa.Column("response_ms", sa.Integer, nullable=False),
        sa.Column("views", sa.Integer, nullable=False),
        sa.Column("session", sa.String(64), nullable=False),
        sa.Column("width", sa.Integer),
        sa.Column("height", sa.Integer),
        sa.Column("ratio", sa.Float),
        sa.Column("shown_scale", sa.Float),
        sa.Column("received", sa.Float, nullable=False),
        sa.UniqueConstraint("observer_id", "key"),
    )
