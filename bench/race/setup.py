"""``python -m bench.race.setup``: install the other contestants by npm, pip and apt, versions pinned.

Everything but Debian's packages goes below ``$XDG_CACHE_HOME/hexi-race``; what is there is left alone.
What cannot be installed is said, and the race goes without it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable

from bench.race import home_assistant, node_red, zabbix
from bench.race.contestant import CACHE

DEBIAN = {
    "mosquitto": "mosquitto",
    "prometheus-alertmanager": "prometheus-alertmanager",
    "zabbix-server-pgsql": "zabbix_server",
    "php-cli": "php",
    "postgresql-client": "psql",
}
"""Packages, and the program by which each is seen to be there."""

PHP = ("php-pgsql", "php-xml", "php-mbstring", "php-bcmath", "php-gd")
"""What Zabbix's front end asks of PHP."""

_HOME_ASSISTANT = (
    f"homeassistant=={home_assistant.VERSION}",
    "josepy<2",
    "aiohttp_cors",
    "janus",
    "pillow",
    "psutil-home-assistant",
    "home-assistant-frontend",
    "home-assistant-intents",
    "hassil",
    "mutagen",
    "numpy",
    "PyNaCl",
    "paho-mqtt",
    "sqlalchemy",
    "fnv-hash-fast",
    "pyturbojpeg",
    "ifaddr",
    "securetar==2024.2.1",
)
"""Its core and what the parts of it that always run ask for; versions are held by its own constraints."""


def main() -> int:
    """Install what is missing."""
    steps: tuple[tuple[str, Callable[[], None]], ...] = (
        ("Debian's packages", debian),
        ("Zabbix's front end", front),
        ("Node-RED", red),
        ("Home Assistant", assistant),
    )
    failed = 0
    for name, step in steps:
        try:
            step()
            print(f"{name}: there")
        except (OSError, subprocess.CalledProcessError, RuntimeError) as error:
            failed += 1
            print(f"{name}: could not be set up: {error}")
    return int(failed == len(steps))


def debian() -> None:
    """By apt, which needs root."""
    path = os.environ["PATH"] + ":/usr/sbin"
    missing = [name for name, command in DEBIAN.items() if not shutil.which(command, path=path)]
    if not missing:
        return
    missing += PHP if "php-cli" in missing else ()
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise RuntimeError(f"install as root: apt-get install {' '.join(missing)}")
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    subprocess.run(["apt-get", "update", "-qq"], check=True, env=quiet)
    subprocess.run(
        ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing], check=True, env=quiet
    )


def front() -> None:
    """Zabbix's front end, of which only the API is used: unpacked beside us and not installed."""
    if (zabbix.FRONT / "api_jsonrpc.php").exists():
        return
    folder = CACHE / "zabbix"
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["apt-get", "download", "-qq", "zabbix-frontend-php"], check=True, cwd=folder)
    (package,) = folder.glob("zabbix-frontend-php_*.deb")
    subprocess.run(["dpkg", "-x", str(package), str(folder / "front")], check=True)


def red() -> None:
    """By npm."""
    if node_red.NodeRed.missing() is None:
        return
    node_red.HOME.mkdir(parents=True, exist_ok=True)
    (node_red.HOME / "package.json").write_text("{}", encoding="utf-8")
    command = ["npm", "install", "--no-audit", "--no-fund", f"node-red@{node_red.VERSION}"]
    subprocess.run(command, check=True, cwd=node_red.HOME)


def assistant() -> None:
    """By pip, into an environment of its own, within its own constraints."""
    if home_assistant.HomeAssistant.missing() is None:
        return
    venv = home_assistant.HOME / "venv"
    python = shutil.which("python3.11") or sys.executable
    subprocess.run([python, "-m", "venv", str(venv)], check=True)
    pip = [str(venv / "bin" / "pip"), "install", "--quiet"]
    subprocess.run([*pip, _HOME_ASSISTANT[0]], check=True)
    (bounds,) = venv.glob("lib/python*/site-packages/homeassistant/package_constraints.txt")
    subprocess.run([*pip, "-c", str(bounds), *_HOME_ASSISTANT], check=True)


if __name__ == "__main__":
    sys.exit(main())
