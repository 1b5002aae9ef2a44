"""Reads packs from their folders. A broken file is left out and named; the rest works."""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Callable, Sequence
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from hexi.adapters.packs.folder import (
    MANIFEST,
    catalogue_files,
    discover,
    record_files,
    stamp,
)
from hexi.adapters.packs.problem import Problem, broken_toml, problem_at, wrong_form
from hexi.kernel.catalogue import Catalogue, KindInfo, Pack
from hexi.kernel.condition import Condition
from hexi.kernel.indicator import Indicator
from hexi.kernel.record import RecordKind
from hexi.kernel.scenario import IndicatorRule, Scenario, parse_scenario
from hexi.kernel.text import Text
from hexi.pack import mark_of

__all__ = ["Loaded", "Manifest", "Source", "load_packs", "reload", "stamp"]


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``pack.toml``."""

    id: str
    title: Text
    owner: str = ""
    needs: tuple[str, ...] = ()
    kinds: dict[str, KindInfo] = {}
    indicator: tuple[IndicatorRule, ...] = ()


class Source(msgspec.Struct, kw_only=True):
    """A pack's folder as it was read: which file gave what."""

    folder: Path
    manifest: Manifest
    scenarios: dict[Path, Scenario] = {}
    records: dict[Path, RecordKind] = {}
    functions: dict[str, Callable[..., Any]] = {}
    day: dict[str, Any] = {}

    @property
    def manifest_file(self) -> Path:
        """Where ``pack.toml`` is."""
        return self.folder / MANIFEST

    @property
    def day_file(self) -> Path:
        """Where ``day.toml`` is, or would be."""
        return self.folder / "day.toml"


class Loaded(msgspec.Struct, kw_only=True):
    """Every pack that could be read, and what is wrong with the rest."""

    packs: list[Pack]
    problems: list[Problem]
    sources: list[Source]

    def catalogue(self) -> Catalogue:
        """The packs made ready to ask."""
        return Catalogue(self.packs)


def load_packs(folders: Sequence[Path] = ()) -> Loaded:
    """Read every pack that ``discover`` finds; nothing in a file can make this fail."""
    return reload(None, folders)


def reload(previous: Loaded | None, folders: Sequence[Path] = ()) -> Loaded:
    """Read again; what a file gave before stays in force while the file is broken."""
    known = {source.folder: source for source in previous.sources} if previous else {}
    reader = _Reader()
    for folder in discover(folders):
        reader.read(folder, known.get(folder))
    sources = list(reader.sources.values())
    titles = _common_titles(sources)
    packs = [_pack(source, titles) for source in sources]
    return Loaded(packs=packs, problems=sorted(reader.problems), sources=sources)


_Read = TypeVar("_Read")


class _Reader:
    """One pass over all folders."""

    def __init__(self) -> None:
        self.sources: dict[str, Source] = {}
        self.problems: list[Problem] = []
        self._scenarios: dict[str, Path] = {}

    def read(self, folder: Path, before: Source | None) -> None:
        """One pack; a broken ``pack.toml`` leaves the pack as it was before, or out."""
        manifest = self._manifest(folder / MANIFEST) or (before.manifest if before else None)
        if manifest is None or not self._is_first(folder, manifest):
            return
        before = before or Source(folder=folder, manifest=manifest)
        self.sources[manifest.id] = Source(
            folder=folder,
            manifest=manifest,
            scenarios=self._each(catalogue_files(folder), self._scenario, before.scenarios),
            records=self._each(record_files(folder), self._record, before.records),
            functions=self._functions(folder / "rules.py", before.functions),
            day=self._day(folder / "day.toml"),
        )

    def _is_first(self, folder: Path, manifest: Manifest) -> bool:
        other = self.sources.get(manifest.id)
        if other:
            message = Text(
                zh=f"包 {manifest.id} 已在 {other.folder}，此处不用",
                en=f"the pack {manifest.id} is already in {other.folder}; this one is left out",
            )
            self._wrong(folder / MANIFEST, "id", message)
        return other is None

    def _each(
        self, files: list[Path], read: Callable[[Path], _Read | None], before: dict[Path, _Read]
    ) -> dict[Path, _Read]:
        found = ((file, read(file) or before.get(file)) for file in files)
        return {file: item for file, item in found if item is not None}

    def _table(self, file: Path) -> tuple[dict[str, Any], str] | None:
        try:
            text = file.read_text("utf-8")
            return tomllib.loads(text), text
        except (OSError, ValueError, RecursionError) as error:
            self.problems.append(broken_toml(file, error))
            return None

    def _manifest(self, file: Path) -> Manifest | None:
        read = self._table(file)
        if read is None:
            return None
        try:
            manifest = msgspec.convert(read[0], Manifest)
        except msgspec.ValidationError as error:
            self.problems.append(wrong_form(file, error, Manifest, read[1]))
            return None
        good = [rule for rule in manifest.indicator if self._counts(file, rule)]
        return msgspec.structs.replace(manifest, indicator=tuple(good))

    def _scenario(self, file: Path) -> Scenario | None:
        read = self._table(file)
        if read is None:
            return None
        try:
            scenario = parse_scenario(read[0])
        except ValueError as error:
            self.problems.append(wrong_form(file, error, Scenario, read[1]))
            return None
        if not self._is_new(file, scenario.id) or not self._when_compiles(file, scenario):
            return None
        good = tuple(rule for rule in scenario.indicator if self._counts(file, rule))
        return msgspec.structs.replace(scenario, indicator=good)

    def _is_new(self, file: Path, identity: str) -> bool:
        first = self._scenarios.setdefault(identity, file)
        if first != file:
            message = Text(
                zh=f"{identity} 已写在 {first}，此处不用",
                en=f"{identity} is already written in {first}; this one is left out",
            )
            self._wrong(file, "id", message)
        return first == file

    def _when_compiles(self, file: Path, scenario: Scenario) -> bool:
        when = scenario.signal.when
        return when is None or self._compiles(file, "signal.when", when)

    def _counts(self, file: Path, rule: IndicatorRule) -> bool:
        return rule.where is None or self._compiles(file, "indicator.where", rule.where)

    def _compiles(self, file: Path, where: str, text: str) -> bool:
        try:
            Condition(text)
        except ValueError as error:
            reason = str(error).split("| ", 1)[0].strip()
            self._wrong(file, where, Text(zh=f"条件写错：{reason}", en=reason))
            return False
        return True

    def _record(self, file: Path) -> RecordKind | None:
        read = self._table(file)
        if read is None:
            return None
        try:
            return msgspec.convert(read[0], RecordKind)
        except msgspec.ValidationError as error:
            self.problems.append(wrong_form(file, error, RecordKind, read[1]))
            return None

    def _functions(self, file: Path, before: dict[str, Callable[..., Any]]) -> dict[str, Callable[..., Any]]:
        if not file.exists():
            return {}
        try:
            return _marked_functions(file)
        except (Exception, SystemExit) as error:  # noqa: BLE001 -- a pack's code may fail in any way
            message = Text(zh=f"规则文件出错：{error!r}", en=f"the rules cannot be imported: {error!r}")
            self._wrong(file, "", message)
            return before

    def _day(self, file: Path) -> dict[str, Any]:
        read = self._table(file) if file.exists() else None
        return read[0] if read else {}

    def _wrong(self, file: Path, where: str, message: Text) -> None:
        self.problems.append(problem_at(file, where, message))


