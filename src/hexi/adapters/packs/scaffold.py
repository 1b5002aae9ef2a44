"""New packs and scenarios: complete, valid files to start from."""

from __future__ import annotations

import re
from pathlib import Path
from string import Template

from hexi.adapters.packs.table import BEGIN, END

_TEMPLATES = Path(__file__).parent / "templates"
_NAME = re.compile(r"[a-z][a-z0-9_]*")


class ScaffoldError(ValueError):
    """The scaffold cannot be made; the message says why, ``zh`` says it in Chinese."""

    def __init__(self, zh: str, en: str) -> None:
        super().__init__(en)
        self.zh = zh


def new_pack(pack: str, within: Path) -> list[Path]:
    """A pack's folder with its manifest, day and README; ScaffoldError when it is there already."""
    _check_name(pack)
    folder = within / pack
    words = {"pack": pack, "begin": BEGIN, "end": END}
    files = {
        folder / "pack.toml": _filled("pack.toml", words),
        folder / "day.toml": _filled("day.toml", words),
        folder / "README.md": _filled("README.md", words),
    }
    if folder.exists():
        raise ScaffoldError(f"{folder} 已存在，不覆盖", f"{folder} is there already and is not overwritten")
    (folder / "catalogue").mkdir(parents=True)
    for file, content in files.items():
        file.write_text(content, "utf-8")
    return list(files)


def new_scenario(identity: str, within: Path) -> list[Path]:
    """A scenario's file, with its kind in the pack and its event in the day.

    The pack is made when ``within`` has none of that name. ScaffoldError when the file is there.
    """
    pack, _, name = identity.partition(".")
    _check_name(pack)
    _check_name(name)
    folder = within / pack
    file = folder / "catalogue" / f"{name}.toml"
    if file.exists():
        raise ScaffoldError(f"{file} 已存在，不覆盖", f"{file} is there already and is not overwritten")
    made = [] if (folder / "pack.toml").exists() else new_pack(pack, within)
    words = {"pack": pack, "name": name, "kind": f"{pack}.{name}"}
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(_filled("scenario.toml", words), "utf-8")
    _declare_kind(folder / "pack.toml", words)
    _append(folder / "day.toml", _filled("day.toml", words), _filled("event.toml", words))
    return list(dict.fromkeys([*made, file, folder / "pack.toml", folder / "day.toml"]))


def _filled(template: str, words: dict[str, str]) -> str:
    return Template((_TEMPLATES / template).read_text("utf-8")).substitute(words)


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise ScaffoldError(
            f"名字“{name}”不行：场景写成 包.场景，只用小写字母、数字和下划线",
            f"{name!r} is no name: write pack.scenario in small letters, digits and underscores",
        )


def _declare_kind(manifest: Path, words: dict[str, str]) -> None:
    """The kind is put before the first indicator, so that tables of one sort stay together."""
    text = manifest.read_text("utf-8")
    if f'[kinds."{words["kind"]}"]' in text:
        return
    before, mark, after = text.partition("\n[[indicator]]")
    manifest.write_text(before + _filled("kind.toml", words) + mark + after, "utf-8")


def _append(file: Path, beginning: str, more: str) -> None:
    known = file.read_text("utf-8") if file.exists() else beginning
    file.write_text(known + more, "utf-8")
