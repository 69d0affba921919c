"""A real browser for the tests of the console: the system's Chromium, driven by Playwright."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Final, Literal

import pytest
from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Browser, ConsoleMessage, Page

from infra.browser import NoBrowser, chromium

TIMEOUT_MS: Final = 60_000
"""How long a page may take to show something, on a busy machine."""
WIDE: Final = 1400
HEIGHT: Final = 1000
GRAVE: Final = ("serious", "critical")


@contextmanager
def browsing() -> Iterator[Browser]:
    """A browser; skips where there is none."""
    with ExitStack() as stack:
        try:
            browser = stack.enter_context(chromium())
        except NoBrowser as none:
            pytest.skip(str(none))
        yield browser


class Tab:
    """The one page of a module, in a browser of its own, and what went wrong in it.

    Starting a page costs more than most tests do in it, so tests share it and `renew` it.
    """

    def __init__(self, browser: Browser) -> None:
        self.page: Page = browser.new_page(viewport={"width": WIDE, "height": HEIGHT})
        self.page.set_default_timeout(TIMEOUT_MS)
        self._faults: list[str] = []
        self.page.on("pageerror", lambda error: self._faults.append(str(error)))
        self.page.on("console", self._note)

    def _note(self, message: ConsoleMessage) -> None:
        if message.type == "error" and "Failed to load resource" not in message.text:  # a 404 is an answer
            self._faults.append(message.text)

    def renew(self) -> None:
        """Leave the view and forget what the tab keeps, for the next test; nothing may have gone wrong."""
        faults, self._faults = self._faults, []
        if self.page.url != "about:blank":
            self.page.evaluate("sessionStorage.clear()")
            self.page.goto("about:blank")
        assert faults == []

    def barriers(self, *rules: str) -> list[str]:
        """What keeps people from using the page as it is now, by all rules of axe-core or by some."""
        if not self.page.evaluate("'axe' in window"):
            self.page.evaluate(AXE_SCRIPT)
        options = {"resultTypes": ["violations"], **({"runOnly": rules} if rules else {})}
        found = self.page.evaluate("async options => (await axe.run(options)).violations", options)
        return [f"{one['id']}: {one['nodes'][0]['html']}" for one in found if one["impact"] in GRAVE]

    @contextmanager
    def dressed(self, width: int = WIDE, scheme: Literal["light", "dark"] = "light") -> Iterator[None]:
        """The page in another width or colour scheme."""
        self.page.set_viewport_size({"width": width, "height": HEIGHT})
        self.page.emulate_media(color_scheme=scheme)
        yield
        self.page.set_viewport_size({"width": WIDE, "height": HEIGHT})
        self.page.emulate_media(color_scheme="light")
