"""Passwords: argon2id, worked out beside the event loop, in the same time for unknown names."""

from __future__ import annotations

import asyncio
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError

SHORTEST, LONGEST = 10, 200

_hasher = PasswordHasher()


def hash_password(password: str) -> str:
    """The argon2id hash of a new password; ValueError when it is too short or too long."""
    if not SHORTEST <= len(password) <= LONGEST:
        raise ValueError(
            f"密码应有 {SHORTEST} 到 {LONGEST} 个字符 / a password has {SHORTEST} to {LONGEST} characters"
        )
    return _hasher.hash(password)


def is_password(stored: str | None, given: str) -> bool:
    """Whether a password fits; without a stored hash it takes as long and is always wrong."""
    try:
        return _hasher.verify(stored or _nobody(), given[: LONGEST + 1]) and stored is not None
    except (Argon2Error, InvalidHashError):
        return False


@cache
def _nobody() -> str:
    return _hasher.hash("nobody has this password")


class Verifier:
    """Verifies passwords in threads, few at a time: each takes tens of megabytes."""

    def __init__(self, at_once: int = 2) -> None:
        self._slots = asyncio.Semaphore(at_once)

    async def fits(self, stored: str | None, given: str) -> bool:
        """As ``is_password``, beside the event loop."""
        async with self._slots:
            return await asyncio.to_thread(is_password, stored, given)
