"""Databases of a test's own, and what is in them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

from sqlalchemy import Engine, MetaData, create_engine, make_url, select, text

from hexi.adapters.sql.store import connect

Rows = dict[str, list[tuple[Any, ...]]]

APART = frozenset({"alembic_version"})


@contextmanager
def database(server: str, **options: str) -> Iterator[str]:
    """The address of an empty PostgreSQL database, dropped at the end."""
    url = make_url(server)
    name = f"own_{uuid4().hex}"
    engine = create_engine(url.set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT")
    told = "".join(f" {key} {value}" for key, value in options.items())
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}{told}"))
    try:
        yield url.set(database=name).render_as_string(hide_password=False)
    finally:
        with engine.connect() as connection:
            connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
        engine.dispose()


@contextmanager
def engine_of(url: str) -> Iterator[Engine]:
    """The engine that writes to a database."""
    writing, reading = connect(url)
    try:
        yield writing
    finally:
        writing.dispose()
        reading.dispose()


def rows(url: str, shape: MetaData | None = None) -> Rows:
    """Every row of every table, or of those that a shape names and in its columns."""
    with engine_of(url) as engine, engine.connect() as connection:
        found = shape or shape_of(url)
        told = {
            name: [tuple(row) for row in connection.execute(select(table).order_by(*table.primary_key))]
            for name, table in found.tables.items()
        }
        connection.rollback()
    return told


def shape_of(url: str) -> MetaData:
    """The tables as the database itself describes them; a partition is no table."""
    shape = MetaData()
    with engine_of(url) as engine:
        shape.reflect(engine, only=lambda name, _: name not in APART and not name.startswith("signal_"))
    return shape


def revision(url: str) -> str:
    """The revision a database stands at."""
    with engine_of(url) as engine, engine.connect() as connection:
        return str(connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one())


def run(url: str, *statements: str) -> list[Any]:
    """Run statements one after the other, each a transaction; what each of them answers first."""
    told = []
    with engine_of(url) as engine, engine.connect() as connection:
        for statement in statements:
            found = connection.exec_driver_sql(statement)
            told.append(found.scalar() if found.returns_rows else None)
            connection.commit()
    return told


def kill_half_migrated(url: str, words: str) -> None:
    """Begin a migration in a process of its own, and kill that after the statement with these words."""
    command = [sys.executable, "-m", "tests.contract.half_migrated", url, words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = process.stdout.readline()
        process.kill()
    assert said == "half\n"
