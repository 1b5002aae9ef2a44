"""One round of work on the archive."""

from __future__ import annotations

import duckdb

from hexi.adapters.archive.move import move
from hexi.adapters.archive.plan import NotOursError, Plan, Report, StoppedError
from hexi.adapters.archive.summaries import catch_up
from hexi.adapters.archive.tidy import expire_and_erase, sweep, verify
from hexi.kernel.archive import TurnLostError

CHECKED = 48
"""Files whose checksum one round compares: a day's worth with their summaries, some seconds of reading."""
CAUGHT_UP = 10
"""Older files that one round summarises: those of a full day of a million residents take some minutes."""


def work(plan: Plan) -> Report:
    """Sweep, move, expire, erase, summarise, check; the report says what was done, and why it ended early.

    NotOursError when another process is at work; StoreError as the store says.
    """
    report = Report()
    plan.folder.mkdir(parents=True, exist_ok=True)
    plan.keep_lease()
    try:
        sweep(plan, report)
        if plan.settings.hot:
            move(plan, report)
        expire_and_erase(plan, report)
        catch_up(plan, report, CAUGHT_UP)
        verify(plan, report, at_most=CHECKED)
    except (OSError, duckdb.Error) as error:
        report.stopped = str(error).splitlines()[0]
    except StoppedError:
        pass
    except (TurnLostError, NotOursError):
        report.stopped = "another process has taken over"
    finally:
        plan.give_back()
    return report
