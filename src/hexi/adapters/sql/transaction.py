"""One transaction over all ports."""

from __future__ import annotations

from functools import cached_property

from hexi.adapters.sql.access import SqlAccess
from hexi.adapters.sql.archive import SqlArchive
from hexi.adapters.sql.cases import SqlCases
from hexi.adapters.sql.deadlines import SqlDeadlines
from hexi.adapters.sql.link import Link
from hexi.adapters.sql.measures import SqlMeasures
from hexi.adapters.sql.notices import SqlNotices
from hexi.adapters.sql.processes import SqlProcesses
from hexi.adapters.sql.records import LinkedFields, SqlRecords
from hexi.adapters.sql.signals import SqlSignals
from hexi.adapters.sql.small import SqlHeard, SqlQuarantine, SqlSettings
from hexi.adapters.sql.work import Work


class SqlTransaction(Work):
    """Every port of the kernel over one connection, each made when it is first asked for."""

    def __init__(self, link: Link, fields: LinkedFields, *, writing: bool) -> None:
        super().__init__(link, writing=writing)
        self._fields = fields

    @cached_property
    def signals(self) -> SqlSignals:
        """The hot signals."""
        return SqlSignals(self)

    @cached_property
    def heard(self) -> SqlHeard:
        """When something was last heard."""
        return SqlHeard(self)

    @cached_property
    def cases(self) -> SqlCases:
        """Cases."""
        return SqlCases(self)

    @cached_property
    def deadlines(self) -> SqlDeadlines:
        """What falls due."""
        return SqlDeadlines(self)

    @cached_property
    def notices(self) -> SqlNotices:
        """The outbox."""
        return SqlNotices(self)

    @cached_property
    def records(self) -> SqlRecords:
        """Versioned records."""
        return SqlRecords(self, self._fields)

    @cached_property
    def measures(self) -> SqlMeasures:
        """Each case's part in each indicator."""
        return SqlMeasures(self)

    @cached_property
    def quarantine(self) -> SqlQuarantine:
        """What could not be decoded."""
        return SqlQuarantine(self)

    @cached_property
    def settings(self) -> SqlSettings:
        """Small facts by name."""
        return SqlSettings(self)

    @cached_property
    def processes(self) -> SqlProcesses:
        """The processes of the installation."""
        return SqlProcesses(self)

    @cached_property
    def access(self) -> SqlAccess:
        """Accounts, sessions, tokens, looks."""
        return SqlAccess(self)

    @cached_property
    def archive(self) -> SqlArchive:
        """What has moved to the archive."""
        return SqlArchive(self)
