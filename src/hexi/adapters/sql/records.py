"""Versioned records of every kind, and which of them refer to which."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, CompoundSelect, bindparam, delete, func, or_, select, update

from hexi.adapters.sql.link import Choice, Upsert, ignoring, replacing
from hexi.adapters.sql.tables import record, record_link, record_version, setting
from hexi.adapters.sql.work import Work
from hexi.kernel.record import NOTE, Record, RecordKind, whereabouts

_encode = msgspec.json.Encoder().encode

_REVISION_NAME = "records.revision"
_PUT = replacing(record)
_PUT_VERSION = Upsert(record_version)
_ONE = (record.c.kind == bindparam("kind"), record.c.id == bindparam("id"))
_GET = select(record).where(*_ONE)
_GET_MANY = Choice(record.c.id, *record.c, same=(record.c.kind,))
_LINKED_MANY = Choice(
    record_link.c.target,
    record_link.c.target,
    record_link.c.id,
    same=(record_link.c.kind, record_link.c.field),
)
_VERSION = select(record.c.version).where(*_ONE).with_for_update()
_HISTORY = (
    select(record_version)
    .where(record_version.c.kind == bindparam("kind"), record_version.c.id == bindparam("id"))
    .order_by(record_version.c.version.desc())
)
_UNLINK = delete(record_link).where(
    record_link.c.kind == bindparam("of_kind"), record_link.c.id == bindparam("of_id")
)
_LINK = ignoring(record_link)
_LINKED = (
    select(record)
    .join(record_link, (record_link.c.kind == record.c.kind) & (record_link.c.id == record.c.id))
    .where(
        record_link.c.kind == bindparam("kind"),
        record_link.c.field == bindparam("field"),
        record_link.c.target == bindparam("target"),
    )
    .order_by(record_link.c.id)  # by the link's own index: else SQLite walks every record of the kind
)
_ERASE = update(record).where(record.c.kind == bindparam("of_kind"), record.c.id == bindparam("of_id"))
_ERASE = _ERASE.values(data="{}", deleted=1)
_ERASE_VERSIONS = (
    update(record_version)
    .where(record_version.c.kind == bindparam("of_kind"), record_version.c.id == bindparam("of_id"))
    .values(data="{}")
)
_GROW = Upsert(
    setting, "ON CONFLICT (name) DO UPDATE SET value = CAST(CAST(setting.value AS BIGINT) + 1 AS TEXT)"
)
_REVISION = select(setting.c.value).where(setting.c.name == bindparam("name"))

PLACE, OWNER = "@place", "@owner"
"""Fields that no kind of record can have; see ``kernel.record.whereabouts``."""

Row = tuple[Any, ...]


class LinkedFields:
    """Which fields of each kind of record refer to other records."""

    def __init__(self, kinds: Mapping[str, RecordKind]) -> None:
        self._fields = {kind: tuple(name for name, _ in k.refs()) for kind, k in kinds.items()}

    def links(self, r: Record) -> list[tuple[str, str, str, str]]:
        """(kind, id, field, target) for every reference a record makes, and for the places it lies in."""
        if r.deleted:
            return []
        referred = [
            (field, target)
            for field in self._fields.get(r.kind, ())
            for target in _targets(r.data.get(field))
        ]
        return [(r.kind, r.id, field, target) for field, target in (*referred, *_places(r))]

    def text(self) -> str:
        """What was told, in a form that can be compared."""
        told = {kind: sorted(fields) for kind, fields in sorted(self._fields.items())}
        return _encode(["places", told]).decode()


def _places(r: Record) -> list[tuple[str, str]]:
    """Where a record lies, kept beside its references so that a place's records can be asked for."""
    codes, owner = whereabouts(r)
    return [(PLACE, code) for code in sorted(codes)] + ([(OWNER, owner)] if owner else [])


def _targets(value: Any) -> list[str]:
    values = value if isinstance(value, list) else [value]
    return [v for v in values if isinstance(v, str) and v]


