"""Which files the settings name."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hexi.settings.base import Table


def named_files(value: Any, at: str = "") -> Iterator[tuple[str, Path]]:
    """Every path in a table of settings, with its key: ``listen.tls_cert``."""
    if isinstance(value, Path):
        yield at, value
    elif isinstance(value, Table):
        for name in value.__struct_fields__:
            yield from named_files(getattr(value, name), f"{at}.{name}".lstrip("."))
    elif isinstance(value, dict):
        for name, part in value.items():
            yield from named_files(part, f"{at}.{name}")


def certificates(settings: Table) -> Iterator[tuple[str, Path]]:
    """The named files that hold certificates: ours, and the authorities that brokers are checked by."""
    for key, path in named_files(settings):
        if path.is_file() and key.rpartition(".")[2] in {"tls_cert", "cert", "ca"}:
            yield key, path
