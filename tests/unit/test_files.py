"""Evidence files: named by what they contain, checked when they are read. And the system's clock."""

from __future__ import annotations

import time
from hashlib import sha256
from pathlib import Path

import pytest

from hexi.adapters.clock import SystemClock
from hexi.adapters.files import DamagedFileError, FileStore


def test_a_file_comes_back_with_its_type(tmp_path: Path) -> None:
    files = FileStore(tmp_path / "evidence")
    digest = files.put(b"\xff\xd8photo", "image/jpeg")
    assert digest == sha256(b"\xff\xd8photo").hexdigest()
    assert FileStore(tmp_path / "evidence").get(digest) == (b"\xff\xd8photo", "image/jpeg")


def test_the_same_content_is_kept_once(tmp_path: Path) -> None:
    files = FileStore(tmp_path)
    assert files.put(b"a", "text/plain") == files.put(b"a", "text/plain")
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == 2


@pytest.mark.parametrize("digest", ["0" * 64, "../../etc/passwd", "", "ABC", "0" * 63 + "/"])
def test_what_is_not_there(tmp_path: Path, digest: str) -> None:
    with pytest.raises(KeyError):
        FileStore(tmp_path).get(digest)


def test_a_changed_file_is_noticed_and_can_be_put_again(tmp_path: Path) -> None:
    files = FileStore(tmp_path)
    digest = files.put(b"photo", "image/jpeg")
    (tmp_path / digest[:2] / digest).write_bytes(b"other")
    with pytest.raises(DamagedFileError):
        files.get(digest)
    files.put(b"photo", "image/jpeg")
    assert files.get(digest)[0] == b"photo"


def test_a_folder_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    files = FileStore(tmp_path)
    digest = sha256(b"photo").hexdigest()
    (tmp_path / digest[:2]).write_text("a file where the folder should be")
    with pytest.raises(OSError, match=digest[:2]):
        files.put(b"photo", "image/jpeg")
    assert [path.name for path in tmp_path.iterdir()] == [digest[:2]]


class _Wall:
    """The two clocks of the machine, moved by hand."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.wall, self.monotonic = 1_780_000_000_000_000_000, 5_000_000_000
        monkeypatch.setattr(time, "time_ns", lambda: self.wall)
        monkeypatch.setattr(time, "monotonic_ns", lambda: self.monotonic)

    def pass_ms(self, length: int, *, step: int = 0) -> None:
        self.monotonic += length * 1_000_000
        self.wall += (length + step) * 1_000_000


@pytest.mark.parametrize("step", [3_600_000, -3_600_000])
def test_a_step_of_the_wall_clock_does_not_move_ours(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    wall = _Wall(monkeypatch)
    clock = SystemClock()
    before = clock.now()
    wall.pass_ms(20)
    assert (clock.now() - before, clock.step()) == (20, 0)
    wall.pass_ms(5, step=step)
    assert (clock.now() - before, clock.step()) == (25, step)


def test_following_only_goes_forward(monkeypatch: pytest.MonkeyPatch) -> None:
    wall = _Wall(monkeypatch)
    clock = SystemClock()
    before = clock.now()
    wall.pass_ms(0, step=-60_000)
    clock.follow()
    assert (clock.now(), clock.step()) == (before, -60_000)
    wall.pass_ms(0, step=120_000)
    clock.follow()
    assert (clock.now(), clock.step()) == (before + 60_000, 0)
