"""One round of work on the archive."""

from __future__ import annotations

import duckdb

from hexi.adapters.archive.move import move
from hexi.adapters.archive.plan import NotOursError, Plan, Report, StoppedError
from hexi.adapters.archive.tidy import expire_and_erase, sweep, verify
from hexi.kernel.archive import TurnLostError

CHECKED = 24
"""Files whose checksum one round compares: a day's worth, some seconds of reading."""


def work(plan: Plan) -> Report:
    """Sweep, move, expire, erase, check; the report says why when it ended early, and what was done by then.

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
