"""Where packs are found, and the files of one pack's folder."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path

BUILT_IN = Path(__file__).parents[2] / "packs"
"""The packs that come with hexi."""

VARIABLE = "HEXI_PACKS"
GROUP = "hexi.packs"
MANIFEST = "pack.toml"
IN_FORCE = "packs.in_force"
"""Under which name the running platform keeps the digest of what it works by."""


def discover(folders: Sequence[Path] = ()) -> list[Path]:
    """Every pack's folder once: built-in, given, named by HEXI_PACKS, installed as entry points.

    A path may be a pack or a folder of packs; one that is neither is returned as it is, so that
    reading it says what is wrong.
    """
    named = [Path(part) for part in os.environ.get(VARIABLE, "").split(os.pathsep) if part]
    roots = [BUILT_IN, *folders, *named, *_installed()]
    found = (pack.resolve() for root in roots for pack in _packs_in(root))
    return list(dict.fromkeys(found))


def _packs_in(root: Path) -> list[Path]:
    if (root / MANIFEST).exists() or not root.is_dir():
        return [root]
    return sorted(path.parent for path in root.glob(f"*/{MANIFEST}"))


def _installed() -> Iterator[Path]:
    """An entry point names a package; its folder is the pack."""
    for point in entry_points(group=GROUP):
        spec = find_spec(point.module)
        places = spec.submodule_search_locations if spec else None
        yield from (Path(place) for place in places or ())


def files_of(folder: Path) -> Iterator[Path]:
    """Every file that makes up a pack, in a steady order."""
    yield folder / MANIFEST
    yield from catalogue_files(folder)
    yield from record_files(folder)
    yield from (folder / name for name in ("rules.py", "day.toml"))


def catalogue_files(folder: Path) -> list[Path]:
    """The scenario files."""
    return _toml_in(folder / "catalogue")


def record_files(folder: Path) -> list[Path]:
    """The files of record kinds."""
    return _toml_in(folder / "records")


def _toml_in(folder: Path) -> list[Path]:
    """By plain listing: a glob of 250 files costs more than reading them."""
    if not folder.is_dir():
        return []
    return sorted(Path(entry.path) for entry in os.scandir(folder) if entry.name.endswith(".toml"))


def digest(folders: Sequence[Path] = ()) -> str:
    """What all files of all packs contain, in one word; the same on every machine."""
    whole = sha256()
    for folder in discover(folders):
        for file in files_of(folder):
            if file.is_file():
                whole.update(f"{folder.name}/{file.relative_to(folder)}\n".encode())
                whole.update(sha256(file.read_bytes()).digest())
    return whole.hexdigest()


def stamp(folders: Sequence[Path] = ()) -> int:
    """A number that changes when any file of any pack is changed, added or removed."""
    return hash(tuple(_stamps(discover(folders))))


def _stamps(packs: Iterable[Path]) -> Iterator[tuple[str, int, int]]:
    for folder in packs:
        for file in files_of(folder):
            try:
                status = file.stat()
            except OSError:
                continue
            yield str(file), status.st_mtime_ns, status.st_size
