"""The page of the races, made of one file of results and nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from bench.race.heats import medians

Results = Mapping[str, Any]
Medians = Mapping[str, Mapping[str, float]]

SOAKS = Path(__file__).parents[1] / "soak" / "results"
_WAITS = ("p50 ms", "p99 ms", "max ms", "lost")
_JUDGED = ("taken", "lost", "doubled", "doubled, same key")
HEATS: dict[str, tuple[str, tuple[str, ...]]] = {
    "latency": ("Sent to first call, idle", _WAITS),
    "latency-1000": (
        "Sent to first call, beside 1,000 quiet signals/s",
        _WAITS,
    ),
    "latency-4000": (
        "Sent to first call, beside 4,000 quiet signals/s",
        _WAITS,
    ),
    "quiet": ("Quiet throughput, worked off", ("per s", "sent", "lost")),
    "burst": ("A burst of alarms", ("per s", "s to the last", *_JUDGED, "MiB")),
    "kill": (
        "kill -9 under a steady rate",
        ("kills", *_JUDGED, "start s", "s to the first call, worst", "longest wait s"),
    ),
    "broker": ("The broker restarts", (*_JUDGED, "longest wait s")),
    "hook": ("The receiver is down and comes back", (*_JUDGED, "s until the last")),
    "silence": (
        "One device in a hundred falls silent",
        ("silent", "lost", "wrongly named", "doubled", "p50 ms late", "p99 ms late"),
    ),
    "escalation": ("Nobody answers: the second call", (*_JUDGED, "p50 ms late", "p99 ms late")),
    "escalation-kill": ("Nobody answers, and a kill in between", (*_JUDGED, "p50 ms late", "p99 ms late")),
}
"""Heat -> its heading and the figures shown."""

_HEAD = """\
# Races

This page is written by `python -m bench.race --page docs/reference/races.md`; no figure comes from
elsewhere. How to set up and repeat it is in [Run the benchmarks](../how-to/bench.md).

