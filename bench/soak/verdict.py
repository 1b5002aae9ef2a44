"""Whether it stayed flat."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from bench.soak.sample import Sample

LONG_ENOUGH = 20.0
"""Minutes of one process below which a slope of its memory says nothing."""

FLAT = 24.0
"""MiB an hour that memory may seem to grow."""

SLOWER, AT_LEAST = 3.0, 250.0
"""By how many times, and to how many milliseconds, a wait must have grown to be called a growing lag."""


class Verdict(NamedTuple):
    """One question, its answer, and whether that is good; None: too short to say."""

    question: str
    answer: str
    good: bool | None


def slope(points: Sequence[tuple[float, float]]) -> float:
    """The rise of a straight line through the points, an hour; x in minutes."""
    if len(points) < 3:
        return 0.0
    return statistics.linear_regression(*zip(*points, strict=True)).slope * 60


def memory(samples: Sequence[Sample]) -> Verdict:
    """Of the process that lived longest, without the first tenth of the whole time."""
    whole = samples[-1]["minute"]
    lives = Counter(sample["pid"] for sample in samples if "MiB" in sample)
    longest = lives.most_common(1)[0][0]
    warm = [sample for sample in samples if sample["minute"] > whole / 10]
    points = [(sample["minute"], sample["MiB"]) for sample in warm if sample.get("pid") == longest]
    if len(points) < 3:
        return Verdict("memory", "too few samples of one process", None)
    rise, lasted = slope(points), points[-1][0] - points[0][0]
    answer = f"{rise:+.1f} MiB an hour over {lasted:.0f} min, at most {max(y for _, y in points):.0f} MiB"
    return Verdict("memory", answer, rise <= FLAT if lasted >= LONG_ENOUGH else None)


def lag(samples: Sequence[Sample], name: str) -> Verdict:
    """The last third of the time beside the first; medians, so that a fault's own minute does not decide."""
    values = [sample[name] for sample in samples if name in sample]
    third = len(values) // 3
    if not third:
        return Verdict(name, "too few samples", None)
    first, last = statistics.median(values[:third]), statistics.median(values[-third:])
    grown = last > AT_LEAST and last > SLOWER * first
    return Verdict(name, f"{first:,.1f} in the first third, {last:,.1f} in the last", not grown)


def files(samples: Sequence[Sample]) -> Verdict:
    """Open files at the end beside the middle."""
    values = [sample["files"] for sample in samples if "files" in sample]
    middle, end = statistics.median(values), values[-1]
    return Verdict("open files", f"{middle:.0f} at the median, {end:.0f} at the end", end <= 2 * middle + 50)


def none(question: str, count: int, of: int) -> Verdict:
    """Something that must not have happened."""
    return Verdict(question, f"{count:,} of {of:,}", count == 0)