def _marked_functions(file: Path) -> dict[str, Callable[..., Any]]:
    """Import by path; every read makes a fresh module, so that an edited file counts."""
    name = f"hexi_rules_{file.parent.name}"
    spec = spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise ImportError(f"cannot import {file}")
    module = module_from_spec(spec)
    sys.modules[name] = module
    try:
        exec(compile(file.read_bytes(), file, "exec"), module.__dict__)  # noqa: S102 -- a pack's own code
    except BaseException:
        del sys.modules[name]
        raise
    return {name: function for name, function in vars(module).items() if mark_of(function)}


def _pack(source: Source, titles: dict[str, Text]) -> Pack:
    manifest = source.manifest
    return Pack(
        id=manifest.id,
        title=manifest.title,
        owner=manifest.owner,
        needs=manifest.needs,
        kinds=manifest.kinds,
        records=tuple(source.records.values()),
        scenarios=tuple(source.scenarios.values()),
        indicators=tuple(_indicators(source, titles)),
        predicates={n: f for n, f in source.functions.items() if mark_of(f) == "predicate"},
        recipients={n: f for n, f in source.functions.items() if mark_of(f) == "recipient"},
    )


def _indicators(source: Source, titles: dict[str, Text]) -> list[Indicator]:
    pack = source.manifest.id
    own = [_indicator(pack, (f"{pack}.*",), rule, titles) for rule in source.manifest.indicator]
    for scenario in source.scenarios.values():
        rules = scenario.indicator
        named = [_indicator(scenario.id, (scenario.id,), rule, titles) for rule in rules]
        own += [_of_scenario(indicator, scenario) for indicator in named]
    return own


def _indicator(owner: str, over: tuple[str, ...], rule: IndicatorRule, titles: dict[str, Text]) -> Indicator:
    """``over = ["*"]`` counts every case of the district; left out, those of the owner."""
    scenarios = rule.over or over
    return Indicator(
        id=f"{owner}.{rule.id}",
        title=rule.title or titles.get(rule.id) or Text(zh=rule.id, en=rule.id),
        rule=rule,
        scenarios=() if "*" in scenarios else scenarios,
    )


def _of_scenario(indicator: Indicator, scenario: Scenario) -> Indicator:
    zh, en = (f"{scenario.title.get(lang)}: {indicator.title.get(lang)}" for lang in ("zh", "en"))
    return msgspec.structs.replace(indicator, title=Text(zh=zh.replace(": ", "：", 1), en=en))


def _common_titles(sources: list[Source]) -> dict[str, Text]:
    """Titles of the core's indicators, for those of the same name elsewhere."""
    core = next((source for source in sources if source.manifest.id == "core"), None)
    return {rule.id: rule.title for rule in core.manifest.indicator if rule.title} if core else {}
