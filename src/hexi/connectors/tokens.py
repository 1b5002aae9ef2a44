"""Bearer tokens: 256 random bits, kept as a hash, and what each may name as its source."""

from __future__ import annotations

import asyncio
import secrets
from collections import OrderedDict
from collections.abc import Callable
from fnmatch import fnmatchcase
from hashlib import sha256
from time import monotonic

from hexi.kernel.access import Token
from hexi.kernel.ports import Store

LIFE = 5.0
"""Seconds for which a token that was looked up is believed; a withdrawn one ends within them."""

_MOST = 10_000

DRILL = "drill"
"""The scope of whoever runs drills: its signals and acts are exercises, and touch no real case."""


def digest_of(secret: str) -> str:
    """What is stored of a random secret. Not for passwords: those are guessable and need argon2."""
    return sha256(secret.encode()).hexdigest()


def new_secret() -> str:
    """256 random bits, safe in headers and cookies."""
    return secrets.token_urlsafe(32)


def has_scope(token: Token, scope: str) -> bool:
    """Whether a token carries a scope; scopes are separated by spaces."""
    return token.active and scope in token.scope.split()


def may_name(token: Token, source: str) -> bool:
    """Whether a token may send as a source; its list holds names and globs."""
    return "*" in token.sources or any(fnmatchcase(source, pattern) for pattern in token.sources)


class Tokens:
    """Looks tokens up by their secret and remembers the answer for a moment."""

    def __init__(self, store: Store, timer: Callable[[], float] = monotonic) -> None:
        self._store = store
        self._timer = timer
        self._known: OrderedDict[str, tuple[float, Token | None]] = OrderedDict()

    async def find(self, secret: str) -> Token | None:
        """The active token of a secret, or None."""
        digest = digest_of(secret)
        since, token = self._known.get(digest, (float("-inf"), None))
        if self._timer() - since > LIFE:
            token = await asyncio.to_thread(self._read, digest)
            self._known[digest] = (self._timer(), token)
            if len(self._known) > _MOST:
                self._known.popitem(last=False)
        return token if token and token.active else None

    def _read(self, digest: str) -> Token | None:
        with self._store.read() as tx:
            return tx.access.token(digest)
