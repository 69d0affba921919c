"""Topic, queues, bucket and tables: what CloudFormation makes on AWS.

`python -m infra.local.resources` keeps them there until SIGTERM, beside servers that forget them when they stop.
"""

import json
import logging
import os
import signal
import threading
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

from infra.local.config import ACCOUNT, DLQ, EXPORTS, PARTITIONS, RANGES, REGION, REPAIRS, RESULTS, TOPIC
from shared import clients as aws
from shared.messaging.topic import Topic, wrong_settings
from shared.truth.tables import Tables, create_tables

RECEIVES_MAX: Final = 5
"""How often a repair or export message is handed out before its own dead-letter queue gets it."""
DAYS_14_S: Final = "1209600"
LOOK_EVERY_S: Final = 3
TOPIC_TIMEOUT_S: Final = 300
"""How long the broker may take to make the topic, on a busy machine."""

log = logging.getLogger("resources")


def create(environment: Mapping[str, str], *, topic: bool = True) -> None:
    """Create what is missing. Safe to repeat.

    Args:
        environment: of the functions; names the endpoints, tables, queues and the bucket.
        topic: whether to create the topic, too.
    """
    names = Tables(environment["LEDGER_TABLE"], environment["STANDINGS_TABLE"], environment["REGISTRY_TABLE"])
    create_tables(client(environment, "dynamodb"), names)
    create_queues_and_bucket(environment)
    if topic:
        _create_topic(environment["KAFKA_BOOTSTRAP_SERVERS"])


def create_queues_and_bucket(environment: Mapping[str, str]) -> None:
    """Create what is missing of them, and of the topic of results. Safe to repeat."""
    _create_queues(client(environment, "sqs"))
    _create_result_topic(client(environment, "sns"), client(environment, "sqs"))
    _create_bucket(client(environment, "s3"), environment["EXPORT_BUCKET"])


def client(environment: Mapping[str, str], service: str) -> Any:
    """A boto3 client of the local stack, whatever this process's own environment says."""
    endpoint = environment.get(f"AWS_ENDPOINT_URL_{service.upper()}", environment["AWS_ENDPOINT_URL"])
    return aws.client(
        service,
        aws.TOOLS.config(signature_version="s3v4") if service == "s3" else aws.TOOLS.config(),
        region_name=environment["AWS_REGION"],
        endpoint_url=endpoint,
        aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
    )


_LIFECYCLE: Final = {
    "Rules": [
        {
            "ID": "exports",
            "Status": "Enabled",
            "Filter": {"Prefix": "exports/"},
            "Expiration": {"Days": 30},
            "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1},
        }
    ]
}
"""As in template.yaml; results, under `finals/`, are kept."""


def _create_queues(sqs: Any) -> None:
    sqs.create_queue(QueueName=DLQ, Attributes={"MessageRetentionPeriod": DAYS_14_S})
    for name, visibility_s in ((REPAIRS, "60"), (RANGES, "60"), (EXPORTS, "120")):
        dead = f"{name}-dlq"
        sqs.create_queue(QueueName=dead, Attributes={"MessageRetentionPeriod": DAYS_14_S})
        target = f"arn:aws:sqs:{REGION}:{ACCOUNT}:{dead}"
        redrive = json.dumps({"deadLetterTargetArn": target, "maxReceiveCount": RECEIVES_MAX})
        sqs.create_queue(QueueName=name, Attributes={"VisibilityTimeout": visibility_s, "RedrivePolicy": redrive})


def _create_result_topic(sns: Any, sqs: Any) -> None:
    """The topic of results, and a queue that is subscribed to it, as a rewards pipeline would be."""
    sqs.create_queue(QueueName=RESULTS, Attributes={"MessageRetentionPeriod": DAYS_14_S})
    topic = sns.create_topic(Name=RESULTS)["TopicArn"]
    queue = f"arn:aws:sqs:{REGION}:{ACCOUNT}:{RESULTS}"
    attributes = {"RawMessageDelivery": "true"}
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue, Attributes=attributes)


def _create_bucket(s3: Any, name: str) -> None:
    try:
        s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
    except ClientError as error:
        if error.response["Error"]["Code"] not in ("BucketAlreadyOwnedByYou", "BucketAlreadyExists"):
            raise
    s3.put_bucket_lifecycle_configuration(Bucket=name, LifecycleConfiguration=_LIFECYCLE)


def _create_topic(bootstrap_servers: str) -> None:
    admin = AdminClient({"bootstrap.servers": bootstrap_servers, "log_level": 2})
    settings = {"message.timestamp.type": "LogAppendTime", "retention.ms": str(7 * 86_400_000)}
    topic = NewTopic(TOPIC, num_partitions=PARTITIONS, replication_factor=1, config=settings)
    for outcome in admin.create_topics([topic], request_timeout=TOPIC_TIMEOUT_S).values():
        try:
            outcome.result(timeout=TOPIC_TIMEOUT_S)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise
    for fault in wrong_settings(Topic({"bootstrap.servers": bootstrap_servers}, TOPIC).settings()):
        log.error("topic %s: %s", TOPIC, fault)


def keep(environment: Mapping[str, str], ready: Path, stopping: threading.Event) -> None:
    """Create what is missing, say so by a file, and do so again whenever the bucket is gone, which is made last."""
    create(environment)
    ready.touch()
    s3 = client(environment, "s3")
    while not stopping.wait(LOOK_EVERY_S):
        try:
            if not _has_bucket(s3, environment["EXPORT_BUCKET"]):
                create_queues_and_bucket(environment)
                log.warning("queues, topic of results and bucket were gone, and are there again")
        except (BotoCoreError, ClientError) as error:
            log.warning("not to be reached: %s", error)


def _has_bucket(s3: Any, name: str) -> bool:
    try:
        s3.head_bucket(Bucket=name)
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] == HTTPStatus.NOT_FOUND:
            return False
        raise
    return True


def main() -> None:
    """Keep them there until SIGTERM."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    signal.signal(signal.SIGINT, lambda *_: stopping.set())
    keep(os.environ, Path(os.environ["RESOURCES_READY"]), stopping)


if __name__ == "__main__":
    main()
