"""Make the pictures of the documentation: ``python tools/pictures.py``, with a Chromium installed.

Plays the demo on a free port, presses the pendant, opens the case, and photographs desk and wall.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parent.parent
IMAGES = ROOT / "docs" / "images"
DEMO = [sys.executable, "-m", "hexi", "demo", "--port", "0", "--elders", "400", "--speed", "60"]


def start() -> tuple[subprocess.Popen[str], str]:
    """The running demo and its address."""
    demo = subprocess.Popen(DEMO, stdout=subprocess.PIPE, text=True, cwd=ROOT)  # noqa: S603
    assert demo.stdout
    for line in demo.stdout:
        if "http://" in line:
            return demo, "http://" + line.split("http://")[1].split("/")[0]
    raise SystemExit("the demo did not start")


def take(page: Any, address: str) -> None:
    """Press the pendant, let somebody answer, and take both pictures."""
    page.goto(f"{address}/demo/pendant")
    page.get_by_role("button").first.click()
    page.goto(f"{address}/desk")
    page.locator("#queue a, #queue button").first.wait_for()
    page.wait_for_timeout(12_000)
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.wait_for_timeout(2_000)
    page.screenshot(path=IMAGES / "desk.png")
    page.goto(f"{address}/wall")
    page.wait_for_timeout(4_000)
    page.screenshot(path=IMAGES / "wall.png")


def main() -> None:
    """Take the pictures and stop the demo."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    demo, address = start()
    try:
        with sync_playwright() as play:
            browser = play.chromium.launch(
                executable_path=shutil.which("chromium"), args=["--no-sandbox", "--enable-unsafe-swiftshader"]
            )
            take(browser.new_page(viewport={"width": 1440, "height": 900}, locale="zh-CN"), address)
            browser.close()
    finally:
        demo.terminate()
        demo.wait(20)


if __name__ == "__main__":
    main()
