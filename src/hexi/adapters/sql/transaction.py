"""One transaction over all ports."""

from __future__ import annotations

from hexi.adapters.sql.access import SqlAccess
from hexi.adapters.sql.cases import SqlCases
from hexi.adapters.sql.deadlines import SqlDeadlines
from hexi.adapters.sql.link import Link
from hexi.adapters.sql.measures import SqlMeasures
from hexi.adapters.sql.notices import SqlNotices
from hexi.adapters.sql.records import LinkedFields, SqlRecords
from hexi.adapters.sql.signals import SqlSignals
from hexi.adapters.sql.small import SqlHeard, SqlQuarantine, SqlSettings
from hexi.adapters.sql.work import Work


class SqlTransaction(Work):
    """Every port of the kernel over one connection."""

    def __init__(self, link: Link, fields: LinkedFields, *, writing: bool) -> None:
        super().__init__(link, writing=writing)
        self.signals = SqlSignals(self)
        self.heard = SqlHeard(self)
        self.cases = SqlCases(self)
        self.deadlines = SqlDeadlines(self)
        self.notices = SqlNotices(self)
        self.records = SqlRecords(self, fields)
        self.measures = SqlMeasures(self)
        self.quarantine = SqlQuarantine(self)
        self.settings = SqlSettings(self)
        self.access = SqlAccess(self)
