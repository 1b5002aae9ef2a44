"""The offline bundle as its tests use it: made once, unpacked, installed where nothing can be fetched."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import time
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from tools.bundle import build_bundle

PATIENCE = 240
UNREACHABLE = "http://127.0.0.1:9"
"""A proxy that is not there."""


def make_bundle(folder: Path) -> Path:
    """The archive of this checkout; skips aloud where its wheels can neither be found nor fetched."""
    try:
        return build_bundle(folder)
    except SystemExit as fault:
        if "pip" in str(fault):
            pytest.skip(f"the locked wheels cannot be fetched here: {fault}")
        raise


def unpack(archive: Path, folder: Path) -> Path:
    """The folder in the archive."""
    with tarfile.open(archive) as packed:
        packed.extraction_filter = getattr(tarfile, "data_filter", None)
        packed.extractall(folder)
    [root] = folder.iterdir()
    return root


def without_net() -> tuple[list[str], dict[str, str]]:
    """A prefix that takes the net away where that is allowed, and an environment that leads nowhere."""
    cut = shutil.which("unshare") and subprocess.run(
        ["unshare", "-n", "true"], check=False, capture_output=True
    )
    proxies = dict.fromkeys(
        ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"), UNREACHABLE
    )
    kept = {n: v for n, v in os.environ.items() if not n.startswith(("PIP_", "PYTHON", "UV_", "VIRTUAL"))}
    path = os.pathsep.join(["/usr/sbin", str(Path(sys.base_prefix) / "bin"), os.environ["PATH"]])
    environ = kept | proxies | {"HEXI_LANG": "en", "PIP_INDEX_URL": f"{UNREACHABLE}/simple", "PATH": path}
    return (["unshare", "-n"] if cut and cut.returncode == 0 else []), environ


def start_install(root: Path, *told: object, path: Path | None = None) -> subprocess.Popen[str]:
    """install.sh of an unpacked bundle, in a process group of its own; ``path``: programs to prefer."""
    prefix, environ = without_net()
    if path:
        environ["PATH"] = f"{path}{os.pathsep}{environ['PATH']}"
    return subprocess.Popen(
        [*prefix, str(root / "install.sh"), *map(str, told), "--python", sys.executable],
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def install(root: Path, *told: object, path: Path | None = None) -> tuple[int, str]:
    """The exit code of install.sh, and what it said."""
    process = start_install(root, *told, path=path)
    said, _ = process.communicate(timeout=PATIENCE)
    return process.returncode, said


def kill(process: subprocess.Popen[str]) -> None:
    """As a power cut would: the whole group at once."""
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=PATIENCE)


def wait_for(condition, process=None, patience=PATIENCE):
    """Until something holds; a process that ends meanwhile is a failure."""
    end = time.monotonic() + patience
    while not (found := condition()):
        assert process is None or process.poll() is None, process.communicate()[0]
        assert time.monotonic() < end, "it never came"
        time.sleep(0.02)
    return found


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as one:
        return int(one.getsockname()[1])


@contextmanager
def serving(hexi: Path, config: Path, port: int, told: dict[str, str]):
    """A running ``hexi serve`` of some version and a client of it; stopped in peace afterwards."""
    environ = {n: v for n, v in os.environ.items() if not n.startswith("PYTHON")} | {"HEXI_LANG": "en"} | told
    process = subprocess.Popen(
        [str(hexi), "--config", str(config), "serve"],
        cwd="/",
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    client = httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=30)
    try:
        wait_for(lambda: _ready(client), process)
        yield client
    finally:
        client.close()
        process.terminate()
        said, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, said


def _ready(client: httpx.Client) -> bool:
    try:
        return client.get("/readyz").status_code == 200
    except httpx.TransportError:
        return False


def assets_of(page: str) -> set[str]:
    """What a page asks the browser to load."""
    return set(re.findall(r'(?:src|href)="(/static/[^"]+)"', page))
