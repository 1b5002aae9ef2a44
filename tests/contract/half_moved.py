"""A move that stops at a point, until it is killed: ``half_moved.py old new point``."""

from __future__ import annotations

import sys
import time
from typing import Any

from hexi.adapters.sql import move_tables, moved
from hexi.adapters.sql.move import Mover, moving

move_tables.PORTION = 7


def _stop(point: str) -> None:
    if sys.argv[3] == point:
        sys.stdout.write(f"{point}\n")
        sys.stdout.flush()
        time.sleep(600)


def _after(owner: Any, name: str, point: str) -> None:
    """Stop once a method has been run."""
    method = getattr(owner, name)

    def run(*arguments: Any) -> Any:
        told = method(*arguments)
        _stop(point)
        return told

    setattr(owner, name, run)


def _progress(table: str, _: int) -> None:
    if table == "notice":
        _stop("copying")


if __name__ == "__main__":
    with moving(sys.argv[1], sys.argv[2]) as mover:
        mover.copy(_progress)
        _stop("copied")
        mover.catch_up(_progress)
        _stop("caught up")
        _after(Mover, "_hold", "held")
        _after(Mover, "_walk_until_equal", "walked")
        opening = moved.open_again

        def _open(connection: Any) -> None:
            if connection.dialect.name == "postgresql":
                _stop("left")
            opening(connection)

        moved.open_again = _open
        mover.cut_over(_progress)
