"""Promises about what people read."""

from __future__ import annotations

import re
from collections.abc import Iterator

from hexi.adapters.packs.check.item import Item, Whole
from hexi.adapters.packs.problem import Problem
from hexi.kernel.scenario import Scenario
from hexi.kernel.text import Text
from hexi.spine.ask import REPLIES as ANSWERS
from hexi.spine.wording import HOLES

_HOLE = re.compile(r"\{(\w+)\}")
_CHINESE = re.compile(r"[\u4e00-\u9fff]")
_NUMBER = re.compile(r"(?:回复|[Rr]eply)\s*(\d)")
_HOLE_WORD = Text(zh="填空", en="blank in braces")


def _notices(scenario: Scenario) -> Iterator[tuple[str, Text]]:
    if scenario.ask:
        yield "ask.text", scenario.ask.text
    for number, step in enumerate(scenario.response):
        if step.text:
            yield f"response[{number}].text", step.text


def _labels(scenario: Scenario) -> Iterator[tuple[str, Text]]:
    yield "title", scenario.title
    for name, text in (("summary", scenario.summary), ("guidance", scenario.guidance)):
        if text:
            yield name, text
    for number, step in enumerate(scenario.response):
        if step.task:
            yield f"response[{number}].task", step.task


def holes_are_the_same_in_both_languages(item: Item, _: Whole) -> Iterator[Problem]:
    """Nobody is told less for reading the other language."""
    for where, text in _notices(item.scenario):
        zh, en = (set(_HOLE.findall(words)) for words in (text.zh, text.en))
        for hole in sorted(zh ^ en):
            side = Text(zh="英文", en="English") if hole in zh else Text(zh="中文", en="Chinese")
            yield item.wrong(
                where, f"{side.zh}里缺少 {{{hole}}}", f"the {side.en} sentence does not have {{{hole}}}"
            )


def holes_can_be_filled(item: Item, _: Whole) -> Iterator[Problem]:
    """A notice never shows a brace to a reader."""
    for where, text in _notices(item.scenario):
        for hole in sorted(text.holes() - HOLES):
            yield item.unknown(where, hole, HOLES, _HOLE_WORD)


def only_notices_have_holes(item: Item, _: Whole) -> Iterator[Problem]:
    """Titles, guidance and tasks are shown as they are."""
    for where, text in _labels(item.scenario):
        for hole in sorted(text.holes()):
            yield item.wrong(where, f"{{{hole}}} 只能用在通知里", f"{{{hole}}} is filled only in notices")


def languages_are_not_swapped(item: Item, _: Whole) -> Iterator[Problem]:
    """Chinese stands under zh and English under en."""
    for where, text in (*_notices(item.scenario), *_labels(item.scenario)):
        if not _CHINESE.search(text.zh):
            yield item.wrong(f"{where}.zh", "zh 里没有汉字", "zh has no Chinese in it")
        if _CHINESE.search(text.en):
            yield item.wrong(f"{where}.en", "en 里有汉字", "en has Chinese in it")


def numbers_to_answer_have_a_meaning(item: Item, _: Whole) -> Iterator[Problem]:
    """What a notice tells people to reply is understood when they do."""
    meant = {f"response[{n}].text": set(step.replies) for n, step in enumerate(item.scenario.response)}
    for where, text in _notices(item.scenario):
        known = meant.get(where, set(ANSWERS))
        for digit in sorted((set(_NUMBER.findall(text.zh)) | set(_NUMBER.findall(text.en))) - known):
            yield item.wrong(
                where,
                f"文字里说回复 {digit}，replies 里没有写它表示什么",
                f"the text speaks of replying {digit}, and replies does not say what it means",
            )
