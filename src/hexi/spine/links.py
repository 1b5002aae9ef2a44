"""Links by which a recipient answers a notice: signed, expiring, good for one case only."""

from __future__ import annotations

from hashlib import sha256
from typing import Literal

import msgspec
from itsdangerous import BadData, Signer, URLSafeSerializer
from itsdangerous.encoding import base64_encode

from hexi.kernel.clock import DAY, Duration, Instant

LIFE: Duration = DAY
"""How long a link is good unless told otherwise."""


class LinkClaim(msgspec.Struct, frozen=True, kw_only=True, array_like=True, forbid_unknown_fields=True):
    """What a link proves: its bearer was sent this notice. References only, no names."""

    notice_id: str
    case_id: str
    recipient: str
    role: str
    expires: Instant


class BadLinkError(Exception):
    """A link that must not act. ``expired`` can be told to its bearer, ``forged`` is to be logged."""

    def __init__(self, reason: Literal["expired", "forged"]) -> None:
        super().__init__(f"the link is {reason}")
        self.reason = reason


class Links:
    """Signs links and reads them back.

    The expiry travels inside the signed claim and is compared with an instant given by the caller:
    itsdangerous' own timed serializer asks the wall clock, which our tests and simulated days replace.
    """

    def __init__(self, secret: str, base_url: str) -> None:
        if not secret:
            raise ValueError("links need a secret")
        self.base_url = base_url.rstrip("/")
        self._serializer = URLSafeSerializer(
            secret, salt="hexi.link", signer_kwargs={"digest_method": sha256, "key_derivation": "hmac"}
        )
        key = self._serializer.make_signer().derive_key()
        self._signer = Signer(key, digest_method=sha256, key_derivation="none")
        """Signs as the serializer does, with the key derived once: every notice of a burst needs a link."""

    def sign(self, notice_id: str, case_id: str, recipient: str, role: str, expires: Instant) -> str:
        """The address at which one recipient answers one notice, until an instant."""
        claim = msgspec.json.encode([notice_id, case_id, recipient, role, expires])
        token = self._signer.sign(base64_encode(claim)).decode()
        return f"{self.base_url}/r/{token}"

    def read(self, token: str, now: Instant) -> LinkClaim:
        """What a token claims; BadLinkError when it was not made here or its time is over."""
        try:
            claim = msgspec.convert(self._serializer.loads(token), LinkClaim)
        except (BadData, msgspec.ValidationError, ValueError):
            raise BadLinkError("forged") from None
        if now >= claim.expires:
            raise BadLinkError("expired")
        return claim
