"""The stacks that the end-to-end tests share."""

from collections.abc import Generator, Iterator

import pytest
from playwright.sync_api import Page

from infra.local.stack import Stack
from tests.e2e.given_up import give_up
from tests.support.browser import Tab, browsing
from tests.support.made_up_api import ORIGIN, WAIT_MS, Api
from tests.support.stack import System


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A stack of the tests' own, on free ports, with its state in a temporary directory."""
    with Stack.for_test(tmp_path_factory.mktemp("stack")) as stack:
        running = System(stack)
        yield running
        running.close()


@pytest.fixture(scope="package")
def quick_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Another, whose schedules tick every other second.

    Modules share it, so each has leaderboards of its own and leaves no dead letters behind.
    """
    with pytest.MonkeyPatch.context() as patch:
        for name in ("CLOSE_EVERY_S", "SNAPSHOTS_EVERY_S"):
            patch.setenv(name, "2")
        for name in ("PURGE_DELAY_S", "PSEUDONYM_FENCE_S"):
            patch.setenv(name, "7")  # more than a definition is remembered
        with Stack.for_test(tmp_path_factory.mktemp("quick-stack")) as stack:
            yield stack


@pytest.fixture(scope="package")
def given_up(quick_stack: Stack) -> Iterator[System]:
    """A leaderboard that was deleted before its day could be closed. Closing takes more than a minute: this is begun
    with the first module that waits for another day of that stack.
    """
    running = System(quick_stack)
    give_up(running)
    yield running
    running.close()


@pytest.fixture(scope="module")
def shared_tab() -> Iterator[Tab]:
    """Its clock can be put forward, so that no test waits for the page to wait."""
    with browsing() as browser:
        tab = Tab(browser)
        tab.page.set_default_timeout(WAIT_MS)
        tab.page.clock.install()
        yield tab


@pytest.fixture
def api() -> Api:
    return Api()


@pytest.fixture
def page(shared_tab: Tab, api: Api) -> Iterator[Page]:
    shared_tab.page.route(f"{ORIGIN}/**", api.serve)
    yield shared_tab.page
    shared_tab.renew()
    shared_tab.page.unroute(f"{ORIGIN}/**")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Function, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Say with a failure how the processes of its stack are: one that has died explains what nothing else does."""
    report = yield
    if report.failed and call.when == "call":
        for stack in (one for one in item.funcargs.values() if isinstance(one, Stack)):
            lines = [
                f"{process.name}: " + (f"runs as {process.pid}" if process.is_alive() else process.cause_of_death())
                for process in stack.processes
            ]
            report.sections.append(("processes of the stack", "\n".join(lines)))
    return report
