"""Indexes by which what is long past is found: expired sessions, keys of cases closed long ago."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_session_expires", "session", ["expires"], unique=False)
    op.create_index(
        "ix_fold_until",
        "fold",
        ["until"],
        unique=False,
        sqlite_where=sa.text("until IS NOT NULL"),
        postgresql_where=sa.text("until IS NOT NULL"),
    )


def downgrade() -> None:
    op.drop_index("ix_fold_until", table_name="fold")
    op.drop_index("ix_session_expires", table_name="session")
