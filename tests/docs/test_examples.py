"""Every command, settings file and program in the documentation works as it stands."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import msgspec
import pytest
from tests.docs.pages import ROOT, SHELL, Block, blocks, pages

from hexi.adapters.packs.load import Manifest
from hexi.kernel.record import RecordKind
from hexi.kernel.scenario import parse_scenario
from hexi.settings import Settings, load_settings
from hexi.spine.drill_plan import parse_plan

PATIENCE = 120
LIVE = re.compile(r"(127\.0\.0\.1|localhost):8700")


class Stage:
    """A folder in which the blocks of one page run one after the other."""

    def __init__(self, page: Path, folder: Path) -> None:
        self.page, self.folder = page, folder
        self.port = _free_port()
        self.running: list[subprocess.Popen[str]] = []
        home = folder / "home"
        home.mkdir()
        self.work = folder / "work"
        self.work.mkdir()
        language = "zh" if ".zh" in page.name else "en"
        self.environ = {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(home),
            "LANG": "C.UTF-8",
            "HEXI_LANG": language,
            "NO_COLOR": "1",
            "COLUMNS": "200",
            "TMPDIR": str(folder),
        }

    def play(self, block: Block) -> None:
        """Do what a block shows."""
        name = block.mark("file")
        if name:
            path = self.work / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(self._live(block.body), encoding="utf-8")
        if block.language in SHELL:
            self._run(block)
        elif block.language == "python" and not name:
            self._check(block, self._call([sys.executable, "-c", block.body]))

    def _live(self, text: str) -> str:
        return LIVE.sub(rf"\1:{self.port}", text)

    def _run(self, block: Block) -> None:
        script = self._live(block.commands).replace("--port 8700", f"--port {self.port}")
        awaited = block.mark("background")
        if awaited is not None:
            self._start(block, script, awaited)
        else:
            self._check(block, self._call(["bash", "-eu", "-o", "pipefail", "-c", script]))

    def _call(self, command: list[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            cwd=self.work,
            env=self.environ,
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=PATIENCE,
            check=False,
        )

    def _check(self, block: Block, done: subprocess.CompletedProcess[str]) -> None:
        failed = done.returncode != 0
        assert failed == ("fails" in block.marks), (
            f"{block.where}: exit code {done.returncode}\n{done.stdout}"
        )
        for text in block.marks.get("expect", []):
            assert self._live(text) in done.stdout, f"{block.where}: expected {text!r} in\n{done.stdout}"

    def _start(self, block: Block, script: str, awaited: str) -> None:
        environ = self.environ | {"HEXI_LISTEN__PORT": str(self.port)}
        if "hexi demo" in script and "--port" not in script:
            script = script.replace("hexi demo", f"hexi demo --port {self.port}")
        log = self.folder / f"background-{block.line}"
        with log.open("w") as out:
            process = subprocess.Popen(
                ["bash", "-c", f"exec {script.strip()}"],
                cwd=self.work,
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )
        self.running.append(process)
        _wait_for(
            lambda: self._live(awaited) in log.read_text(),
            process,
            lambda: f"{block.where}\n{log.read_text()}",
        )

    def close(self) -> None:
        """Stop what still runs."""
        for process in self.running:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
        for process in self.running:
            process.wait(30)


def _wait_for(ready, process, explain):
    end = time.monotonic() + PATIENCE
    while not ready():
        assert process.poll() is None, explain()
        assert time.monotonic() < end, explain()
        time.sleep(0.1)


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def shown(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", pages(), ids=shown)
def test_what_a_page_shows_works(page, tmp_path):
    stage = Stage(page, tmp_path)
    try:
        for block in blocks(page):
            if "not run" not in block.marks:
                stage.play(block)
    finally:
        stage.close()


DATA = [block for page in pages() for block in blocks(page) if block.language in {"toml", "json"}]


@pytest.mark.parametrize("block", DATA, ids=lambda block: block.where)
def test_a_block_of_data_is_what_it_says(block, tmp_path):
    if block.language == "json":
        json.loads(block.body)
        return
    table = tomllib.loads(block.body)
    _load(table, block.body, tmp_path)


SCENARIO = {
    "signal",
    "absence",
    "sequence",
    "ask",
    "case",
    "response",
    "indicator",
    "beats",
    "guidance",
    "summary",
}
LEAST = {
    "id": "docs.example",
    "title": {"zh": "例", "en": "Example"},
    "signal": {"kinds": ["x"]},
    "case": {"severity": "minor"},
}


def _load(table, text, folder):
    """Take a table for what its keys say it is, and check it as the program would."""
    if set(table) <= set(Settings.__struct_fields__):
        path = folder / "hexi.toml"
        path.write_text(text, encoding="utf-8")
        load_settings(path, {})
    elif {"event", "expect", "record", "day", "start", "at"} & set(table):
        return  # a day; hexi day plays those of the packs
    elif "cast" in table:
        parse_plan(table)
    elif "field" in table:
        msgspec.convert({"id": "x", "title": LEAST["title"]} | table, RecordKind)
    elif {"owner", "needs", "kinds"} & set(table):
        msgspec.convert({"id": "x", "title": LEAST["title"]} | table, Manifest)
    elif SCENARIO & set(table):
        case = LEAST["case"] | table.get("case", {})
        parse_scenario(LEAST | table | {"case": case})


def test_a_block_is_left_out_only_for_a_stated_reason():
    silent = [b.where for page in pages() for b in blocks(page) if b.mark("not run") == ""]
    assert silent == []


def _targets(text):
    """What a page links to beside the web."""
    prose = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    return re.findall(r"\]\((?!https?:|mailto:|#)([^)#\s]+)", prose)


def test_links_between_pages_lead_somewhere():
    broken = [
        f"{shown(page)} -> {target}"
        for page in pages()
        for target in _targets(page.read_text(encoding="utf-8"))
        if not (page.parent / target).exists()
    ]
    assert broken == []


def test_every_page_is_reached_from_the_index():
    reached, ahead = set(), [ROOT / "docs" / "README.md"]
    while ahead:
        page = ahead.pop().resolve()
        if page.suffix == ".md" and page not in reached:
            reached.add(page)
            ahead += [page.parent / target for target in _targets(page.read_text(encoding="utf-8"))]
    assert [shown(page) for page in pages() if "docs" in page.parts and page.resolve() not in reached] == []


def test_the_tools_of_the_pages_are_here():
    for tool in ("bash", "curl", "openssl"):
        assert shutil.which(tool), f"{tool} is used in the documentation"
