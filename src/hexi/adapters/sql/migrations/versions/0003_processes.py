"""The processes of an installation, and who sends which notice."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

KEY = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "process",
        sa.Column("id", KEY, nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("roles", KEY, nullable=False),
        sa.Column("playing", KEY, nullable=False),
        sa.Column("standby", sa.SmallInteger(), nullable=False),
        sa.Column("version", KEY, nullable=False),
        sa.Column("secret", KEY, nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("started", sa.BigInteger(), nullable=False),
        sa.Column("seen_at", sa.BigInteger(), nullable=False),
        sa.Column("hears_since", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_process"),
    )
    op.add_column("notice", sa.Column("owner", KEY, nullable=True))


def downgrade() -> None:
    op.drop_column("notice", "owner")
    op.drop_table("process")
