"""Names in the texts of a mapping, and where in a message they lead."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from hexi.kernel.signal import Signal
from hexi.kernel.text import Text
from hexi.settings.mqtt import ITEM, NAME, PAYLOAD


class UnreadableError(Exception):
    """A message that cannot become a signal. ``reason`` says why in both languages.

    ``readable``: the signals of the same message that nothing is wrong with.
    """

    def __init__(self, zh: str, en: str, readable: Sequence[Signal] = ()) -> None:
        super().__init__(en)
        self.reason = Text(zh=zh, en=en)
        self.readable = readable


class Said(NamedTuple):
    """What one signal is made of: the parts of the topic, the payload, and the element of its list."""

    parts: Mapping[str, str]
    payload: Any
    item: Any = None


Look = Callable[[Said], Any]
Write = Callable[[Said], str]

MISSING = object()
"""What a path leads to when there is nothing."""


def compile_path(path: str) -> Look:
    """A function that finds what a path leads to, or MISSING; a number is a place in a list."""
    head, _, rest = path.partition(".")
    steps = tuple(rest.split(".")) if rest else ()
    if head == PAYLOAD:
        return lambda said: _walk(said.payload, steps)
    if head == ITEM:
        return lambda said: _walk(said.item, steps)
    return lambda said: said.parts.get(head, MISSING)


def _walk(value: Any, steps: tuple[str, ...]) -> Any:
    for step in steps:
        if type(value) is dict:
            value = value.get(step, MISSING)
        elif type(value) is list and step.isdigit() and int(step) < len(value):
            value = value[int(step)]
        else:
            return MISSING
    return value


def compile_text(text: str, key: str) -> Write:
    """A function that writes a text with its names filled in; UnreadableError when one leads nowhere."""
    pieces = NAME.split(text)
    if len(pieces) == 1:
        return lambda _: text
    looks = [(name, compile_path(name)) for name in pieces[1::2]]
    plain = pieces[::2]
    if plain == ["", ""]:
        ((name, look),) = looks
        return lambda said: _plain(look(said), key, name)

    def write(said: Said) -> str:
        words = [_plain(look(said), key, name) for name, look in looks]
        return plain[0] + "".join(word + after for word, after in zip(words, plain[1:], strict=True))

    return write


def _plain(value: Any, key: str, name: str) -> str:
    """A value as a word: texts, numbers and truth alone have one."""
    if type(value) is str and value:
        return value
    if type(value) is bool:
        return "true" if value else "false"
    if type(value) in {int, float}:
        return str(value)
    if value is MISSING or value is None or value == "":
        raise UnreadableError(f"{key}：报文里没有 {name}", f"{key}: {name} is not in the message")
    raise UnreadableError(f"{key}：{name} 不是单个值", f"{key}: {name} is not a single value")
