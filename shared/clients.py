"""Clients of AWS. Each states how often it tries and how long it waits; botocore's defaults change between versions.

With botocore's own, a client waits 60 s for an answer and, in `standard` mode, gives up after three tries that lie
0.3 s apart.
"""

from typing import Any, Final

import boto3
from botocore.config import Config
from msgspec import Struct

BACKOFF_MAX_S: Final = 20
"""Longest pause between two tries in botocore's `standard` mode; the first is up to 0.05 s, each next twice that."""
ADDRESSES: Final = 8
"""How many addresses a name of S3 has at most; each is given the time to connect, one after the other."""


class Limits(Struct, frozen=True):
    """How long a client waits, in seconds, and how often it tries."""

    connect_s: float
    read_s: float
    """For the answer, or the next part of it."""
    tries: int

    @property
    def silent_s(self) -> float:
        """How long a call takes at most if no byte ever comes back."""
        pauses = (min(float(BACKOFF_MAX_S), 0.05 * (1 << number)) for number in range(self.tries - 1))
        return self.tries * (ADDRESSES * self.connect_s + self.read_s) + sum(pauses)

    def config(self, **more: Any) -> Config:
        """What botocore makes of it, with options of the client's own."""
        retries: Any = {"mode": "standard", "total_max_attempts": self.tries}
        return Config(connect_timeout=self.connect_s, read_timeout=self.read_s, retries=retries, **more)


QUEUES: Final = Limits(connect_s=1, read_s=5, tries=3)
"""SQS and SNS; the API asks them, too. A long poll waits less than that."""
RECORDS: Final = Limits(connect_s=1, read_s=5, tries=2)
"""S3 while somebody waits who has little time: ingest puts what is too large for a message there."""
FILES: Final = Limits(connect_s=1, read_s=20, tries=9)
"""S3 for exports and results, in functions that have 900 s: what S3 refuses for some seconds is tried until it is
taken."""
SECRETS: Final = Limits(connect_s=1, read_s=5, tries=4)
"""Secrets Manager and Systems Manager, when a function starts."""
TOOLS: Final = Limits(connect_s=2, read_s=30, tries=5)
"""Programs on somebody's machine."""


def client(service: str, config: Config, session: boto3.Session | None = None, **place: Any) -> Any:
    """The only way to a client of AWS: with limits, given as `Limits.config()`.

    Args:
        service: as boto3 calls it.
        config: what botocore is told.
        session: of boto3; its default one if not given.
        place: endpoint, region and credentials, where they are not the environment's.
    """
    maker: Any = session or boto3
    return maker.client(service, config=config, **place)
