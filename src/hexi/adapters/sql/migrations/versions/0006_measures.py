"""What is measured of a case lies together: one tree less to write for every change of a case."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from hexi.adapters.sql import online

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

KEY = "case_id, indicator"
EARLIER_KEY = "indicator, case_id"
NEXT = "pk_measure_next"
COLUMNS = "indicator, case_id, day, street, community, grid, hit, value"
TYPES = """
    indicator TEXT NOT NULL,
    case_id TEXT NOT NULL,
    day TEXT NOT NULL,
    street TEXT,
    community TEXT,
    grid TEXT,
    hit INTEGER,
    value DOUBLE,
"""


def prepare(connection: sa.Connection) -> None:
    """The index of the new key is built beside writers."""
    online.index(connection, NEXT, f"measure ({KEY})", unique=True)


def abandon(connection: sa.Connection) -> None:
    """Leave nothing of a ``prepare`` that no ``upgrade`` followed."""
    connection.exec_driver_sql(f'DROP INDEX IF EXISTS "{NEXT}"')


def upgrade() -> None:
    if _is_postgresql():
        op.execute(f'CREATE UNIQUE INDEX IF NOT EXISTS "{NEXT}" ON measure ({KEY})')
        _exchange_key()
        op.drop_index("ix_measure_case_id", table_name="measure")
        return
    _write_anew(KEY)
    _create_figure_index()


def downgrade() -> None:
    if _is_postgresql():
        op.execute(f'CREATE UNIQUE INDEX "{NEXT}" ON measure ({EARLIER_KEY})')
        _exchange_key()
    else:
        _write_anew(EARLIER_KEY)
        _create_figure_index()
    op.create_index("ix_measure_case_id", "measure", ["case_id"], unique=False)


def _is_postgresql() -> bool:
    return op.get_bind().dialect.name == "postgresql"


def _exchange_key() -> None:
    """The index becomes the key; no row is copied."""
    op.execute("ALTER TABLE measure DROP CONSTRAINT pk_measure")
    op.execute(f'ALTER TABLE measure ADD CONSTRAINT pk_measure PRIMARY KEY USING INDEX "{NEXT}"')


def _write_anew(key: str) -> None:
    """SQLite keeps the rows in the tree of their key, so that another key is another table."""
    op.execute(f"CREATE TABLE measure_next ({TYPES} CONSTRAINT pk_measure PRIMARY KEY ({key})) WITHOUT ROWID")
    op.execute(f"INSERT INTO measure_next ({COLUMNS}) SELECT {COLUMNS} FROM measure ORDER BY {key}")  # noqa: S608 -- our own names
    op.drop_table("measure")
    op.rename_table("measure_next", "measure")


def _create_figure_index() -> None:
    op.create_index("ix_measure_figure", "measure", ("indicator", "day", "street", "hit"), unique=False)
