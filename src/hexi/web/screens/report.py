"""The monthly report of promises kept: a page to read and print, and files to take along."""

from __future__ import annotations

import json
from typing import Any

import msgspec
from litestar import Response, get
from litestar.di import NamedDependency
from litestar.exceptions import NotFoundException
from litestar.params import FromPath, FromQuery
from litestar.response import Redirect

from hexi.adapters.report import Labels, write_pdf, write_xlsx
from hexi.adapters.report.words import METHOD, TITLES, change, labels_of, length, month_title, share, why
from hexi.kernel.clock import local_day
from hexi.kernel.report import (
    PROMISES,
    Group,
    Line,
    Missed,
    MonthReport,
    month_after,
    month_before,
    span_of,
)
from hexi.web.access.guards import may
from hexi.web.access.permissions import Caller, Permission
from hexi.web.screens.shell import Screens, Visit, speak, visitor_of
from hexi.web.screens.words import say

MOST_MISSED = 200
"""Missed promises on the page; the files have all of them."""

_PDF = "application/pdf"
_XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


@get("/reports", guards=may(Permission.WALL_SEE), sync_to_thread=False)
def this_month(screens: NamedDependency[Screens]) -> Redirect:
    """To the present month."""
    return Redirect(f"/reports/{local_day(screens.now())[:7]}")


@get("/reports/{month:str}", guards=may(Permission.WALL_SEE), sync_to_thread=True)
def month_page(
    request: Visit, screens: NamedDependency[Screens], month: FromPath[str], place: FromQuery[str] = ""
) -> Response[str]:
    """The promises of a month: over all, by street, by scenario, and each that was missed."""
    speak(request)
    report, labels = _found(screens, visitor_of(request), month, place)
    return screens.page(request, "report.html", **_values(screens, report, labels))


@get("/reports/{month:str}/{form:str}", guards=may(Permission.WALL_SEE), sync_to_thread=True)
def month_file(
    request: Visit,
    screens: NamedDependency[Screens],
    month: FromPath[str],
    form: FromPath[str],
    place: FromQuery[str] = "",
) -> Response[bytes]:
    """The report as a file: ``pdf``, ``xlsx`` or ``json``."""
    report, labels = _found(screens, visitor_of(request), month, place)
    if form == "pdf":
        content, kind = write_pdf(report, labels), _PDF
    elif form == "xlsx":
        content, kind = write_xlsx(report, labels), _XLSX
    elif form == "json":
        plain = msgspec.to_builtins(report)
        content, kind = json.dumps(plain, ensure_ascii=False, indent=2).encode(), "application/json"
    else:
        raise NotFoundException
    name = f"hexi-{month}{f'-{report.place}' if report.place else ''}.{form}"
    headers = {"content-disposition": f'attachment; filename="{name}"', "cache-control": "no-store"}
    return Response(content, media_type=kind, headers=headers)


def _found(screens: Screens, caller: Caller, month: str, place: str) -> tuple[MonthReport, Labels]:
    """The report that a caller may see: of their own place, else of the one they ask for."""
    try:
        began = span_of(month).since
    except ValueError:
        raise NotFoundException from None
    if began > screens.now():
        raise NotFoundException
    report = screens.reports.get(month, _place(caller, place), screens.now())
    titles = {name: scenario.title for name, scenario in screens.catalogue.scenarios.items()}
    with screens.platform.store.read() as tx:
        return report, labels_of(tx, report, titles)


def _place(caller: Caller, asked: str) -> str | None:
    if asked and not (asked.isascii() and asked.isdigit()):
        raise NotFoundException  # it names a file too: a code of a place and nothing else
    own = caller.place
    if own is None or asked == own or (len(own) == 9 and asked.startswith(own)):
        return asked or None
    return own


def _values(screens: Screens, report: MonthReport, labels: Labels) -> dict[str, Any]:
    later = month_after(report.month)
    return {
        "report": report,
        "title": say(month_title(report.month)),
        "area": say(labels.area(report)),
        "earlier": month_before(report.month),
        "later": later if span_of(later).since <= screens.now() else "",
        "query": f"?place={report.place}" if report.place else "",
        "cards": [_card(line, before) for line, before in zip(report.lines, report.before, strict=True)],
        "names": [say(promise.title) for promise in PROMISES],
        "streets": [_group(group, say(labels.place(group.key))) for group in report.streets],
        "scenarios": [_group(group, say(labels.scenario(group.key))) for group in report.scenarios],
        "missed": [_missed(one, labels) for one in report.missed[:MOST_MISSED]],
        "method": [say(text) for text in METHOD],
    }


_TARGETS = {promise.id: promise.target for promise in PROMISES}


def _card(line: Line, before: Line) -> dict[str, Any]:
    target = _TARGETS[line.promise]
    return {
        "title": say(TITLES[line.promise]),
        "share": share(line.share),
        "met": None if line.share is None else line.share >= target,
        "line": line,
        "target": f"{target * 100:g}%",
        "change": change(line.share, before.share),
        "before": share(before.share),
        "compared": line.share is not None and before.share is not None,
        "median": length(line.median),
        "p95": length(line.p95),
    }


def _group(group: Group, name: str) -> dict[str, Any]:
    cells = [
        {
            "share": share(line.share),
            "below": line.share is not None and line.share < _TARGETS[line.promise],
            "kept": line.kept,
            "counted": line.counted,
        }
        for line in group.lines
    ]
    p95 = [length(group.lines[0].p95), length(group.lines[-1].p95)]
    return {"key": group.key, "name": name, "cells": cells, "p95": p95}


def _missed(one: Missed, labels: Labels) -> dict[str, Any]:
    return {
        "promise": say(TITLES[one.promise]),
        "case": one.case,
        "street": say(labels.place(one.street)),
        "scenario": say(labels.scenario(one.scenario)),
        "start": one.start,
        "took": length(one.took),
        "why": say(why(one.why)),
    }
