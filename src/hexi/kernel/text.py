"""Text in the two languages of every screen and notice."""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec

LANGUAGES = ("zh", "en")
_HOLE = re.compile(r"\{(\w+)\}")


class Text(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The same sentence in Chinese and in English."""

    zh: str
    en: str

    def __post_init__(self) -> None:
        if not self.zh.strip() or not self.en.strip():
            raise ValueError("a text needs both languages, zh and en")

    def get(self, language: str) -> str:
        """The sentence in a language; Chinese for any unknown one."""
        return self.en if language == "en" else self.zh

    def holes(self) -> set[str]:
        """The names in braces that are to be filled, in either language."""
        return set(_HOLE.findall(self.zh)) | set(_HOLE.findall(self.en))

    def fill(self, values: Mapping[str, str], language: str) -> str:
        """The sentence with its holes filled; an unknown hole stays visible."""
        return _HOLE.sub(lambda m: values.get(m.group(1), m.group(0)), self.get(language))
