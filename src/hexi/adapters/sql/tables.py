"""The tables, once for SQLite and PostgreSQL.

Only plain types, so that a driver's rows need no conversion: instants are whole milliseconds, JSON is
text (UTF-8, never escaped, so that Chinese can be searched), truth is 0 or 1.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    Double,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    text,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

KEY = Text().with_variant(Text(collation="C"), "postgresql")
"""Ids sort by their bytes on both databases."""
SEQUENCE = BigInteger().with_variant(Integer(), "sqlite")
"""On SQLite only INTEGER is the row's own number; it costs no second index."""


def _partial(name: str, *columns: str, where: str) -> Index:
    return Index(name, *columns, sqlite_where=text(where), postgresql_where=text(where))


signal = Table(
    "signal",
    metadata,
    Column("seq", SEQUENCE, primary_key=True),
    Column("source", KEY, nullable=False),
    Column("id", KEY, nullable=False),
    Column("kind", KEY, nullable=False),
    Column("subject", KEY),
    Column("received", BigInteger, nullable=False),
    Column("time", BigInteger),
    Column("flags", KEY, nullable=False),
    Column("data", Text, nullable=False),
    Column("case_id", KEY),
    Index("ix_signal_subject", "subject", "received"),
    _partial("ix_signal_case", "source", "id", where="case_id IS NOT NULL"),
    _partial("ix_signal_flagged", "seq", where="flags <> ''"),
)

seen = Table(
    "seen",
    metadata,
    Column("seq", SEQUENCE, primary_key=True),
    Column("source", KEY, nullable=False),
    Column("id", KEY, nullable=False),
    Column("digest", BigInteger, nullable=False),
    Column("received", BigInteger, nullable=False),
    UniqueConstraint("source", "id"),
)

