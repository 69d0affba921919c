"""Topic, queues, bucket and tables: what CloudFormation makes on AWS."""

import json
from typing import Any, Final

import boto3
from botocore.config import Config as ClientConfig
from botocore.exceptions import ClientError
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

from infra.local.config import ACCOUNT, BUCKET, DLQ, EXPORTS, PARTITIONS, REGION, REPAIRS, TOPIC, Config
from shared.truth.tables import create_tables

RECEIVES_MAX: Final = 5
"""How often a repair or export message is handed out before its own dead-letter queue gets it."""
DAYS_14_S: Final = "1209600"


def create(config: Config) -> None:
    """Create what is missing. Safe to repeat."""
    create_tables(client(config, "dynamodb"))
    _create_queues(client(config, "sqs"), config)
    _create_bucket(client(config, "s3"))
    if config.kafka_is_durable:
        _create_topic(config)


def client(config: Config, service: str) -> Any:
    """A boto3 client of the local stack, whatever this process's own environment says."""
    environment = config.environment()
    url = environment["AWS_ENDPOINT_URL_DYNAMODB"] if service == "dynamodb" else config.aws_url
    return boto3.client(
        service,  # type: ignore[call-overload]
        region_name=REGION,
        endpoint_url=url,
        aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
        config=ClientConfig(signature_version="s3v4") if service == "s3" else None,
    )


def _create_queues(sqs: Any, config: Config) -> None:
    sqs.create_queue(QueueName=DLQ, Attributes={"MessageRetentionPeriod": DAYS_14_S})
    for name, visibility_s in ((REPAIRS, "60"), (EXPORTS, "120")):
        dead = f"{name}-dlq"
        sqs.create_queue(QueueName=dead, Attributes={"MessageRetentionPeriod": DAYS_14_S})
        target = f"arn:aws:sqs:{REGION}:{ACCOUNT}:{dead}"
        redrive = json.dumps({"deadLetterTargetArn": target, "maxReceiveCount": RECEIVES_MAX})
        attributes = {"VisibilityTimeout": visibility_s, "RedrivePolicy": redrive}
        sqs.create_queue(QueueName=name, Attributes=attributes)
    sqs.get_queue_attributes(QueueUrl=config.queue_url(DLQ), AttributeNames=["QueueArn"])


def _create_bucket(s3: Any) -> None:
    try:
        s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
    except ClientError as error:
        if error.response["Error"]["Code"] not in ("BucketAlreadyOwnedByYou", "BucketAlreadyExists"):
            raise


def _create_topic(config: Config) -> None:
    admin = AdminClient({"bootstrap.servers": config.kafka_bootstrap})
    settings = {"message.timestamp.type": "LogAppendTime", "retention.ms": str(7 * 86_400_000)}
    topic = NewTopic(TOPIC, num_partitions=PARTITIONS, replication_factor=1, config=settings)
    for outcome in admin.create_topics([topic]).values():
        try:
            outcome.result(timeout=30)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise
