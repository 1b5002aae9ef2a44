"""The installer's own parts, without a bundle: what it reads beside the settings."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

INSTALLER = Path(__file__).parents[2] / "deploy" / "install.sh"
PARTS = "sed -n '/^die()/,/^}/p; /^environment()/,/^}/p'"
"""The functions at hand, as they stand in the installer."""

SAID = """\
# as systemd reads it
HEXI_PLAIN=two words; touch ran
HEXI_QUOTED="x = $HOME"
HEXI_RUN='$(touch ran)'
1WRONG=3
no assignment
HEXI_LAST=end"""


def read(folder: Path) -> subprocess.CompletedProcess[str]:
    script = f'set -eu; config={folder}/hexi.toml; eval "$({PARTS} {INSTALLER})"; environment; env'
    shell = shutil.which("sh") or "/bin/sh"
    return subprocess.run([shell, "-c", script], cwd=folder, capture_output=True, text=True, check=False)


def test_the_environment_is_read_and_never_run(tmp_path: Path) -> None:
    (tmp_path / "environment").write_text(SAID)
    told = dict(line.split("=", 1) for line in read(tmp_path).stdout.splitlines() if line.startswith("HEXI_"))
    assert told["HEXI_PLAIN"] == "two words; touch ran"
    assert told["HEXI_QUOTED"] == "x = $HOME"
    assert told["HEXI_RUN"] == "$(touch ran)"
    assert told["HEXI_LAST"] == "end"
    assert not (tmp_path / "ran").exists()


def test_there_need_not_be_one(tmp_path: Path) -> None:
    assert read(tmp_path).returncode == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_one_that_belongs_to_another_is_not_believed(tmp_path: Path) -> None:
    file = tmp_path / "environment"
    file.write_text("HEXI_A=1")
    os.chown(file, 65_534, -1)
    found = read(tmp_path)
    assert (found.returncode, "does not belong" in found.stderr) == (1, True)
