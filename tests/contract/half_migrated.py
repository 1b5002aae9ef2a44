"""A start that stops in the middle of its migration, until it is killed: ``half_migrated.py url words``.

It stops after the first statement that holds the words.
"""

from __future__ import annotations

import sys
import time
from functools import partial
from typing import Any

from sqlalchemy import Engine, event

from hexi.adapters.sql import open_store

say = partial(print, flush=True)


def _stop(_: Any, __: Any, statement: str, *___: Any) -> None:
    if sys.argv[2] in statement:
        say("half")
        time.sleep(600)


if __name__ == "__main__":
    event.listen(Engine, "after_cursor_execute", _stop)
    open_store(sys.argv[1])
