"""PostgreSQL's own programs: found where they are, new enough for the server, told no password in public."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import Connection, text
from sqlalchemy.engine import URL, make_url

from hexi.adapters.sql.backup import BackupError
from hexi.adapters.sql.store import connect, in_our_words
from hexi.kernel.ports import StoreError

PLACES = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin")
"""Where Debian and Red Hat put the programs of each version, beside those on the path."""
_VERSION = re.compile(r"\(PostgreSQL\) (\d+)")
_TABLES = text("SELECT count(*) FROM pg_tables WHERE schemaname = current_schema()")


class Tool(NamedTuple):
    """A program and the major version of PostgreSQL it belongs to."""

    path: Path
    version: int


def dump(url: str, to: Path) -> None:
    """Write a database as of one moment to a file of its own, beside whoever is using it."""
    with _server(url) as connection:
        tool = _tool("pg_dump", _version(connection))
    _run(tool, url, "--format=custom", "--no-owner", "--no-privileges", f"--file={to}")


def restore(url: str, source: Path) -> None:
    """Fill an empty database from such a file, all or nothing."""
    with _server(url) as connection:
        tool = _tool("pg_restore", _version(connection))
        if connection.execute(_TABLES).scalar():
            raise BackupError(
                "the database has tables already; create an empty one and name it under [database]"
            )
    _run(tool, url, "--no-owner", "--no-privileges", "--single-transaction", "--exit-on-error", str(source))


@contextmanager
def _server(url: str) -> Iterator[Connection]:
    """A connection for a look at the server."""
    writing, reading = connect(url)
    try:
        with in_our_words(writing), writing.connect() as connection:
            yield connection
    except StoreError as error:
        raise BackupError(f"the database cannot be reached: {error}") from error
    finally:
        reading.dispose()
        writing.dispose()


def _version(connection: Connection) -> int:
    """The server's major version."""
    return int(connection.exec_driver_sql("SHOW server_version_num").scalar_one()) // 10_000


def _tool(name: str, server: int) -> Tool:
    """The program for this server: of its version, else the nearest later one; BackupError without any."""
    found = sorted(_tools(name), key=lambda tool: tool.version)
    if not found:
        raise BackupError(
            f"{name} is not installed; it is needed to copy a PostgreSQL database (Debian: postgresql-client)"
        )
    fitting = [tool for tool in found if tool.version >= server]
    if not fitting:
        raise BackupError(
            f"{name} is of PostgreSQL {found[-1].version}, the server of {server}: "
            f"install postgresql-client-{server}"
        )
    return fitting[0]


def _tools(name: str) -> Iterator[Tool]:
    on_path = shutil.which(name)
    here = [Path(on_path)] if on_path else []
    for path in [*here, *(path for place in PLACES for path in Path("/").glob(f"{place[1:]}/{name}"))]:
        said = subprocess.run([path, "--version"], capture_output=True, text=True, check=False).stdout  # noqa: S603 -- one of PostgreSQL's own
        version = _VERSION.search(said)
        if version:
            yield Tool(path, int(version[1]))


def _run(tool: Tool, url: str, *arguments: str) -> None:
    """Run it; the password travels in the environment, where other users cannot read it."""
    address = make_url(url)
    open_part = (address.username, None, address.host, address.port, address.database, address.query)
    place = URL.create("postgresql", *open_part).render_as_string()
    secret = {"PGPASSWORD": str(address.password)} if address.password else {}
    command = [str(tool.path), f"--dbname={place}", *arguments]
    done = subprocess.run(command, env=os.environ | secret, capture_output=True, text=True, check=False)  # noqa: S603 -- as above
    if done.returncode:
        told = done.stderr.strip().splitlines()
        raise BackupError(f"{tool.path.name}: {told[-1] if told else 'failed'}")
