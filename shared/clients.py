"""Clients of AWS. Each states how often it tries and how long it waits.

botocore's defaults change between versions: with them a client waits 60 s for an answer and, in `standard` mode, gives
up after three tries that lie 0.3 s apart. Kafka's client stands in shared/messaging/topic.py,
which loads librdkafka, and the cache's in shared/cache/server.py.
"""

import gzip
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec
from botocore.config import Config
from botocore.loaders import JSONFileLoader
from botocore.session import Session
from msgspec import Struct

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sns import SNSClient
    from mypy_boto3_sqs import SQSClient

BACKOFF_MAX_S: Final = 20
"""Longest pause between two tries in botocore's `standard` mode; the first is up to 0.05 s, each next twice that."""
ADDRESSES: Final = 8
"""How many addresses a name of S3 has at most; each is given the time to connect, one after the other."""

USER_AGENT: Final = "exact-leaderboards"
"""botocore otherwise composes its own for each request, which takes 4 % of the CPU time of ingest."""
DYNAMODB_ATTEMPTS: Final = 3
"""How often a request to DynamoDB is sent."""
S3_ENDPOINTS: Final = frozenset({"AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"})
"""The variables that name a server other than AWS's as S3."""


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
"""S3 for callers that have little time: ingest puts what is too large for a message there."""
FILES: Final = Limits(connect_s=1, read_s=20, tries=9)
"""S3 for exports and results, in functions that have 900 s: what S3 refuses for some seconds is tried until it is
taken."""
SECRETS: Final = Limits(connect_s=1, read_s=5, tries=4)
"""Secrets Manager and Systems Manager, when a function starts."""
TOOLS: Final = Limits(connect_s=2, read_s=30, tries=5)
"""Programs on a person's machine."""


class ModelFiles(JSONFileLoader):
    """Reads botocore's models as dicts. Its own loader makes an OrderedDict of each object of the 1.3 MB that a client
    needs, which takes 2.4 times the CPU, a twentieth of a cold start.
    """

    def load_file(self, file_path: str) -> Any:
        """What a file holds, given without its ending; None if there is none."""
        kinds: tuple[tuple[str, Callable[[bytes], bytes]], ...] = ((".json", bytes), (".json.gz", gzip.decompress))
        for ending, unpack in kinds:
            path = Path(file_path + ending)
            if path.is_file():
                return msgspec.json.decode(unpack(path.read_bytes()))
        return None


def new_session(region: str | None = None) -> Session:
    """A session of botocore, whose clients of S3 have the transfer methods of boto3.

    boto3's own session loads its transfer manager for everybody; here only who makes a client of S3 loads it.
    """
    session = Session()
    loader: Any = session.get_component("data_loader")
    loader.file_loader = ModelFiles()
    if region is not None:
        session.set_config_variable("region", region)
    session.register("creating-client-class.s3", _add_transfers)
    return session


def _add_transfers(**made: Any) -> None:
    from boto3.s3.inject import inject_s3_transfer_methods  # noqa: PLC0415 - see above

    inject_s3_transfer_methods(class_attributes=made["class_attributes"])


def client(service: str, config: Config, session: Session | None = None, **place: Any) -> Any:
    """The only way to a client of AWS: with limits, given as `Limits.config()`.

    Args:
        service: as botocore calls it.
        config: settings of botocore.
        session: as `new_session` makes it; a new one if not given.
        place: endpoint, region and credentials, where they are not the environment's.
    """
    maker: Any = session or new_session()
    return maker.create_client(service, config=config, **place)


def dynamodb(session: Session, timeout_ms: int, connections_max: int) -> "DynamoDBClient":
    """The low-level client of DynamoDB. It does not validate requests: our own code builds them."""
    limits = Limits(connect_s=1, read_s=timeout_ms / 1000, tries=DYNAMODB_ATTEMPTS)
    config = limits.config(max_pool_connections=connections_max, parameter_validation=False, user_agent=USER_AGENT)
    made: DynamoDBClient = client("dynamodb", config, session)
    return made


def s3(session: Session, limits: Limits) -> "S3Client":
    """A client of S3 that signs as presigned URLs need it.

    botocore presigns for S3's global host, which redirects while a bucket is new, and a signature does not survive
    that. Virtual-hosted style makes it the region's host; servers other than AWS's find buckets by path only.
    """
    style = "path" if S3_ENDPOINTS & os.environ.keys() else "virtual"
    options: Any = {"addressing_style": style, "us_east_1_regional_endpoint": "regional"}
    made: S3Client = client("s3", limits.config(signature_version="s3v4", s3=options), session)
    return made


def sqs(session: Session) -> "SQSClient":
    """A client of SQS."""
    made: SQSClient = client("sqs", QUEUES.config(), session)
    return made


def sns(session: Session) -> "SNSClient":
    """A client of SNS."""
    made: SNSClient = client("sns", QUEUES.config(), session)
    return made
