"""The stack that the end-to-end tests share."""

from collections.abc import Iterator

import pytest

from infra.local.stack import Stack
from tests.stack import System


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A stack of the tests' own, on free ports, with its state in a temporary directory."""
    with Stack.for_test(tmp_path_factory.mktemp("stack")) as stack:
        running = System(stack)
        yield running
        running.close()