class SqlRecords:
    """``kernel.ports.Records``."""

    def __init__(self, work: Work, fields: LinkedFields) -> None:
        self._work = work
        self._fields = fields
        self._versions = work.buffer(self._write_versions)
        self._owed = work.buffer(self._write)

    def get(self, kind: str, identity: str) -> Record | None:
        """The current version, unless deleted."""
        found = self._owed.get((kind, identity))
        if found is None:
            row = self._work.link.run(_GET, kind=kind, id=identity).fetchone()
            found = _record(row) if row else None
        return None if found is None or found.deleted else found

    def load(self, kind: str, identities: Iterable[str]) -> list[Record]:
        """The current versions of several, unless deleted, in no order."""
        self._work.flush(self._owed)
        rows = self._work.link.choose(_GET_MANY, list(dict.fromkeys(identities)), kind)
        return [found for found in map(_record, rows) if not found.deleted]

    def put(self, record: Record) -> Record:
        """Store the next version (``version`` is set here) with its references; returns it."""
        key = (record.kind, record.id)
        owed = self._owed.get(key)
        last = owed.version if owed else self._work.link.value(_VERSION, kind=key[0], id=key[1]) or 0
        stored = msgspec.structs.replace(record, version=last + 1)
        self._owed[key] = stored
        self._versions[(*key, stored.version)] = stored
        return stored

    def find(
        self, kind: str, text: str = "", limit: int = 50, offset: int = 0, place: str | None = None
    ) -> list[Record]:
        """Records whose id or data contains a text, by id; of a street or community alone, by its code."""
        self._work.flush(self._owed)
        query = select(record).where(*_holding(kind, text, place)).order_by(record.c.id)
        return [_record(row) for row in self._work.link.query(query.limit(limit).offset(offset))]

    def count(self, kind: str, text: str = "", place: str | None = None) -> int:
        """How many of a kind contain a text, in a place."""
        self._work.flush(self._owed)
        query = select(func.count()).select_from(record).where(*_holding(kind, text, place))
        [(count,)] = self._work.link.query(query)
        return int(count)

    def linked(self, kind: str, field: str, target: str) -> list[Record]:
        """Records of a kind whose field refers to an id."""
        self._work.flush(self._owed)
        found = self._work.link.run(_LINKED, kind=kind, field=field, target=target)
        return [_record(row) for row in found]

    def linked_to(self, kind: str, field: str, targets: Iterable[str]) -> dict[str, list[Record]]:
        """Records of a kind whose field refers to one of several ids, by that id."""
        self._work.flush(self._owed)
        pairs = list(self._work.link.choose(_LINKED_MANY, list(dict.fromkeys(targets)), kind, field))
        records = {found.id: found for found in self.load(kind, (identity for _, identity in pairs))}
        linked: defaultdict[str, list[Record]] = defaultdict(list)
        for target, identity in sorted(pairs):
            if identity in records:
                linked[target].append(records[identity])
        return dict(linked)

    def erase(self, kind: str, identity: str) -> int:
        """Empty every version of a record and mark it deleted; its id stays. Says how many versions."""
        self._work.flush(self._owed, self._versions)
        for statement in (_ERASE, _UNLINK):
            self._work.write(statement, of_kind=kind, of_id=identity)
        self._work.write(_GROW, name=_REVISION_NAME, value="1")
        return self._work.write(_ERASE_VERSIONS, of_kind=kind, of_id=identity).rowcount

    def history(self, kind: str, identity: str) -> list[Record]:
        """All versions, newest first."""
        self._work.flush(self._versions)
        return [_record(row) for row in self._work.link.run(_HISTORY, kind=kind, id=identity)]

    def revision(self) -> int:
        """Grows with every change, so that readers know when to look again."""
        self._work.flush(self._owed)
        return int(self._work.link.value(_REVISION, name=_REVISION_NAME) or 0)

    def relink(self) -> None:
        """Derive every reference anew, after the fields that refer have changed."""
        self._work.flush()
        self._work.settle()
        self._work.link.query(delete(record_link))
        rows = self._work.link.query(select(record).where(record.c.deleted == 0))
        self._work.write_many(_LINK, [link for row in rows for link in self._fields.links(_record(row))])

    def _write(self, owed: dict[tuple[str, str], Record]) -> None:
        link = self._work.link
        link.many(_PUT, [_row(r) for r in owed.values()])
        link.many(_UNLINK, list(owed))
        links = [found for r in owed.values() for found in self._fields.links(r)]
        if links:
            link.many(_LINK, links)
        if any(kind != NOTE for kind, _ in owed):
            link.run(_GROW, name=_REVISION_NAME, value="1")

    def _write_versions(self, owed: dict[tuple[str, str, int], Record]) -> None:
        self._work.link.many(_PUT_VERSION, [_row(r) for r in owed.values()])


def _holding(kind: str, text: str, place: str | None) -> list[ColumnElement[bool]]:
    found = [record.c.kind == kind, record.c.deleted == 0]
    if place is not None:
        found.append(record.c.id.in_(_within(kind, place)))
    if text:
        escaped = _encode(text).decode()[1:-1]
        in_id = record.c.id.icontains(text, autoescape=True)
        found.append(or_(in_id, record.c.data.icontains(escaped, autoescape=True)))
    return found


def _within(kind: str, place: str) -> CompoundSelect[Any]:
    """Ids of a kind that lie in a place themselves, or by the person they belong to."""
    own, home = record_link.alias("own"), record_link.alias("home")
    lies_in = select(own.c.id).where(own.c.kind == kind, own.c.field == PLACE, own.c.target == place)
    belongs = select(own.c.id).where(own.c.kind == kind, own.c.field == OWNER)
    belongs = belongs.join(home, home.c.id == own.c.target)
    belongs = belongs.where(home.c.kind == "person", home.c.field == PLACE, home.c.target == place)
    return lies_in.union_all(belongs)


def _row(r: Record) -> Row:
    return (r.kind, r.id, r.version, _encode(r.data).decode(), r.at, r.by, int(r.deleted))


def _record(row: Sequence[Any]) -> Record:
    kind, identity, version, data, at, by, deleted = row
    return Record(
        kind=kind,
        id=identity,
        version=version,
        data=msgspec.json.decode(data),
        at=at,
        by=by,
        deleted=bool(deleted),
    )
