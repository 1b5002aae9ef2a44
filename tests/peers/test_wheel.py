"""The wheel alone is a whole installation: built, put into an environment of its own, and run from there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
import zipfile
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src" / "hexi"
VENDOR = "hexi/web/static/vendor"
FONTS = "hexi/adapters/report/fonts"
PATIENCE = 60

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel of this checkout, built by the build system that pyproject.toml names."""
    out = tmp_path_factory.mktemp("dist")
    run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", out], cwd=ROOT)
    [built] = out.glob("hexi-*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """The program of an environment with the wheel; its dependencies are those of this one."""
    home = tmp_path_factory.mktemp("venv")
    run([sys.executable, "-m", "venv", home])
    run([home / "bin" / "python", "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", wheel])
    [packages] = home.glob("lib/python*/site-packages")
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return home / "bin" / "hexi"


def run(command, **options):
    done = subprocess.run(
        list(map(str, command)), capture_output=True, text=True, timeout=PATIENCE, check=False, **options
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def environ():
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return kept | {"HEXI_LANG": "en"}


def test_everything_that_lies_in_the_source_is_in_the_wheel(wheel):
    files = {p.relative_to(SOURCE.parent).as_posix() for p in SOURCE.rglob("*") if p.is_file()}
    wanted = {name for name in files if "__pycache__" not in name}
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        assert wanted - names == set()
        info = next(name for name in names if name.endswith(".dist-info/METADATA")).rpartition("/")[0]
        assert "Apache License" in archive.read(f"{info}/licenses/LICENSE").decode()
        assert "Zero-Clause BSD" in archive.read(f"{VENDOR}/htmx.LICENSE.txt").decode()
        assert "MapLibre contributors" in archive.read(f"{VENDOR}/maplibre-gl.LICENSE.txt").decode()
        assert "SIL Open Font License" in archive.read(f"{FONTS}/OFL.txt").decode()
        assert {f"{FONTS}/regular.ttf", f"{FONTS}/bold.ttf"} <= set(archive.namelist())
        assert "hexi/packs/elder_care/drills/fall_at_night.toml" in archive.namelist()
    assert {f"{VENDOR}/htmx.js", f"{VENDOR}/maplibre-gl.mjs", f"{VENDOR}/maplibre-gl.css"} <= names
    for translation in SOURCE.rglob("*.po"):
        made = translation.with_suffix(".mo").relative_to(SOURCE.parent)
        assert made.as_posix() in names


def test_the_wheel_checks_its_packs_and_migrates(installed, tmp_path):
    python = installed.with_name("python")
    where = run([python, "-c", "import hexi; print(hexi.__file__)"], cwd=tmp_path, env=environ())
    assert where.startswith(str(installed.parents[1]))
    run([installed, "check"], cwd=tmp_path, env=environ())
    assert "stored 164" in run([installed, "import", "district"], cwd=tmp_path, env=environ())


@contextmanager
def demo(installed, folder):
    command = [str(installed), "demo", "--port", "0", "--elders", "50"]
    with subprocess.Popen(
        command, cwd=folder, env=environ(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        try:
            said = []
            for line in process.stdout:
                said.append(line)
                found = re.search(r"http://127\.0\.0\.1:\d+", line)
                if found:
                    break
            assert said, "the demo said nothing"
            assert found, "".join(said)
            yield found[0]
        finally:
            process.terminate()
            process.communicate(timeout=PATIENCE)


def test_the_demo_runs_from_the_wheel(installed, tmp_path):
    with demo(installed, tmp_path) as address:
        with urlopen(f"{address}/desk", timeout=PATIENCE) as page:
            text = page.read().decode()
        assert 'lang="zh' in text
        for name in ("htmx.js", "maplibre-gl.mjs", "htmx.LICENSE.txt"):
            with urlopen(f"{address}/static/vendor/{name}", timeout=PATIENCE) as file:
                assert file.read() == (SOURCE.parent / VENDOR / name).read_bytes()
