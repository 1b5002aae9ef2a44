"""The offline bundle: what is in it, and what refuses it. Its installation: test_upgrade.py."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys

import pytest
from tests.peers.bundling import install, make_bundle, unpack

from hexi import __version__

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    return make_bundle(tmp_path_factory.mktemp("bundle"))


@pytest.fixture(scope="module")
def root(archive, tmp_path_factory):
    return unpack(archive, tmp_path_factory.mktemp("unpacked"))


def test_the_archive_says_what_it_is_for_and_every_file_has_its_sum(archive, root):
    major, minor = sys.version_info[:2]
    assert archive.name.startswith(f"hexi-{__version__}-cp{major}{minor}-linux_")
    sums = dict(line.split("  ")[::-1] for line in (root / "SHA256SUMS").read_text().splitlines())
    files = {str(p.relative_to(root)) for p in root.rglob("*") if p.is_file()} - {"SHA256SUMS"}
    assert set(sums) == files
    assert {
        "install.sh",
        "MANIFEST",
        "docs/how-to/upgrade.md",
        "deploy/systemd/hexi.service",
        "LICENSE",
    } <= files
    for name in sorted(files)[:40]:
        assert hashlib.sha256((root / name).read_bytes()).hexdigest() == sums[name]


def test_every_wheel_is_one_that_the_lock_names_by_its_hash(root):
    locked = set(re.findall(r"--hash=sha256:([0-9a-f]{64})", (root / "requirements.txt").read_text()))
    wheels = [p for p in (root / "wheels").glob("*.whl") if not p.name.startswith("hexi-")]
    assert {hashlib.sha256(p.read_bytes()).hexdigest() for p in wheels} <= locked
    names = {p.name.partition("-")[0].lower() for p in wheels}
    assert {"psycopg", "duckdb", "litestar", "pip"} <= names


def test_a_bundle_that_was_damaged_on_its_way_changes_nothing(root, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(root, copy)
    wheel = next((copy / "wheels").glob("litestar-*.whl"))
    content = bytearray(wheel.read_bytes())
    content[len(content) // 2] ^= 1
    wheel.write_bytes(content)
    code, said = install(copy, "--prefix", tmp_path / "opt")
    assert code == 1
    assert wheel.name in said
    assert "fetch the bundle again" in said
    assert not (tmp_path / "opt" / "current").exists()


def test_a_python_that_does_not_fit_is_refused(root, tmp_path):
    done = subprocess.run(
        [root / "install.sh", "--prefix", tmp_path / "opt", "--python", "/bin/false"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "no Python that fits" in done.stderr
