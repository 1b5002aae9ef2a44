"""What was promised: a mark for every signal that was acknowledged, to be compared with what is stored."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Account:
    """The signals of one sender, by number; one byte each."""

    marks: bytearray = field(default_factory=bytearray)
    sent: int = 0

    def acknowledged(self, start: int, count: int = 1) -> None:
        """These numbers were taken."""
        missing = start + count - len(self.marks)
        if missing > 0:
            self.marks.extend(bytes(max(missing, 65_536)))
        self.marks[start : start + count] = b"\x01" * count

    @property
    def taken(self) -> int:
        """How many."""
        return self.marks.count(1)


class Ledger:
    """One account for each sender; the id of a signal is ``<sender>-<number>``."""

    def __init__(self) -> None:
        self.accounts: dict[str, Account] = {}

    def open(self, name: str) -> Account:
        """A new sender."""
        self.accounts[name] = Account()
        return self.accounts[name]

    @staticmethod
    def count(database: Path) -> int:
        """How far the store has come."""
        with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
            (last,) = connection.execute("SELECT max(rowid) FROM signal").fetchone()
        return int(last or 0)

    def compare(self, database: Path) -> dict[str, int]:
        """Lost: acknowledged and not stored. Doubled: stored twice."""
        stored = {name: bytearray(len(of.marks)) for name, of in self.accounts.items()}
        found = doubled = 0
        with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
            for (identity,) in connection.execute("SELECT id FROM signal"):
                name, _, number = identity.rpartition("-")
                marks = stored.get(name)
                if marks is None or not number.isdigit() or int(number) >= len(marks):
                    continue
                found += 1
                doubled += marks[int(number)]
                marks[int(number)] = 1
        lost = sum(_missing(of.marks, stored[name]) for name, of in self.accounts.items())
        taken = sum(of.taken for of in self.accounts.values())
        return {"acknowledged": taken, "stored": found, "lost": lost, "doubled": doubled}


def _missing(wanted: bytearray, found: bytearray) -> int:
    """How many ones of the first are not in the second: as one long number each."""
    left = int.from_bytes(wanted, "big") & ~int.from_bytes(found.ljust(len(wanted), b"\x00"), "big")
    return left.bit_count()
