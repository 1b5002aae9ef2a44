"""Sessions of people in browsers: a random token in a cookie, its hash in the store, twelve hours sliding."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from http.cookies import CookieError, SimpleCookie
from time import monotonic
from typing import TypeVar

from hexi.connectors.tokens import digest_of, new_secret
from hexi.kernel.access import Account
from hexi.kernel.clock import HOUR, MINUTE, Instant
from hexi.kernel.ports import StoreError, Transaction
from hexi.spine.platform import Platform
from hexi.web.access.permissions import Caller

COOKIE = "hexi_session"
LIFE = 12 * HOUR
PROLONG_AFTER = 10 * MINUTE
"""A session is prolonged at most this often, so that looking at a page writes nothing."""

BELIEVE = 2.0
"""Seconds for which a session that was looked up is believed."""

_MOST = 10_000


def caller_of(account: Account) -> Caller:
    """The caller that an account makes."""
    return Caller(
        login=account.login,
        name=account.name,
        role=account.role,
        place=account.place,
        person=account.person,
    )


def read_cookie(header: str, name: str = COOKIE) -> str | None:
    """The value of a cookie in a ``Cookie`` header."""
    try:
        morsel = SimpleCookie(header).get(name)
    except CookieError:
        return None
    return morsel.value if morsel else None


class Sessions:
    """Begins, finds, prolongs and ends sessions."""

    def __init__(self, platform: Platform, timer: Callable[[], float] = monotonic) -> None:
        self._platform = platform
        self._timer = timer
        self._known: OrderedDict[str, tuple[float, Caller]] = OrderedDict()
        self._prolonged: OrderedDict[str, Instant] = OrderedDict()

    async def begin(self, login: str) -> str:
        """A new session's secret for the cookie; durable before it returns."""
        secret, now = new_secret(), self._platform.clock.now()
        digest = digest_of(secret)
        await self._platform.intake.call(lambda tx: tx.access.put_session(digest, login, now + LIFE))
        _remember(self._prolonged, digest, now)
        return secret

    async def find(self, secret: str) -> Caller | None:
        """Who the session belongs to; None when it is over or the account is no longer active."""
        digest = digest_of(secret)
        since, caller = self._known.get(digest, (float("-inf"), None))
        if caller is None or self._timer() - since > BELIEVE:
            caller = await asyncio.to_thread(self._read, digest)
            if caller is None:
                self._known.pop(digest, None)
                return None
            _remember(self._known, digest, (self._timer(), caller))
        await self._prolong(digest, caller.login)
        return caller

    async def end(self, secret: str) -> None:
        """The session is over."""
        digest = digest_of(secret)
        self._known.pop(digest, None)
        await self._platform.intake.call(lambda tx: tx.access.end_session(digest))

    def forget(self) -> None:
        """Look every session up again: an account has changed."""
        self._known.clear()

    def _read(self, digest: str) -> Caller | None:
        with self._platform.store.read() as tx:
            login = tx.access.session(digest, self._platform.clock.now())
            account = tx.access.account(login) if login else None
        return caller_of(account) if account and account.active else None

    async def _prolong(self, digest: str, login: str) -> None:
        now = self._platform.clock.now()

        def keep(tx: Transaction) -> None:
            if tx.access.session(digest, now):  # one that was ended meanwhile stays ended
                tx.access.put_session(digest, login, now + LIFE)

        if now - self._prolonged.get(digest, 0) >= PROLONG_AFTER:
            with suppress(StoreError):  # whoever is logged in may still look while nothing can be written
                await self._platform.intake.call(keep)
                _remember(self._prolonged, digest, now)


_Value = TypeVar("_Value")


def _remember(known: OrderedDict[str, _Value], key: str, value: _Value) -> None:
    known[key] = value
    known.move_to_end(key)
    if len(known) > _MOST:
        known.popitem(last=False)
