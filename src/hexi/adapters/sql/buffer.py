"""Rows a transaction owes to a table, written together.

Each open part of a transaction has its own layer, so that undoing a part that has only buffered
costs nothing and touches no database.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Buffer(Generic[K, V]):
    """What is still to be written, the last value of each key; ``write`` puts a batch on the database."""

    __slots__ = ("_layers", "_write")

    def __init__(self, write: Callable[[dict[K, V]], None], depth: int = 0) -> None:
        self._write = write
        self._layers: list[dict[K, V]] = [{} for _ in range(depth + 1)]

    def __setitem__(self, key: K, value: V) -> None:
        self._layers[-1][key] = value

    def get(self, key: K) -> V | None:
        """What is owed under a key, seen from the innermost part."""
        for layer in reversed(self._layers):
            if key in layer:
                return layer[key]
        return None

    def holds(self, key: K) -> bool:
        """Whether something is owed under a key."""
        return any(key in layer for layer in self._layers)

    def __bool__(self) -> bool:
        return any(self._layers)

    def push(self) -> None:
        """A part begins."""
        self._layers.append({})

    def keep(self) -> None:
        """The innermost part has succeeded: what it owes, its parent owes."""
        layer = self._layers.pop()
        self._layers[-1].update(layer)

    def drop(self) -> None:
        """The innermost part has failed."""
        self._layers.pop()

    def flush(self, depth: int) -> None:
        """Write the layers up to a depth, outermost first."""
        for number, layer in enumerate(self._layers[: depth + 1]):
            if layer:
                self._layers[number] = {}
                self._write(layer)
