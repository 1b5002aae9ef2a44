"""Promises about names: of files, packs and scenarios."""

from __future__ import annotations

import re
from collections.abc import Iterator

from hexi.adapters.packs.check.item import Item, Whole
from hexi.adapters.packs.problem import Problem, problem_at
from hexi.kernel.text import LANGUAGES, Text

_ID = re.compile(r"[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*")


def file_is_named_after_id(item: Item, _: Whole) -> Iterator[Problem]:
    """``elder_care.fall_suspected`` stands in ``fall_suspected.toml``."""
    identity = item.scenario.id
    if not _ID.fullmatch(identity):
        yield item.wrong(
            "id",
            f"编号 {identity} 应写成 包.场景，只用小写字母、数字和下划线",
            f"the id {identity} should be pack.scenario, in small letters, digits and underscores",
        )
    elif item.file.stem != identity.partition(".")[2]:
        name = identity.partition(".")[2]
        yield item.wrong("id", f"文件名应为 {name}.toml", f"the file should be called {name}.toml")


def id_belongs_to_pack(item: Item, _: Whole) -> Iterator[Problem]:
    """The part before the dot is the pack whose folder the file lies in."""
    pack = item.source.manifest.id
    if item.scenario.pack != pack:
        yield item.wrong("id", f"编号应以 {pack}. 开头", f"the id should begin with {pack}.")


def folder_is_named_after_pack(whole: Whole) -> Iterator[Problem]:
    """A pack's folder carries its id."""
    for source in whole.sources:
        if source.folder.name != source.manifest.id:
            name = source.folder.name
            message = Text(
                zh=f"包的编号 {source.manifest.id} 与文件夹 {name} 不同",
                en=f"the pack's id {source.manifest.id} differs from its folder {name}",
            )
            yield problem_at(source.manifest_file, "id", message)


def titles_differ(whole: Whole) -> Iterator[Problem]:
    """Two scenarios with one title cannot be told apart on a screen."""
    for language in LANGUAGES:
        first: dict[str, Item] = {}
        for item in whole.items:
            title = item.scenario.title.get(language)
            other = first.setdefault(title, item)
            if other is not item:
                yield item.wrong(
                    f"title.{language}",
                    f"与 {other.scenario.id} 同名：{title}",
                    f"the same title as {other.scenario.id}: {title}",
                )
