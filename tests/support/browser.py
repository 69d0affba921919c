"""A real browser for the tests of the console: the system's Chromium, driven by Playwright."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright

NAMES: Final = ("chromium", "chromium-browser", "google-chrome")
TIMEOUT_MS: Final = 60_000
"""How long a page may take to show something, on a busy machine."""
GRAVE: Final = ("serious", "critical")


@contextmanager
def browsing() -> Iterator[Browser]:
    """A browser; skips where there is none."""
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        pytest.skip(f"none of {', '.join(NAMES)} is installed")
    with sync_playwright() as playwright:
        flags = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        browser = playwright.chromium.launch(executable_path=path, args=flags)
        yield browser
        browser.close()


class Tab:
    """One page, and what went wrong in it."""

    def __init__(self, browser: Browser, **more: int) -> None:
        """`more`: width and height of the window, px."""
        self.page: Page = browser.new_page(
            viewport={"width": more.get("width", 1400), "height": more.get("height", 1000)}
        )
        self.page.set_default_timeout(TIMEOUT_MS)
        self.faults: list[str] = []
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("console", self._note)

    def _note(self, message: ConsoleMessage) -> None:
        if message.type == "error" and "Failed to load resource" not in message.text:  # a 404 is an answer
            self.faults.append(message.text)

    def close(self) -> None:
        """Close it; nothing may have gone wrong."""
        self.page.close()
        assert self.faults == []

    def barriers(self) -> list[str]:
        """What keeps people from using the page as it is now, by axe-core."""
        found = Axe().run(self.page).response["violations"]
        return [f"{one['id']}: {one['nodes'][0]['html']}" for one in found if one["impact"] in GRAVE]
