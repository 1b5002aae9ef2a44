"""The one table of permissions, and who a request comes from."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from hexi.kernel.case import Case
from hexi.kernel.ports import CaseRow
from hexi.kernel.text import Text


class Permission(StrEnum):
    """Something a caller may do."""

    CASE_SEE = "case.see"
    CASE_ACT = "case.act"
    PERSON_SEE = "person.see"
    PERSON_SENSITIVE = "person.sensitive"
    RECORD_SEE = "record.see"
    RECORD_EDIT = "record.edit"
    ROSTER_TAKE = "roster.take"
    SIGNAL_SEE = "signal.see"
    SIGNAL_SEND = "signal.send"
    QUARANTINE_SEE = "quarantine.see"
    WALL_SEE = "wall.see"
    ACCOUNT_EDIT = "account.edit"
    DRILL_RUN = "drill.run"


_P = Permission
_ON_CASES = frozenset({_P.CASE_SEE, _P.CASE_ACT, _P.PERSON_SEE, _P.PERSON_SENSITIVE, _P.RECORD_SEE})

ROLES: dict[str, frozenset[Permission]] = {
    "admin": frozenset(Permission),
    "operator": _ON_CASES
    | {_P.RECORD_EDIT, _P.ROSTER_TAKE, _P.SIGNAL_SEE, _P.SIGNAL_SEND, _P.QUARANTINE_SEE, _P.WALL_SEE}
    | {_P.DRILL_RUN},
    "worker": _ON_CASES,
    "leader": frozenset({_P.CASE_SEE, _P.RECORD_SEE, _P.WALL_SEE}),
    "engineer": frozenset(
        {_P.RECORD_SEE, _P.RECORD_EDIT, _P.SIGNAL_SEE, _P.SIGNAL_SEND, _P.QUARANTINE_SEE, _P.WALL_SEE}
    ),
}
"""What each role may do."""

BY_TOKEN: dict[str, frozenset[Permission]] = {"drill": frozenset({_P.DRILL_RUN})}
"""What a token may do by its scope alone; no account has such a role."""

ROLE_TITLES: dict[str, Text] = {
    "admin": Text(zh="管理员", en="Administrator"),
    "operator": Text(zh="值班员", en="Operator"),
    "worker": Text(zh="处置人员", en="Worker"),
    "leader": Text(zh="负责人", en="Leader"),
    "engineer": Text(zh="工程师", en="Engineer"),
}


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """Who a request comes from. ``place`` is a street's or community's code that limits what is seen."""

    login: str
    name: str
    role: str
    place: str | None = None
    person: str | None = None
    by_token: bool = False

    @property
    def ref(self) -> str:
        """How logs name the caller: the person behind the account, else the account."""
        if self.by_token:
            return f"token:{self.login}"
        return f"person:{self.person}" if self.person else f"user:{self.login}"

    def may(self, permission: Permission) -> bool:
        """Whether the caller's role has a permission."""
        known = ROLES | BY_TOKEN if self.by_token else ROLES
        return permission in known.get(self.role, frozenset())

    def covers(self, street: str | None, community: str | None) -> bool:
        """Whether a place lies within what the caller may see."""
        return self.place is None or self.place in (street, community) or _lies_in(community, self.place)

    def sees_case(self, case: Case | CaseRow) -> bool:
        """Whether a case lies within what the caller may see."""
        where = case.place if isinstance(case, Case) else case
        return self.covers(where.street, where.community)


def _lies_in(community: str | None, place: str) -> bool:
    """A community's official code begins with its street's."""
    return len(place) == 9 and community is not None and community.startswith(place)


DEMO = Caller(login="demo", name="演示值班员", role="operator")
"""Who everybody is in the demo."""