Each contestant gets a signal at one end and has to call a webhook at the other. The receiver's log is
the only judge. *Taken* is what the sender was promised (an acknowledgement by the broker, or an answer
with 2xx); *lost* is what was taken and never called; *doubled* was called again under another key or
none, *doubled, same key* under the same idempotency key, so that a receiver can tell. Every figure is
the median of {rounds} rounds with the lowest and the highest behind it; the order of the contestants
was shuffled in each round. Signals come over MQTT at QoS 1 through one mosquitto each, with the same
settings for all, but for contestants that say HTTP and for Alertmanager. Before hexi calls, signal,
case, deadlines and notices are on the disk; Node-RED, Home Assistant and Alertmanager call at once and
keep nothing. Only kill -9 was tried: nothing here proves a power cut.
"""


def write(results: Path, page: Path) -> None:
    """Write the page, with the newest soak when there is one."""
    page.write_text(render(json.loads(results.read_text("utf-8")), newest_soak()), encoding="utf-8")


def newest_soak() -> Results | None:
    """The results of the last soak that were kept."""
    files = sorted(SOAKS.glob("20*.json"))
    return json.loads(files[-1].read_text("utf-8")) if files else None


def render(results: Results, soak: Results | None = None) -> str:
    """The page as Markdown."""
    rounds = len(results["limits"])
    parts = [_HEAD.format(rounds=rounds), *_conditions(results), *_ratios(results)]
    for heat, (title, columns) in HEATS.items():
        parts += _heat(results, heat, title, columns)
    parts += [*_limits(results), *_failures(results), *_left_out(results), *_soak(soak)]
    return "\n".join(parts).rstrip() + "\n"


def _conditions(results: Results) -> Iterator[str]:
    told = results["machine"]
    yield f"## On {results['day']}\n"
    where = f"{told['processor']}, {told['memory']}, {told['kernel']}"
    yield f"{where}; {results['seconds']:,} s in all. `{results['command']}`\n"
    flush = medians([one["append and fdatasync, 1 a flush"] for one in results["limits"]])
    middle, worst = (_figure(flush[name]) for name in ("p50 ms", "p99 ms"))
    yield f"The disk's own flush in the same run: {middle} ms at p50, {worst} ms at p99.\n"
    yield from _table(("contestant", "version"), sorted(results["versions"].items()))


def _ratios(results: Results) -> Iterator[str]:
    """What the goals are about, each beside its reference in the same run."""
    rows = []
    red = _of(results, "burst", "Node-RED, default").get("per s", {}).get("median")
    for name in _names(results):
        if not name.startswith("hexi"):
            continue
        burst = _of(results, "burst", name).get("per s", {}).get("median")
        beside = _of(results, "latency-4000", name).get("p99 ms", {}).get("median")
        ratio = f"{burst / red:.2f} x" if burst and red else "-"
        rows.append((name, ratio, "-" if beside is None else f"{beside:,.1f} ms"))
    if rows:
        yield "## Beside the goals\n"
        head = (
            "contestant",
            "burst beside Node-RED (goal 5 x)",
            "first call beside 4,000/s, p99 (goal 100 ms)",
        )
        yield from _table(head, rows)


def _heat(results: Results, heat: str, title: str, columns: tuple[str, ...]) -> Iterator[str]:
    rows = []
    for name in _names(results):
        found = _of(results, heat, name)
        failed = [line["failed"] for line in _lines(results, heat, name) if line["failed"]]
        if found:
            rows.append((name, *(_figure(found.get(column)) for column in columns)))
        elif failed:
            rows.append((name, f"failed: {failed[0]}", *[""] * (len(columns) - 1)))
    if rows:
        yield f"## {title}\n"
        yield from _table(("contestant", *columns), rows)


def _limits(results: Results) -> Iterator[str]:
    yield "## The bare limits\n"
    rows = []
    for name in dict.fromkeys(name for one in results["limits"] for name in one):
        found = medians([one[name] for one in results["limits"] if name in one])
        rows.append((name, _figure(found.get("per s"))))
    yield from _table(("limit", "messages a second"), rows)


def _failures(results: Results) -> Iterator[str]:
    """Every round in which hexi lost, doubled or broke something."""
    yield "## Our own failures\n"
    bad = [line for line in results["lines"] if line["contestant"].startswith("hexi") and _is_bad(line)]
    for line in bad:
        found = line["failed"] or ", ".join(
            f"{name} {line['figures'][name]:,.0f}" for name in _BAD if line["figures"].get(name)
        )
        yield f"- {line['contestant']}, {line['heat']}, round {line['round']}: {found}"
    if not bad:
        yield "No round in which hexi lost, doubled or broke anything. Goals that it misses stand above."
    yield ""


_BAD = ("lost", "doubled", "wrongly named")


def _is_bad(line: Mapping[str, Any]) -> bool:
    return bool(line["failed"] or any(line["figures"].get(name) for name in _BAD))


def _left_out(results: Results) -> Iterator[str]:
    rows = [(name, "every heat", why) for name, why in results["left_out"].items()]
    entered = set(_names(results))
    for name, reasons in results["cannot"].items():
        rows += [(name, heat, why) for heat, why in reasons.items() if name in entered]
    if rows:
        yield "## Left out\n"
        yield from _table(("contestant", "heat", "why"), rows)


def _soak(soak: Results | None) -> Iterator[str]:
    """How the soak was judged, and the first, middle and last of its samples."""
    if soak is None:
        return
    plan, samples = soak["plan"], soak["samples"]
    yield f"## The soak of {soak['day']}\n"
    command = f"python -m bench.soak --minutes {plan['minutes']:g}"
    yield f"`{command}`: {plan['rate']:,.0f} quiet signals a second,"
    faults = "; ".join(name for _, name in soak["faults"])
    yield f"{plan['alarms']:g} alarms a second, and in turn: {faults}.\n"
    marks = {True: "kept", False: "MISSED", None: "too short to say"}
    rows = [(one["question"], one["answer"], marks[one["good"]]) for one in soak["verdicts"]]
    yield from _table(("question", "answer", ""), rows)
    shown = [samples[place] for place in sorted({0, len(samples) // 2, len(samples) - 1})]
    names = list(dict.fromkeys(name for one in shown for name in one if name != "pid"))
    lines = [tuple(_short(one[name]) if name in one else "-" for one in shown) for name in names]
    yield from _table(
        ("sample", "first", "middle", "last"), [(n, *line) for n, line in zip(names, lines, strict=True)]
    )


def _names(results: Results) -> list[str]:
    return list(
        dict.fromkeys(sorted(f"{line['contestant']}, {line['setting']}" for line in results["lines"]))
    )


def _lines(results: Results, heat: str, name: str) -> list[Any]:
    return [
        line
        for line in results["lines"]
        if line["heat"] == heat and f"{line['contestant']}, {line['setting']}" == name
    ]


def _of(results: Results, heat: str, name: str) -> Medians:
    return medians([line["figures"] for line in _lines(results, heat, name) if line["figures"]])


def _figure(of: Mapping[str, float] | None) -> str:
    """The median with its range, short enough for a table."""
    if of is None:
        return "-"
    middle, low, high = (_short(of[name]) for name in ("median", "low", "high"))
    return middle if low == high else f"{middle} ({low} to {high})"


def _short(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) or abs(value) >= 100 else f"{value:.1f}"


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    yield "| " + " | ".join(head) + " |"
    yield "|" + "---|" * len(head)
    for row in rows:
        yield "| " + " | ".join(cell.replace("|", "/") for cell in row) + " |"
    yield ""
