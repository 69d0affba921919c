"""A process that makes an export and kills itself right before one of its requests to S3.

python -m tests.integration.killed_export LEADERBOARD EXPORT REQUEST PART_BYTES, with the functions' environment.
Ends with 0 if there were fewer requests.
"""

import os
import signal
import sys
from typing import Any

import pytest

from shared import settings
from shared.assembly import Assembly
from tests.support.parts import make_parts_small


def main(leaderboard_id: str, export_id: str, request: int, part_bytes: int) -> None:
    """Make the export up to a request, counted from 1."""
    make_parts_small(pytest.MonkeyPatch(), part_bytes)
    assembly = Assembly(settings.load())
    requests = 0

    def count(**_: Any) -> None:
        nonlocal requests
        requests += 1
        if requests == request:
            os.kill(os.getpid(), signal.SIGKILL)

    assembly.s3.meta.events.register("before-call.s3", count)
    assembly.export_runner.run(leaderboard_id, export_id)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
