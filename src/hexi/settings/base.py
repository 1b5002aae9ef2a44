"""What every table of settings is made of."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta


class SettingsError(Exception):
    """Settings that cannot be used; each line names the place, the key and what is expected."""


class Span(int):
    """A duration in milliseconds that was written as text: ``"5s"``."""

    __slots__ = ()


class Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A table of settings."""


Port = Annotated[int, Meta(ge=0, le=65535, description="TCP port; 0 takes a free one.")]


Count = Annotated[int, Meta(ge=1)]


Positive = Annotated[float, Meta(gt=0)]


def read_secret(path: Path) -> str:
    """The first line of a secret's file; SettingsError when it is missing or empty."""
    try:
        secret = path.read_text(encoding="utf-8").partition("\n")[0].strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: cannot read the secret: {error}") from error
    if not secret:
        raise SettingsError(f"{path}: the secret's file is empty")
    return secret
