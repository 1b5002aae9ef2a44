"""Accounts, sessions, tokens, and the log of looks at personal data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import Executable, bindparam, delete, select

from hexi.adapters.sql.forget import CHUNK, forget
from hexi.adapters.sql.link import Upsert, replacing
from hexi.adapters.sql.tables import account, look, session, token
from hexi.adapters.sql.work import Work
from hexi.kernel.access import Account, Look, Token
from hexi.kernel.clock import Instant

_PUT_ACCOUNT = replacing(account)
_ACCOUNTS = select(account).order_by(account.c.login)
_ACCOUNT = select(account).where(account.c.login == bindparam("login"))
_PUT_SESSION = replacing(session)
_SESSION = select(session.c.login).where(
    session.c.digest == bindparam("digest"), session.c.expires > bindparam("now")
)
_END = delete(session).where(session.c.digest == bindparam("digest"))
_END_ALL = delete(session).where(session.c.login == bindparam("of"), session.c.digest != bindparam("but"))
_EXPIRED = (
    select(session.c.digest)
    .where(session.c.expires <= bindparam("before"))
    .order_by(session.c.expires)
    .limit(CHUNK)
)
_FORGET = delete(session).where(session.c.digest.in_(_EXPIRED))
_PUT_TOKEN = replacing(token)
_TOKENS = select(token).order_by(token.c.name)
_TOKEN = select(token).where(token.c.hash == bindparam("digest"))
_LOOKED = Upsert(look, skip=("seq",))
_LOOK_COLUMNS = tuple(c for c in look.c if c.name != "seq")
_LOOKS = select(*_LOOK_COLUMNS).order_by(look.c.seq.desc()).limit(bindparam("most"))
_LOOKS_AT = _LOOKS.where(look.c.record == bindparam("record"))


class SqlAccess:
    """``kernel.access.Access``."""

    def __init__(self, work: Work) -> None:
        self._work = work

    def account(self, login: str) -> Account | None:
        """One account."""
        return next(iter(self._accounts(_ACCOUNT, login=login)), None)

    def accounts(self) -> list[Account]:
        """All accounts by login."""
        return self._accounts(_ACCOUNTS)

    def _accounts(self, statement: Executable, **values: Any) -> list[Account]:
        return [_account(row) for row in self._work.link.run(statement, **values)]

    def put_account(self, account: Account) -> None:
        """Add or replace an account."""
        values = msgspec.structs.asdict(account)
        self._work.write(_PUT_ACCOUNT, **values | {"active": int(account.active)})

    def session(self, digest: str, now: Instant) -> str | None:
        """The login of a live session."""
        login: str | None = self._work.link.value(_SESSION, digest=digest, now=now)
        return login

    def put_session(self, digest: str, login: str, expires: Instant) -> None:
        """Start or prolong a session."""
        self._work.write(_PUT_SESSION, digest=digest, login=login, expires=expires)

    def end_session(self, digest: str) -> None:
        """End a session."""
        self._work.write(_END, digest=digest)

    def end_sessions(self, login: str, but: str | None = None) -> int:
        """End every session of an account, except the one with this digest; says how many."""
        return self._work.write(_END_ALL, of=login, but=but or "").rowcount

    def forget_sessions(self, now: Instant) -> int:
        """Drop sessions that have expired, the oldest 20,000 at most; says how many."""
        return forget(self._work, _FORGET, now)

    def token(self, digest: str) -> Token | None:
        """The token with this hash."""
        return next(iter(self._tokens(_TOKEN, digest=digest)), None)

    def tokens(self) -> list[Token]:
        """All tokens by name."""
        return self._tokens(_TOKENS)

    def _tokens(self, statement: Executable, **values: Any) -> list[Token]:
        return [_token(row) for row in self._work.link.run(statement, **values)]

    def put_token(self, token: Token) -> None:
        """Add or replace a token by name."""
        values = msgspec.structs.asdict(token)
        values |= {"sources": msgspec.json.encode(token.sources).decode(), "active": int(token.active)}
        self._work.write(_PUT_TOKEN, **values)

    def looked(self, look: Look) -> None:
        """Log a look."""
        self._work.write(_LOOKED, **msgspec.structs.asdict(look))

    def looks(self, record: str | None, limit: int) -> list[Look]:
        """Looks at one record or at all, latest first."""
        if record is None:
            found = self._work.link.run(_LOOKS, most=limit)
        else:
            found = self._work.link.run(_LOOKS_AT, record=record, most=limit)
        return [
            Look(at=at, by=by, record=seen, what=what, case_id=case_id)
            for at, by, seen, what, case_id in found
        ]


def _account(row: Sequence[Any]) -> Account:
    values = dict(zip((c.name for c in account.c), row, strict=True))
    return Account(**values | {"active": bool(values["active"])})


def _token(row: Sequence[Any]) -> Token:
    name, hash_, sources, scope, active = row
    return Token(
        name=name,
        hash=hash_,
        sources=tuple(msgspec.json.decode(sources)),
        scope=scope,
        active=bool(active),
    )
