"""Who may log in, which programs may send, and the log of looks at personal data: the words and the port."""

from __future__ import annotations

from typing import Protocol

import msgspec

from hexi.kernel.clock import Instant


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """Someone who can log in."""

    login: str
    name: str
    hash: str
    role: str
    place: str | None = None
    person: str | None = None
    active: bool = True


class Token(msgspec.Struct, frozen=True, kw_only=True):
    """A source that may send signals: the hash of its secret and the sources it may name."""

    name: str
    hash: str
    sources: tuple[str, ...] = ("*",)
    scope: str = "signals"
    active: bool = True


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """Someone looked at personal data."""

    at: Instant
    by: str
    record: str
    what: str
    case_id: str | None = None


class Access(Protocol):
    """Accounts, sessions, tokens, and the log of looks at personal data."""

    def account(self, login: str) -> Account | None:
        """One account."""
        ...

    def accounts(self) -> list[Account]:
        """All accounts by login."""
        ...

    def put_account(self, account: Account) -> None:
        """Add or replace an account."""
        ...

    def session(self, digest: str, now: Instant) -> str | None:
        """The login of a live session."""
        ...

    def put_session(self, digest: str, login: str, expires: Instant) -> None:
        """Start or prolong a session."""
        ...

    def end_session(self, digest: str) -> None:
        """End a session."""
        ...

    def end_sessions(self, login: str, but: str | None = None) -> int:
        """End every session of an account, except the one with this digest; says how many."""
        ...

    def forget_sessions(self, now: Instant) -> int:
        """Drop sessions that have expired, the oldest 20,000 at most; says how many."""
        ...

    def token(self, digest: str) -> Token | None:
        """The token with this hash."""
        ...

    def tokens(self) -> list[Token]:
        """All tokens by name."""
        ...

    def put_token(self, token: Token) -> None:
        """Add or replace a token by name."""
        ...

    def looked(self, look: Look) -> None:
        """Log a look."""
        ...

    def looks(self, record: str | None, limit: int) -> list[Look]:
        """Looks at one record or at all, latest first."""
        ...
