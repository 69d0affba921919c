"""Parameters that stacks are created with here; none of what they name exists anywhere."""

from typing import Final

from infra.local.config import ACCOUNT, REGION

KAFKA_USER_NAMED: Final = "kafka-credentials"
KAFKA_CREDENTIALS: Final = '{"username": "leaderboards", "password": "of-nothing"}'
BOUNDARY: Final = f"arn:aws:iam::{ACCOUNT}:policy/bounds"
_BOTH: Final = {
    "ImageUri": f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/leaderboards@sha256:{'0' * 64}",
    "SubnetIds": "subnet-00000001,subnet-00000002",
    "SecurityGroupIds": "sg-00000001",
    "VpcId": "vpc-00000001",
    "JwtIssuer": "https://login.example.com/",
    "JwtAudience": "leaderboards",
    "AlarmTopicArn": f"arn:aws:sns:{REGION}:{ACCOUNT}:on-call",
}
SMALLEST: Final = _BOTH | {
    "KafkaClusterArn": f"arn:aws:kafka:{REGION}:{ACCOUNT}:cluster/events/00000000-0000-0000-0000-000000000000-1",
    "KafkaBootstrapServers": "b-1.example.com:9098,b-2.example.com:9098",
}
"""MSK, and otherwise what is the default."""


def everything(kafka_secret_arn: str) -> dict[str, str]:
    """Kafka of one's own, public reads, the console, a cluster as cache, and a collector of traces."""
    return _BOTH | {
        "Stage": "staging",
        "KafkaSecretArn": kafka_secret_arn,
        "KafkaBootstrapServers": "kafka-1.example.com:9096",
        "PublicReads": "on",
        "Console": "on",
        "ConsoleClientId": "console",
        "ConsoleOrigin": "https://scores.example.com",
        "AllowedOrigins": "https://play.example.com",
        "CacheShards": "3",  # ministack 1.5.33 takes no cluster of two, unlike AWS
        "OtlpEndpoint": "http://collector.internal:4318",
        "PermissionsBoundary": BOUNDARY,
    }
