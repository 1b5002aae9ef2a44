"""The example for nginx: a real nginx with it carries people and devices, and lets nobody see numbers."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from tests.peers.bundling import free_port, wait_for

EXAMPLE = Path(__file__).resolve().parents[2] / "deploy" / "nginx" / "hexi.conf"
PATIENCE = 90
EVENT = {"specversion": "1.0", "id": "1", "source": "gateway/1", "type": "radar.status", "data": {}}


def answers(url):
    try:
        return httpx.get(url, verify=False, trust_env=False, timeout=5).status_code == 200
    except httpx.TransportError:
        return False


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("nginx")


@pytest.fixture(scope="module")
def hexi(folder):
    """A platform behind a proxy that speaks TLS; its port and a token for devices."""
    port = free_port()
    told = os.environ | {
        "HEXI_DATA_DIR": str(folder / "data"),
        "HEXI_LISTEN__PORT": str(port),
        "HEXI_TLS_PROXY": "true",
        "HEXI_BASE_URL": "https://hexi.example.org",
        "HEXI_LANG": "en",
    }
    command = [sys.executable, "-m", "hexi"]
    made = subprocess.run(
        [*command, "token", "add", "gateway", "--source", "gateway/*"], cwd=folder, env=told,
        capture_output=True, text=True, check=True, timeout=PATIENCE,
    )  # fmt: skip
    quiet = subprocess.DEVNULL
    process = subprocess.Popen([*command, "serve"], cwd=folder, env=told, stdout=quiet, stderr=quiet)
    try:
        wait_for(lambda: answers(f"http://127.0.0.1:{port}/readyz"), process, PATIENCE)
        yield port, made.stdout.split()[-1]
    finally:
        process.terminate()
        process.wait(PATIENCE)


def certificate(folder):
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=hexi",
         "-keyout", folder / "hexi.key", "-out", folder / "hexi.pem"],
        check=True, capture_output=True, timeout=PATIENCE,
    )  # fmt: skip


def configuration(folder, listen, port):
    """The example on a free port; before each of its processes stands one that is not there."""
    told = EXAMPLE.read_text().replace("/etc/ssl", str(folder)).replace("listen [::]:443 ssl;", "")
    told = told.replace("listen 443", f"listen 127.0.0.1:{listen}")
    both = f"server 127.0.0.1:{free_port()};\n  server 127.0.0.1:{port};"
    told = told.replace("server 127.0.0.1:8700;", both)
    temporary = "".join(
        f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    frame = f"events {{}}\npid {folder}/pid;\nerror_log {folder}/error.log;\ndaemon off;\nhttp {{"
    return f"{frame}\naccess_log off;\n{temporary}\n{told}\n}}\n"


@pytest.fixture(scope="module")
def front(hexi, folder):
    """nginx before the platform."""
    program = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None or shutil.which("openssl") is None:
        pytest.skip("nginx or openssl is not installed")
    certificate(folder)
    listen = free_port()
    (folder / "nginx.conf").write_text(configuration(folder, listen, hexi[0]))
    process = subprocess.Popen(
        [program, "-p", folder, "-c", folder / "nginx.conf", "-e", folder / "error.log"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    address = f"https://127.0.0.1:{listen}"
    try:
        wait_for(lambda: answers(f"{address}/login"), process, PATIENCE)
        with httpx.Client(base_url=address, verify=False, trust_env=False, timeout=30) as client:
            yield client
    finally:
        process.terminate()
        process.wait(PATIENCE)


def test_a_signal_goes_through_also_past_a_process_that_does_not_answer(front, hexi):
    told = {"authorization": f"Bearer {hexi[1]}", "content-type": "application/cloudevents+json"}
    for number in range(4):
        answer = front.post("/api/v1/signals", json=EVENT | {"id": str(number)}, headers=told)
        assert answer.status_code == 202
        assert answer.json()["results"][0]["status"] == "accepted"


def test_cookies_are_for_tls_alone_since_the_proxy_says_that_it_speaks_it(front):
    cookies = front.get("/login").headers.get_list("set-cookie")
    assert cookies
    assert all("secure" in cookie.lower() for cookie in cookies)


def test_numbers_about_the_platform_stay_on_its_own_machine(front):
    assert front.get("/metrics").status_code == 403
