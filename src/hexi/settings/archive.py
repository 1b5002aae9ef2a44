"""The settings of the archive: how long signals stay at hand, how long they are kept, and what of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta

from hexi.kernel.clock import DAY, HOUR
from hexi.settings.base import Count, Span, Table

Body = Literal["whole", "numbers", "none"]

LEAST_HOT = HOUR
"""Screens and rules read the hot signals; less than this would take them from under their eyes."""


class ArchivedKind(Table, frozen=True):
    """What holds for one kind of signal, or for all whose kind begins so: ``"vital.*"``."""

    keep: Annotated[Span | None, Meta(description="How long these kinds are kept; else archive.keep.")] = None
    body: Annotated[Body | None, Meta(description="What of their data is kept; else archive.body.")] = None


class Archive(Table, frozen=True):
    """Where signals go when they leave the hot window."""

    folder: Annotated[
        Path | None,
        Meta(description="Folder of the Parquet files, shared by all machines; left out: in data_dir."),
    ] = None
    hot: Annotated[
        Span, Meta(description="How long signals stay in the database; 0s: for ever, nothing is archived.")
    ] = Span(2 * DAY)
    keep: Annotated[Span, Meta(description="How long archived signals are kept.")] = Span(730 * DAY)
    summaries: Annotated[
        Span,
        Meta(
            description="How long the hourly counts and sums of archived signals are kept, without "
            "subjects; 0s: none are made."
        ),
    ] = Span(3_650 * DAY)
    body: Annotated[
        Body,
        Meta(
            description="whole: all data; numbers: numbers alone; none: no data. Signals of cases and of "
            "unknown kinds keep all."
        ),
    ] = "whole"
    check: Annotated[
        Span, Meta(description="How often the checksum of each file is compared with the file.")
    ] = Span(30 * DAY)
    memory: Annotated[
        Count, Meta(description="MiB that writing a file or a query may take; the rest goes to disk.")
    ] = 1_024
    kinds: dict[str, ArchivedKind] = {}  # noqa: RUF012 -- msgspec copies it

    def body_of(self, kind: str) -> Body:
        """What of a kind's data is kept."""
        found = next((k.body for k in matching(self.kinds, kind) if k.body is not None), None)
        return self.body if found is None else found

    def keep_of(self, kind: str) -> Span:
        """How long a kind is kept."""
        found = next((k.keep for k in matching(self.kinds, kind) if k.keep is not None), None)
        return self.keep if found is None else found

    def longest(self) -> Span:
        """After so long no kind is kept any more."""
        return max([self.keep, *(k.keep for k in self.kinds.values() if k.keep is not None)])

    def shortest(self) -> Span:
        """Before so long every kind is kept."""
        return min([self.keep, *(k.keep for k in self.kinds.values() if k.keep is not None)])


def matching(kinds: Mapping[str, ArchivedKind], kind: str) -> list[ArchivedKind]:
    """The tables that speak of a kind: its own first, then the longest beginning."""
    begins = [name for name in kinds if name.endswith("*") and kind.startswith(name[:-1])]
    named = [kind] if kind in kinds else []
    return [kinds[name] for name in [*named, *sorted(begins, key=len, reverse=True)]]


def archive_faults(archive: Archive) -> list[str]:
    """What does not go together."""
    wrong = []
    if 0 < archive.hot < LEAST_HOT:
        wrong.append('archive: hot should be "0s" (nothing is archived) or at least "1h"')
    wrong += [
        f'archive.kinds."{name}": a star may only stand at the end, such as "vital.*"'
        for name in archive.kinds
        if "*" in name[:-1]
    ]
    return wrong
