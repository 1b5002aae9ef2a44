"""What the ports of one transaction share: writing late, all at once, and parts that can fail alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from sqlalchemy.sql.base import Executable

from hexi.adapters.sql.buffer import Buffer
from hexi.adapters.sql.link import Bulk, Cursor, Link

K = TypeVar("K")
V = TypeVar("V")


class Work:
    """A transaction at work on its link."""

    def __init__(self, link: Link, *, writing: bool) -> None:
        self.link = link
        self.writing = writing
        self._buffers: list[Buffer[Any, Any]] = []
        self._on_undo: list[Callable[[], None]] = []
        self._saved: list[bool] = []
        """For each open part, whether its savepoint is set."""

    def buffer(self, write: Callable[[dict[K, V]], None]) -> Buffer[K, V]:
        """A buffer that is written before the commit."""
        buffer = Buffer(write, depth=len(self._saved))
        self._buffers.append(buffer)
        return buffer

    def on_undo(self, forget: Callable[[], None]) -> None:
        """Call ``forget`` whenever a part is undone."""
        self._on_undo.append(forget)

    def write(self, statement: Executable | Bulk, **values: Any) -> Cursor:
        """Run a statement that changes the database at once."""
        self.settle()
        return self.link.run(statement, **values)

    def write_many(self, statement: Executable | Bulk, rows: list[tuple[Any, ...]]) -> int:
        """Run a changing statement for many rows at once; rows changed."""
        if not rows:
            return 0
        self.settle()
        return self.link.many(statement, rows)

    def flush(self, *buffers: Buffer[Any, Any]) -> None:
        """Write what the buffers owe, so that a query sees it; all of them when none is named."""
        waiting = [buffer for buffer in buffers or self._buffers if buffer]
        if waiting:
            self.settle()
            for buffer in waiting:
                buffer.flush(len(self._saved))

    @contextmanager
    def part(self) -> Iterator[None]:
        """A part that can fail alone; its savepoint is set only when it touches the database."""
        self._begin_part()
        try:
            yield
        except BaseException:
            self._undo_part()
            raise
        self._keep_part()

    def _begin_part(self) -> None:
        self._saved.append(False)
        for buffer in self._buffers:
            buffer.push()

    def _keep_part(self) -> None:
        for buffer in self._buffers:
            buffer.keep()
        if self._saved.pop():
            self.link.plain(f"RELEASE SAVEPOINT part_{len(self._saved)}")

    def _undo_part(self) -> None:
        for buffer in self._buffers:
            buffer.drop()
        for forget in self._on_undo:
            forget()
        if self._saved.pop():
            name = f"part_{len(self._saved)}"
            self.link.plain(f"ROLLBACK TO SAVEPOINT {name}")
            self.link.plain(f"RELEASE SAVEPOINT {name}")

    def settle(self) -> None:
        """To be called before the database is changed by other means than ``write``.

        Before a part first writes: what its parents owe is written outside its savepoint.
        """
        for number, saved in enumerate(self._saved):
            if saved:
                continue
            for buffer in self._buffers:
                buffer.flush(number)
            self.link.plain(f"SAVEPOINT part_{number}")
            self._saved[number] = True
