"""What packs import: the marks for their own functions, and the kernel types those speak of.

``rules.py`` of a pack holds small named functions for what TOML cannot say::

    from hexi.pack import predicate, recipient
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Protocol, TypeVar

from hexi.kernel.case import Case
from hexi.kernel.clock import Duration, Instant
from hexi.kernel.directory import Centre, Contact, Device, Person
from hexi.kernel.place import Location, Point, Walk, distance_m, walk
from hexi.kernel.text import Text

__all__ = [
    "Case",
    "Centre",
    "Contact",
    "Device",
    "Directory",
    "Duration",
    "Instant",
    "Location",
    "Person",
    "Point",
    "Text",
    "Walk",
    "distance_m",
    "mark_of",
    "predicate",
    "recipient",
    "walk",
]

_Function = TypeVar("_Function", bound=Callable[..., Any])
_Finder = TypeVar("_Finder", bound=Callable[["Directory", Case], Iterable[str]])
_MARK = "hexi_mark"


class Directory(Protocol):
    """Where a recipient function looks people up."""

    def person(self, identity: str) -> Person | None:
        """A person by id."""
        ...

    def device(self, identity: str) -> Device | None:
        """A device by id."""
        ...

    def contacts(self, person: str) -> list[Contact]:
        """A person's contacts in their order."""
        ...

    def centres(self, near: Point) -> list[tuple[Walk, Centre]]:
        """Service centres that are open now, the shortest walk first."""
        ...


def predicate(function: _Function) -> _Function:
    """A scenario's ``when`` may call the function by its name, with CEL values as arguments."""
    setattr(function, _MARK, "predicate")
    return function


def recipient(function: _Finder) -> _Finder:
    """A step's ``tell`` may name the function; it gets the directory and the case and gives references."""
    setattr(function, _MARK, "recipient")
    return function


def mark_of(function: object) -> str | None:
    """``predicate`` or ``recipient`` for a marked function, else None."""
    mark: str | None = getattr(function, _MARK, None)
    return mark
