"""Memory of a process that runs for months: what was loaded is let be, and arenas are few."""

from __future__ import annotations

import ctypes
import gc

YOUNG = 50_000
"""New objects at which Python looks for those in circles. A burst of cases makes as many in one commit, of
which none is in a circle; at Python's own 700 looking takes a third of a commit's time."""

_ARENA_MAX, _ARENAS = -8, 2
"""``M_ARENA_MAX`` of glibc's mallopt(3): otherwise each thread keeps 64 MiB and gives little of it back."""


def share_arenas() -> None:
    """Let all threads take memory from the same few arenas; to be called before there are threads."""
    try:
        ctypes.CDLL(None).mallopt(_ARENA_MAX, _ARENAS)
    except (AttributeError, OSError):
        return


def leave_what_is_loaded() -> None:
    """What was loaded at the start stays to the end: Python need not walk through it again and again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, 10, 10)
