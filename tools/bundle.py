"""Make the wheel, and the offline bundle: one archive that installs hexi on a machine without the net.

``python tools/bundle.py --out dist`` writes ``hexi-<version>-<python>-<platform>.tar.gz``: the wheel with
its browser libraries, every wheel that uv.lock names for this Python and platform (all extras), ``deploy/``,
the documentation, ``install.sh`` and SHA256SUMS over all of it. ``--wheel`` stops after hexi's own wheel.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

from hexi import __version__

ROOT = Path(__file__).resolve().parents[1]
CACHE = ROOT / ".tools" / "wheels"
"""Wheels that were fetched before; what is here and right by its hash is not fetched again."""

LOCKED = (
    *("export", "--frozen", "--quiet", "--no-header", "--no-annotate", "--no-emit-project"),
    *("--no-default-groups", "--all-extras", "--group", "bundle", "--format", "requirements-txt"),
)
MADE = ("web/static/vendor/*.js", "web/locale/*/LC_MESSAGES/*.mo")
"""What lies in the wheel and not in the repository."""

CARRIED = ("deploy", "docs", "README.md", "README.zh-CN.md", "CHANGELOG.md", "LICENSE")


def tag() -> str:
    """The Python and the platform that the wheels are for."""
    major, minor = sys.version_info[:2]
    return f"cp{major}{minor}-{sysconfig.get_platform().replace('-', '_')}"


def build_wheel(out: Path, root: Path = ROOT) -> Path:
    """The wheel of a checkout, by the build system that pyproject.toml names."""
    missing = [name for name in MADE if not any((root / "src/hexi").glob(name))]
    if missing:
        sys.exit(f"not made yet: {', '.join(missing)}; run: make assets")
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.resolve(), prefix=".wheel-") as folder:
        _run(
            [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder],
            root,
        )
        [made] = Path(folder).glob("hexi-*.whl")
        return made.replace(out / made.name)


def build_bundle(out: Path, cache: Path = CACHE) -> Path:
    """The whole archive; it appears under its name only when it is whole."""
    name = f"hexi-{__version__}-{tag()}"
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out, prefix=".bundle-") as folder:
        root = Path(folder) / name
        fill(root, cache)
        draft = Path(folder) / "draft"
        _pack(root, draft)
        return draft.replace(out / f"{name}.tar.gz")


def fill(root: Path, cache: Path) -> None:
    """Everything that the archive holds, in a folder."""
    wheels = root / "wheels"
    wheels.mkdir(parents=True)
    requirements = root / "requirements.txt"
    requirements.write_text(_run([_uv(), *LOCKED], ROOT), encoding="utf-8")
    _collect(requirements, wheels, cache)
    build_wheel(wheels)
    for part in CARRIED:
        _copy(ROOT / part, root / part)
    (root / "deploy" / "install.sh").rename(root / "install.sh")
    (root / "MANIFEST").write_text(f"version={__version__}\ntag={tag()}\n", encoding="utf-8")
    (root / "SHA256SUMS").write_text("".join(_sums(root)), encoding="utf-8")


def _uv() -> str:
    """The one on the path, else the one that the Makefile puts into .tools."""
    return shutil.which("uv") or str(ROOT / ".tools" / "bin" / "uv")


def _collect(requirements: Path, wheels: Path, cache: Path) -> None:
    """The locked wheels: from the cache when all of them are there, else from the index."""
    cache.mkdir(parents=True, exist_ok=True)
    download = (
        *(sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"),
        *("--only-binary=:all:", "--require-hashes", "-r", str(requirements), "-d", str(wheels)),
        *("--find-links", str(cache)),
    )
    if _does([*download, "--no-index"]):
        return
    _run(list(download))
    for wheel in wheels.glob("*.whl"):
        draft = cache / f".{os.getpid()}-{wheel.name}"
        shutil.copy2(wheel, draft)
        draft.replace(cache / wheel.name)


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copy2(source, target)


def _sums(root: Path) -> Iterator[str]:
    """What ``sha256sum --check`` reads."""
    for path in sorted(p for p in root.rglob("*") if p.is_file()):
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        yield f"{digest}  {path.relative_to(root)}\n"


def _pack(root: Path, target: Path) -> None:
    """The same folder gives the same bytes: no owner, no time of packing."""
    made = int(os.environ.get("SOURCE_DATE_EPOCH", "0"))

    def plain(entry: tarfile.TarInfo) -> tarfile.TarInfo:
        entry.uid = entry.gid = 0
        entry.uname = entry.gname = ""
        entry.mtime = made
        entry.mode = 0o755 if entry.isdir() or entry.mode & 0o100 else 0o644
        return entry

    with (
        target.open("wb") as raw,
        gzip.GzipFile("", "wb", 1, raw, made) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for path in (root, *sorted(root.rglob("*"))):
            archive.add(path, str(path.relative_to(root.parent)), recursive=False, filter=plain)


def _run(command: list[str], cwd: Path | None = None) -> str:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        sys.exit(f"{' '.join(command[:4])} ... failed:\n{done.stderr[-2_000:]}")
    return done.stdout


def _does(command: list[str]) -> bool:
    quiet = subprocess.DEVNULL
    return subprocess.run(command, stdout=quiet, stderr=quiet, check=False).returncode == 0  # noqa: S603


def main() -> None:
    """Make what is asked for and say where it is."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--out", type=Path, default=ROOT / "dist")
    parser.add_argument("--wheel", action="store_true", help="hexi's own wheel alone")
    told = parser.parse_args()
    made = build_wheel(told.out) if told.wheel else build_bundle(told.out)
    sys.stdout.write(f"{made} ({made.stat().st_size / 1e6:.1f} MB)\n")


if __name__ == "__main__":
    main()
