"""On PostgreSQL the signals of each day are a partition.

What the earlier builds wrote becomes the first partition, ``signal_before``, as it stands: no row is copied.
Long work is done beside writers (``prepare``); the exchange itself holds the table for some
milliseconds, since everything it needs is there and proven. The way back leaves the partitions: the
earlier builds' statements work on them as they are.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from hexi.adapters.sql import online

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

DAY = 86_400_000
SPARE = 7 * DAY
"""Until then at least the first partition takes every signal, should this be killed and left half done."""
BOUND = "signal_before_bound"
INDEXES = {
    "ix_signal_subject": "(subject, received)",
    "ix_signal_case": "(source, id) WHERE case_id IS NOT NULL",
    "ix_signal_flagged": "(seq) WHERE flags <> ''",
    "ix_signal_received": "USING brin (received) WITH (autosummarize = on)",
}
COLUMNS = """
    seq bigint NOT NULL DEFAULT nextval('signal_seq_seq'),
    source text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    kind text COLLATE "C" NOT NULL,
    subject text COLLATE "C",
    received bigint NOT NULL,
    time bigint,
    flags text COLLATE "C" NOT NULL,
    data text NOT NULL,
    case_id text COLLATE "C",
"""


def _kind(connection: sa.Connection) -> str:
    """``r`` for one table, ``p`` for one of partitions."""
    return str(
        connection.execute(sa.text("SELECT relkind FROM pg_class WHERE oid = 'signal'::regclass")).scalar()
    )


def _has_rows(connection: sa.Connection) -> bool:
    return connection.execute(sa.text("SELECT 1 FROM signal LIMIT 1")).scalar() is not None


def _bound(connection: sa.Connection) -> int:
    """The first instant after the first partition, as the check of the table says; 0 without one."""
    said = connection.execute(
        sa.text("SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = :name"), {"name": BOUND}
    ).scalar()
    return int("".join(c for c in str(said).partition("<")[2] if c.isdigit())) if said else 0


def prepare(connection: sa.Connection) -> None:
    """The key that a partition needs, the index of the archive, and the proof of where its rows end."""
    if _kind(connection) == "p" or not _has_rows(connection):
        return
    online.index(connection, "pk_signal_before", "signal (seq, received)", unique=True)
    online.index(connection, "ix_signal_before_received", f"signal {INDEXES['ix_signal_received']}")
    if not _bound(connection):
        connection.exec_driver_sql(f"{_check(connection)} NOT VALID")
    connection.exec_driver_sql(f"ALTER TABLE signal VALIDATE CONSTRAINT {BOUND}")


def _check(connection: sa.Connection) -> str:
    """The first partition ends at a midnight (UTC) after all that is there and is written meanwhile."""
    now = "(extract(epoch FROM clock_timestamp()) * 1000)::bigint"
    latest = connection.execute(sa.text(f"SELECT greatest(max(received), {now}) FROM signal")).scalar_one()  # noqa: S608 -- words of ours
    end = int(latest + SPARE) // DAY * DAY + DAY
    return f"ALTER TABLE signal ADD CONSTRAINT {BOUND} CHECK (received < {end})"


def abandon(connection: sa.Connection) -> None:
    """Leave nothing of a ``prepare`` that no ``upgrade`` followed: the check would refuse rows in a week."""
    if connection.dialect.name != "postgresql" or _kind(connection) == "p":
        return
    connection.exec_driver_sql(f"ALTER TABLE signal DROP CONSTRAINT IF EXISTS {BOUND}")
    connection.exec_driver_sql("DROP INDEX IF EXISTS pk_signal_before, ix_signal_before_received")


def upgrade() -> None:
    connection = op.get_bind()
    if connection.dialect.name != "postgresql" or _kind(connection) == "p":
        return
    op.execute("LOCK TABLE signal IN ACCESS EXCLUSIVE MODE")
    op.execute("ALTER SEQUENCE signal_seq_seq OWNED BY NONE")
    if not _has_rows(connection):
        op.execute("DROP TABLE signal")
        _create()
        return
    end = _bound(connection) or _prepare_at_once(connection)
    _put_aside()
    _create()
    op.execute(f"ALTER TABLE signal ATTACH PARTITION signal_before FOR VALUES FROM (MINVALUE) TO ({end})")
    op.execute(f"ALTER TABLE signal_before DROP CONSTRAINT {BOUND}")


def _prepare_at_once(connection: sa.Connection) -> int:
    """The first rows were written after ``prepare`` found none: they are few."""
    op.execute("CREATE UNIQUE INDEX pk_signal_before ON signal (seq, received)")
    op.execute(_check(connection))
    return _bound(connection)


def _put_aside() -> None:
    """The old table keeps its rows and indexes under names of its own."""
    op.execute("ALTER TABLE signal RENAME TO signal_before")
    op.execute("ALTER TABLE signal_before DROP CONSTRAINT pk_signal")
    op.execute("ALTER TABLE signal_before ADD PRIMARY KEY USING INDEX pk_signal_before")
    for name in ("subject", "case", "flagged"):
        op.execute(f"ALTER INDEX ix_signal_{name} RENAME TO ix_signal_before_{name}")


def _create() -> None:
    op.execute(
        f"CREATE TABLE signal ({COLUMNS} CONSTRAINT pk_signal PRIMARY KEY (seq, received))"
        " PARTITION BY RANGE (received)"
    )
    op.execute("ALTER SEQUENCE signal_seq_seq OWNED BY signal.seq")
    for name, on in INDEXES.items():
        op.execute(f"CREATE INDEX {name} ON signal {on}")
    op.execute("CREATE TABLE signal_default PARTITION OF signal DEFAULT")


def downgrade() -> None:
    pass