heard = Table(
    "heard",
    metadata,
    Column("key", KEY, primary_key=True),
    Column("at", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

case_row = Table(
    "case_row",
    metadata,
    Column("id", KEY, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("state", KEY, nullable=False),
    Column("severity", SmallInteger, nullable=False),
    Column("scenario", KEY, nullable=False),
    Column("matter", KEY, nullable=False),
    Column("subject", KEY),
    Column("device", KEY),
    Column("street", KEY),
    Column("community", KEY),
    Column("grid", KEY),
    Column("lon", Double),
    Column("lat", Double),
    Column("opened_at", BigInteger, nullable=False),
    Column("closed_at", BigInteger),
    Column("next_due", BigInteger),
    Column("drill", SmallInteger, nullable=False),
    Column("open", SmallInteger, nullable=False),
    Column("body", Text, nullable=False),
    _partial("ix_case_row_open", "next_due", "severity", where="open = 1"),
    Index("ix_case_row_opened_at", "opened_at"),
    Index("ix_case_row_subject", "subject"),
    Index("ix_case_row_device", "device"),
)

case_log = Table(
    "case_log",
    metadata,
    Column("case_id", KEY, primary_key=True),
    Column("seq", Integer, primary_key=True),
    Column("at", BigInteger, nullable=False),
    Column("kind", KEY, nullable=False),
    Column("by", KEY, nullable=False),
    Column("via", KEY, nullable=False),
    Column("body", Text, nullable=False),
    sqlite_with_rowid=False,
)

fold = Table(
    "fold",
    metadata,
    Column("key", KEY, primary_key=True),
    Column("case_id", KEY, nullable=False),
    Column("until", BigInteger),
    _partial("ix_fold_until", "until", where="until IS NOT NULL"),
    sqlite_with_rowid=False,
)

deadline = Table(
    "deadline",
    metadata,
    Column("key", KEY, primary_key=True),
    Column("due_at", BigInteger, nullable=False),
    Column("kind", KEY, nullable=False),
    Column("case_id", KEY),
    Column("body", Text, nullable=False),
    Index("ix_deadline_due_at", "due_at"),
    _partial("ix_deadline_case", "case_id", where="case_id IS NOT NULL"),
)

notice = Table(
    "notice",
    metadata,
    Column("seq", SEQUENCE, primary_key=True),
    Column("id", KEY, nullable=False, unique=True),
    Column("case_id", KEY, nullable=False),
    Column("recipient", KEY, nullable=False),
    Column("state", KEY, nullable=False),
    Column("lane", SmallInteger, nullable=False),
    Column("next_at", BigInteger, nullable=False),
    Column("body", Text, nullable=False),
    Column("owner", KEY),
    Index("ix_notice_case_id", "case_id"),
    Index("ix_notice_recipient", "recipient"),
    _partial("ix_notice_waiting", "lane", "next_at", where="state = 'waiting'"),
)


process = Table(
    "process",
    metadata,
    Column("id", KEY, primary_key=True),
    Column("host", Text, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("roles", KEY, nullable=False),
    Column("playing", KEY, nullable=False),
    Column("standby", SmallInteger, nullable=False),
    Column("version", KEY, nullable=False),
    Column("secret", KEY, nullable=False),
    Column("address", Text, nullable=False),
    Column("started", BigInteger, nullable=False),
    Column("seen_at", BigInteger, nullable=False),
    Column("hears_since", BigInteger, nullable=False),
)


def _versions(name: str, *, every: bool) -> Table:
    """Records as they stand, or ``every`` version of them."""
    return Table(
        name,
        metadata,
        Column("kind", KEY, primary_key=True),
        Column("id", KEY, primary_key=True),
        Column("version", Integer, primary_key=every, nullable=False),
        Column("data", Text, nullable=False),
        Column("at", BigInteger, nullable=False),
        Column("by", KEY, nullable=False),
        Column("deleted", SmallInteger, nullable=False),
    )


record = _versions("record", every=False)
record_version = _versions("record_version", every=True)

record_link = Table(
    "record_link",
    metadata,
    Column("kind", KEY, primary_key=True),
    Column("id", KEY, primary_key=True),
    Column("field", KEY, primary_key=True),
    Column("target", KEY, primary_key=True),
    Index("ix_record_link_target", "kind", "field", "target"),
    sqlite_with_rowid=False,
)

measure = Table(
    "measure",
    metadata,
    Column("indicator", KEY, nullable=False),
    Column("case_id", KEY, nullable=False),
    Column("day", KEY, nullable=False),
    Column("street", KEY),
    Column("community", KEY),
    Column("grid", KEY),
    Column("hit", Integer),
    Column("value", Double),
    PrimaryKeyConstraint("case_id", "indicator"),
    Index("ix_measure_figure", "indicator", "day", "street", "hit"),
    sqlite_with_rowid=False,
)

quarantine = Table(
    "quarantine",
    metadata,
    Column("id", SEQUENCE, primary_key=True),
    Column("received", BigInteger, nullable=False),
    Column("link", KEY, nullable=False),
    Column("content_type", KEY, nullable=False),
    Column("reason", Text, nullable=False),
    Column("raw", LargeBinary, nullable=False),
    Column("replayed_at", BigInteger),
)

setting = Table(
    "setting",
    metadata,
    Column("name", KEY, primary_key=True),
    Column("value", Text, nullable=False),
)

account = Table(
    "account",
    metadata,
    Column("login", KEY, primary_key=True),
    Column("name", Text, nullable=False),
    Column("hash", Text, nullable=False),
    Column("role", KEY, nullable=False),
    Column("place", KEY),
    Column("person", KEY),
    Column("active", SmallInteger, nullable=False),
)

session = Table(
    "session",
    metadata,
    Column("digest", KEY, primary_key=True),
    Column("login", KEY, nullable=False),
    Column("expires", BigInteger, nullable=False),
    Index("ix_session_expires", "expires"),
)

token = Table(
    "token",
    metadata,
    Column("name", KEY, primary_key=True),
    Column("hash", KEY, nullable=False, unique=True),
    Column("sources", Text, nullable=False),
    Column("scope", KEY, nullable=False),
    Column("active", SmallInteger, nullable=False),
)

look = Table(
    "look",
    metadata,
    Column("seq", SEQUENCE, primary_key=True),
    Column("at", BigInteger, nullable=False),
    Column("by", KEY, nullable=False),
    Column("record", KEY, nullable=False),
    Column("what", KEY, nullable=False),
    Column("case_id", KEY),
    Index("ix_look_record", "record"),
)

archive_file = Table(
    "archive_file",
    metadata,
    Column("name", KEY, primary_key=True),
    Column("hour", BigInteger, nullable=False),
    Column("kinds", Text, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("sha256", KEY, nullable=False),
    Column("state", KEY, nullable=False),
    Column("written", BigInteger, nullable=False),
    Column("verified", BigInteger, nullable=False),
    Column("erased", BigInteger, nullable=False),
    Column("fence", Text),
    Column("gone_at", BigInteger),
    Index("ix_archive_file_hour", "hour"),
)

archive_erasure = Table(
    "archive_erasure",
    metadata,
    Column("id", SEQUENCE, primary_key=True),
    Column("subject", KEY, nullable=False),
    Column("until", BigInteger, nullable=False),
)
