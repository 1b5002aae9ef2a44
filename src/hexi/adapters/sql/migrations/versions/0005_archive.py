"""What has moved to the archive; a day's figure is counted from an index alone."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from hexi.adapters.sql import online

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

KEY = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
SEQUENCE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


FIGURE = ("indicator", "day", "street", "hit")


def prepare(connection: sa.Connection) -> None:
    """The index is built beside writers."""
    online.index(connection, "ix_measure_figure", f"measure ({', '.join(FIGURE)})")


def abandon(connection: sa.Connection) -> None:
    """Leave nothing of a ``prepare`` that no ``upgrade`` followed."""
    connection.exec_driver_sql("DROP INDEX IF EXISTS ix_measure_figure")


def upgrade() -> None:
    op.create_index("ix_measure_figure", "measure", FIGURE, unique=False, if_not_exists=True)
    op.drop_index("ix_measure_day", table_name="measure")
    op.create_table(
        "archive_file",
        sa.Column("name", KEY, nullable=False),
        sa.Column("hour", sa.BigInteger(), nullable=False),
        sa.Column("kinds", sa.Text(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("sha256", KEY, nullable=False),
        sa.Column("state", KEY, nullable=False),
        sa.Column("written", sa.BigInteger(), nullable=False),
        sa.Column("verified", sa.BigInteger(), nullable=False),
        sa.Column("erased", sa.BigInteger(), nullable=False),
        sa.Column("fence", sa.Text(), nullable=True),
        sa.Column("gone_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_archive_file")),
    )
    op.create_index("ix_archive_file_hour", "archive_file", ["hour"], unique=False)
    op.create_table(
        "archive_erasure",
        sa.Column("id", SEQUENCE, nullable=False),
        sa.Column("subject", KEY, nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_archive_erasure")),
    )


def downgrade() -> None:
    op.drop_table("archive_erasure")
    op.drop_index("ix_archive_file_hour", table_name="archive_file")
    op.drop_table("archive_file")
    op.create_index("ix_measure_day", "measure", ["indicator", "day"], unique=False)
    op.drop_index("ix_measure_figure", table_name="measure")
