"""The first tables."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

KEY = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
SEQUENCE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _account() -> None:
    op.create_table(
        "account",
        sa.Column("login", KEY, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("role", KEY, nullable=False),
        sa.Column("place", KEY, nullable=True),
        sa.Column("person", KEY, nullable=True),
        sa.Column("active", sa.SmallInteger(), nullable=False),
        sa.PrimaryKeyConstraint("login", name=op.f("pk_account")),
    )


def _case_log() -> None:
    op.create_table(
        "case_log",
        sa.Column("case_id", KEY, nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("kind", KEY, nullable=False),
        sa.Column("by", KEY, nullable=False),
        sa.Column("via", KEY, nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("case_id", "seq", name=op.f("pk_case_log")),
        sqlite_with_rowid=False,
    )


def _case_row() -> None:
    op.create_table(
        "case_row",
        sa.Column("id", KEY, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("state", KEY, nullable=False),
        sa.Column("severity", sa.SmallInteger(), nullable=False),
        sa.Column("scenario", KEY, nullable=False),
        sa.Column("matter", KEY, nullable=False),
        sa.Column("subject", KEY, nullable=True),
        sa.Column("device", KEY, nullable=True),
        sa.Column("street", KEY, nullable=True),
        sa.Column("community", KEY, nullable=True),
        sa.Column("grid", KEY, nullable=True),
        sa.Column("lon", sa.Double(), nullable=True),
        sa.Column("lat", sa.Double(), nullable=True),
        sa.Column("opened_at", sa.BigInteger(), nullable=False),
        sa.Column("closed_at", sa.BigInteger(), nullable=True),
        sa.Column("next_due", sa.BigInteger(), nullable=True),
        sa.Column("drill", sa.SmallInteger(), nullable=False),
        sa.Column("open", sa.SmallInteger(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_case_row")),
    )
    op.create_index("ix_case_row_device", "case_row", ["device"], unique=False)
    op.create_index(
        "ix_case_row_open",
        "case_row",
        ["next_due", "severity"],
        unique=False,
        sqlite_where=sa.text("open = 1"),
        postgresql_where=sa.text("open = 1"),
    )
    op.create_index("ix_case_row_opened_at", "case_row", ["opened_at"], unique=False)
    op.create_index("ix_case_row_subject", "case_row", ["subject"], unique=False)


def _deadline() -> None:
    op.create_table(
        "deadline",
        sa.Column("key", KEY, nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.Column("kind", KEY, nullable=False),
        sa.Column("case_id", KEY, nullable=True),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_deadline")),
    )
    op.create_index(
        "ix_deadline_case",
        "deadline",
        ["case_id"],
        unique=False,
        sqlite_where=sa.text("case_id IS NOT NULL"),
        postgresql_where=sa.text("case_id IS NOT NULL"),
    )
    op.create_index("ix_deadline_due_at", "deadline", ["due_at"], unique=False)


def _fold() -> None:
    op.create_table(
        "fold",
        sa.Column("key", KEY, nullable=False),
        sa.Column("case_id", KEY, nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_fold")),
        sqlite_with_rowid=False,
    )


def _heard() -> None:
    op.create_table(
        "heard",
        sa.Column("key", KEY, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_heard")),
        sqlite_with_rowid=False,
    )


def _look() -> None:
    op.create_table(
        "look",
        sa.Column("seq", SEQUENCE, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("by", KEY, nullable=False),
        sa.Column("record", KEY, nullable=False),
        sa.Column("what", KEY, nullable=False),
        sa.Column("case_id", KEY, nullable=True),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_look")),
    )
    op.create_index("ix_look_record", "look", ["record"], unique=False)


def _measure() -> None:
    op.create_table(
        "measure",
        sa.Column("indicator", KEY, nullable=False),
        sa.Column("case_id", KEY, nullable=False),
        sa.Column("day", KEY, nullable=False),
        sa.Column("street", KEY, nullable=True),
        sa.Column("community", KEY, nullable=True),
        sa.Column("grid", KEY, nullable=True),
        sa.Column("hit", sa.Integer(), nullable=True),
        sa.Column("value", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("indicator", "case_id", name=op.f("pk_measure")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_measure_case_id", "measure", ["case_id"], unique=False)
    op.create_index("ix_measure_day", "measure", ["indicator", "day"], unique=False)


def _notice() -> None:
    op.create_table(
        "notice",
        sa.Column("seq", SEQUENCE, nullable=False),
        sa.Column("id", KEY, nullable=False),
        sa.Column("case_id", KEY, nullable=False),
        sa.Column("recipient", KEY, nullable=False),
        sa.Column("state", KEY, nullable=False),
        sa.Column("lane", sa.SmallInteger(), nullable=False),
        sa.Column("next_at", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_notice")),
        sa.UniqueConstraint("id", name=op.f("uq_notice_id")),
    )
    op.create_index("ix_notice_case_id", "notice", ["case_id"], unique=False)
    op.create_index("ix_notice_recipient", "notice", ["recipient"], unique=False)
    op.create_index(
        "ix_notice_waiting",
        "notice",
        ["lane", "next_at"],
        unique=False,
        sqlite_where=sa.text("state = 'waiting'"),
        postgresql_where=sa.text("state = 'waiting'"),
    )


def _quarantine() -> None:
    op.create_table(
        "quarantine",
        sa.Column("id", SEQUENCE, nullable=False),
        sa.Column("received", sa.BigInteger(), nullable=False),
        sa.Column("link", KEY, nullable=False),
        sa.Column("content_type", KEY, nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("raw", sa.LargeBinary(), nullable=False),
        sa.Column("replayed_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_quarantine")),
    )


def _record() -> None:
    op.create_table(
        "record",
        sa.Column("kind", KEY, nullable=False),
        sa.Column("id", KEY, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("data", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("by", KEY, nullable=False),
        sa.Column("deleted", sa.SmallInteger(), nullable=False),
        sa.PrimaryKeyConstraint("kind", "id", name=op.f("pk_record")),
    )


def _record_link() -> None:
    op.create_table(
        "record_link",
        sa.Column("kind", KEY, nullable=False),
        sa.Column("id", KEY, nullable=False),
        sa.Column("field", KEY, nullable=False),
        sa.Column("target", KEY, nullable=False),
        sa.PrimaryKeyConstraint("kind", "id", "field", "target", name=op.f("pk_record_link")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_record_link_target", "record_link", ["kind", "field", "target"], unique=False)


def _record_version() -> None:
    op.create_table(
        "record_version",
        sa.Column("kind", KEY, nullable=False),
        sa.Column("id", KEY, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("data", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("by", KEY, nullable=False),
        sa.Column("deleted", sa.SmallInteger(), nullable=False),
        sa.PrimaryKeyConstraint("kind", "id", "version", name=op.f("pk_record_version")),
    )


def _seen() -> None:
    op.create_table(
        "seen",
        sa.Column("seq", SEQUENCE, nullable=False),
        sa.Column("source", KEY, nullable=False),
        sa.Column("id", KEY, nullable=False),
        sa.Column("digest", sa.BigInteger(), nullable=False),
        sa.Column("received", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_seen")),
        sa.UniqueConstraint("source", "id", name=op.f("uq_seen_source_id")),
    )


def _session() -> None:
    op.create_table(
        "session",
        sa.Column("digest", KEY, nullable=False),
        sa.Column("login", KEY, nullable=False),
        sa.Column("expires", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_session")),
    )


def _setting() -> None:
    op.create_table(
        "setting",
        sa.Column("name", KEY, nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_setting")),
    )


def _signal() -> None:
    op.create_table(
        "signal",
        sa.Column("seq", SEQUENCE, nullable=False),
        sa.Column("source", KEY, nullable=False),
        sa.Column("id", KEY, nullable=False),
        sa.Column("kind", KEY, nullable=False),
        sa.Column("subject", KEY, nullable=True),
        sa.Column("received", sa.BigInteger(), nullable=False),
        sa.Column("time", sa.BigInteger(), nullable=True),
        sa.Column("flags", KEY, nullable=False),
        sa.Column("data", sa.Text(), nullable=False),
        sa.Column("case_id", KEY, nullable=True),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_signal")),
    )
    op.create_index(
        "ix_signal_case",
        "signal",
        ["source", "id"],
        unique=False,
        sqlite_where=sa.text("case_id IS NOT NULL"),
        postgresql_where=sa.text("case_id IS NOT NULL"),
    )
    op.create_index(
        "ix_signal_flagged",
        "signal",
        ["seq"],
        unique=False,
        sqlite_where=sa.text("flags <> ''"),
        postgresql_where=sa.text("flags <> ''"),
    )
    op.create_index("ix_signal_subject", "signal", ["subject", "received"], unique=False)


def _token() -> None:
    op.create_table(
        "token",
        sa.Column("name", KEY, nullable=False),
        sa.Column("hash", KEY, nullable=False),
        sa.Column("sources", sa.Text(), nullable=False),
        sa.Column("scope", KEY, nullable=False),
        sa.Column("active", sa.SmallInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_token")),
        sa.UniqueConstraint("hash", name=op.f("uq_token_hash")),
    )


def upgrade() -> None:
    for create in (
        _account,
        _case_log,
        _case_row,
        _deadline,
        _fold,
        _heard,
        _look,
        _measure,
        _notice,
        _quarantine,
        _record,
        _record_link,
        _record_version,
        _seen,
        _session,
        _setting,
        _signal,
        _token,
    ):
        create()


def downgrade() -> None:
    op.drop_table("token")
    op.drop_table("signal")
    op.drop_table("setting")
    op.drop_table("session")
    op.drop_table("seen")
    op.drop_table("record_version")
    op.drop_table("record_link")
    op.drop_table("record")
    op.drop_table("quarantine")
    op.drop_table("notice")
    op.drop_table("measure")
    op.drop_table("look")
    op.drop_table("heard")
    op.drop_table("fold")
    op.drop_table("deadline")
    op.drop_table("case_row")
    op.drop_table("case_log")
    op.drop_table("account")
