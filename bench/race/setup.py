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

from bench.race import home_assistant, node_red
from bench.race.broker import program

DEBIAN = ("mosquitto", "prometheus-alertmanager")
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
    missing = [name for name in DEBIAN if not (program() if name == "mosquitto" else shutil.which(name))]
    if not missing:
        return
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise RuntimeError(f"install as root: apt-get install {' '.join(missing)}")
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    subprocess.run(["apt-get", "update", "-qq"], check=True, env=quiet)
    subprocess.run(
        ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing], check=True, env=quiet
    )


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
