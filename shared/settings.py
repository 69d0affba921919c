"""The environment of the functions, read once and checked before anything starts."""

import os
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from shared.secrets import REFERENCES, SecretUnavailable, read_secret

Name = Annotated[str, Meta(min_length=1, description="a name")]
QueueUrl = Annotated[str, Meta(pattern=r"^https?://", description="URL of an SQS queue")]
SecretText = Annotated[str, Meta(min_length=1, description="any text")]
SECRETS: Final = ("CACHE_PASSWORD", "CURSOR_KEY", "PSEUDONYM_KEY", "KAFKA_CREDENTIALS")
"""Settings that may also be given by reference: `secretsmanager:<name or ARN>` or `ssm:<name>`."""
LOCAL: Final = "local"
LOCAL_CURSOR_KEY: Final = b"everybody may sign cursors here."
LOCAL_PSEUDONYM_KEY: Final = b"everybody may tell who is who here."

PURGE_DELAY_S_MIN: Final = 150
PSEUDONYM_FENCE_S_MIN: Final = 1_000
"""75 s until no ingest call is left that began before a purge was written, 60 s that the clocks of brokers and
functions may lie apart, and 15 s for the write itself."""


class InvalidSettings(Exception):
    """A setting is missing or wrong. The message is one line that says which and what it takes."""


class _Credentials(msgspec.Struct, frozen=True):
    """As Lambda's event source takes them from the same secret."""

    username: str
    password: str


class Settings(msgspec.Struct, frozen=True, kw_only=True, rename="upper"):
    """Every setting by its environment variable: the field's name in upper case."""

    stage: Name
    """Where this runs; `local` is the stack of one machine, which checks no tokens."""
    code_version: Annotated[str, Meta(min_length=7, description="a git revision")]
    """Git revision of the code, for results and manifests; the image sets it."""
    aws_region: Name
    """Region of every AWS service; Lambda sets it itself."""
    ledger_table: Name
    """DynamoDB table of accepted events."""
    standings_table: Name
    """DynamoDB table of what each player's events add up to."""
    registry_table: Name
    """DynamoDB table of leaderboards, periods, audit logs, results, export jobs and snapshots."""
    cache_url: Annotated[str, Meta(pattern=r"^rediss?://", description="`redis://` or, with TLS, `rediss://`")]
    """The cache, without its password."""
    cache_password: SecretText | None = None
    """Password of the cache; none is sent without it."""
    dlq_queue_url: QueueUrl
    """SQS queue of dead letters: rejected records."""
    repair_queue_url: QueueUrl
    """SQS queue of repairs and rebuilds of the cache."""
    range_queue_url: QueueUrl
    """SQS queue of requested custom ranges that take more than a second to build."""
    export_queue_url: QueueUrl
    """SQS queue of export jobs."""
    export_bucket: Name
    """S3 bucket of exports, results, and dead letters too large for the queue."""
    result_topic_arn: Annotated[
        str, Meta(pattern=r"^(arn:[a-z-]+:sns:[^:]*:[^:]*:[^:]+)?$", description="ARN of an SNS topic, or nothing")
    ] = ""
    """SNS topic of result notifications; none are published if it is empty."""
    kafka_bootstrap_servers: Annotated[
        str, Meta(pattern=r"^[^,:\s]+:\d+(,[^,:\s]+:\d+)*$", description="`host:port`, several separated by commas")
    ]
    """Brokers, for the functions that connect to them themselves."""
    kafka_topic: Name
    """Topic of score events."""
    kafka_security: Literal["PLAINTEXT", "SSL", "AWS_MSK_IAM", "SASL_SCRAM"] = "PLAINTEXT"
    """Protocol of the functions that connect to brokers themselves; SASL_SCRAM is SHA-512 over TLS."""
    kafka_credentials: Annotated[str, Meta(description='`{"username": "…", "password": "…"}`')] | None = None
    """Credentials for Kafka, if KAFKA_SECURITY is SASL_SCRAM."""
    kafka_timestamp_type: Literal["LOG_APPEND_TIME", "CREATE_TIME"] = "LOG_APPEND_TIME"
    """`message.timestamp.type` of the topic. CREATE_TIME, by which producers' clocks decide what is late, is an error
    outside the local stage."""
    authorization: Literal["jwt", "off"] = "jwt"
    """Whether the API checks tokens; `off` is an error outside the local stage."""
    public_reads: Literal["on", "off"] = "off"
    """Whether anybody may read rankings and players, without a token, so that a cache in front of the API may answer.
    Their events, explanations and results take one all the same."""
    scope_prefix: Annotated[str, Meta(pattern=r"^\S*$", description="text without spaces, or nothing")] = ""
    """Prefix of the API's scopes in tokens, such as `leaderboards/` of a resource server of Amazon Cognito."""
    console: Literal["on", "off"] = "on"
    """Whether the API serves the console at `/console/`. It shows nothing that a token does not admit to."""
    console_issuer: Annotated[str, Meta(pattern=r"^(https?://\S+)?$", description="URL, or nothing")] = ""
    """OpenID Connect issuer by which people sign in to the console, where AUTHORIZATION is jwt."""
    console_client_id: Annotated[str, Meta(pattern=r"^\S*$", description="text without spaces, or nothing")] = ""
    """Public client (code flow with PKCE) of the issuer as which the console asks for tokens; nobody can sign in
    without."""
    cache_timeout_ms: Annotated[int, Meta(ge=10, le=60_000)] = 1_000
    """How long one command to the cache may take, ms."""
    dynamodb_timeout_ms: Annotated[int, Meta(ge=100, le=60_000)] = 5_000
    """How long one request to DynamoDB may take, ms, in the API no longer than 2,000; it is tried three times."""
    waits_max: Annotated[int, Meta(ge=0, le=10_000)] = 100
    """Clients that may wait for a change at the same time, over all instances of the API; each holds one of them for up
    to 20 s. Requests beyond that are answered at once."""
    ranges_memory_mb: Annotated[int, Meta(ge=1, le=1_000_000)] = 256
    """Memory of the cache for custom ranges that are built on demand, over all leaderboards, MiB. Those that were not
    read for the longest time make room for others."""
    ranges_cache_percent: Annotated[int, Meta(ge=1, le=100)] = 75
    """How much of the cache's memory may be in use for one more such range to be built, percent."""
    ranges_caller_reads: Annotated[int, Meta(ge=1_000, le=1_000_000_000)] = 100_000
    """Budget of one caller for ranges in ten minutes: a new range costs 500, and its days with events times the
    leaderboard's write shards."""
    truth_threads: Annotated[int, Meta(ge=1, le=64)] = 8
    """Transactions that one ingest call has in flight at once."""
    purge_delay_s: Annotated[int, Meta(ge=1, le=3_600)] = 150
    """How far ahead a purge takes effect, s; less than 150 is an error outside the local stage, since every ingest call
    has to know of it by then, whatever the clocks of brokers say."""
    pseudonym_fence_s: Annotated[int, Meta(ge=1, le=86_400)] = 1_000
    """How long a user id is fenced off once a pseudonym has replaced it, s; less than 1,000 is an error outside the
    local stage, since no call of any function may be left by then that has read what the id had."""
    powertools_metrics_namespace: Name
    """Namespace of all metrics in CloudWatch; alarms and dashboard use `Leaderboards`."""
    cursor_key: Annotated[str, Meta(min_length=32, description="32 characters or more")] | None = None
    """Key that signs the API's cursors; changing it makes all earlier cursors void. The API needs it outside the
    local stage."""

    pseudonym_key: Annotated[str, Meta(min_length=32, description="32 characters or more")] | None = None
    """Key that pseudonyms of players are made with. It must never change: with another one, events of before count
    again under another pseudonym. API and ingest need it outside the local stage."""

    @property
    def pseudonym_secret(self) -> bytes:
        """The key of the setting; locally a public one.

        Raises:
            InvalidSettings: if it is missing outside the local stage.
        """
        if self.pseudonym_key is not None:
            return self.pseudonym_key.encode()
        if self.stage != LOCAL:
            raise InvalidSettings("environment: set `PSEUDONYM_KEY`")
        return LOCAL_PSEUDONYM_KEY

    @property
    def cursor_signing_key(self) -> bytes:
        """The key of the setting; locally a public one.

        Raises:
            InvalidSettings: if it is missing outside the local stage.
        """
        if self.cursor_key is not None:
            return self.cursor_key.encode()
        if self.stage != LOCAL:
            raise InvalidSettings("environment: set `CURSOR_KEY`")
        return LOCAL_CURSOR_KEY

    @property
    def kafka_client(self) -> dict[str, Any]:
        """Settings of a Kafka client (librdkafka's).

        Raises:
            InvalidSettings: if credentials are needed, and missing or malformed.
        """
        client: dict[str, Any] = {"bootstrap.servers": self.kafka_bootstrap_servers}
        match self.kafka_security:
            case "SSL":
                client["security.protocol"] = "ssl"
            case "AWS_MSK_IAM":
                client |= {"security.protocol": "sasl_ssl", "sasl.mechanism": "OAUTHBEARER", "oauth_cb": self._token}
            case "SASL_SCRAM":
                who = self._credentials
                client |= {"security.protocol": "sasl_ssl", "sasl.mechanism": "SCRAM-SHA-512"}
                client |= {"sasl.username": who.username, "sasl.password": who.password}
        return client

    @property
    def _credentials(self) -> "_Credentials":
        if self.kafka_credentials is None:
            raise InvalidSettings("environment: set `KAFKA_CREDENTIALS`")
        try:
            return msgspec.json.decode(self.kafka_credentials, type=_Credentials)
        except msgspec.DecodeError:  # its message might tell what it is about
            wanted = '{"username": "…", "password": "…"}'
            raise InvalidSettings(f"environment: KAFKA_CREDENTIALS must be {wanted}") from None

    def _token(self, _config: str) -> tuple[str, float]:
        """A token of this function's role for MSK, and when it ends (https://github.com/aws/aws-msk-iam-sasl-signer-python)."""
        from aws_msk_iam_sasl_signer import MSKAuthTokenProvider  # noqa: PLC0415 - for functions on MSK alone

        token, expires_ms = MSKAuthTokenProvider.generate_auth_token(self.aws_region)
        return token, expires_ms / 1000


def load(environment: Mapping[str, str] | None = None, read_secret: Callable[[str], str] = read_secret) -> Settings:
    """Read the settings, and the secrets that they refer to.

    Raises:
        InvalidSettings: naming the variable and what it takes.
    """
    values = os.environ if environment is None else environment
    known = {name: values[name] for name in Settings.__struct_encode_fields__ if name in values}
    for name in SECRETS:
        if known.get(name, "").startswith(REFERENCES):
            known[name] = _secret(name, known[name], read_secret)
    try:
        settings = msgspec.convert(known, Settings, strict=False)
    except msgspec.ValidationError as error:
        message = str(error).replace("Object missing required field", "set").replace("$.", "")
        raise InvalidSettings(f"environment: {message}") from None
    if settings.kafka_timestamp_type == "CREATE_TIME" and settings.stage != LOCAL:
        raise InvalidSettings("environment: KAFKA_TIMESTAMP_TYPE must not be CREATE_TIME unless STAGE is local")
    if settings.authorization == "off" and settings.stage != LOCAL:
        raise InvalidSettings("environment: AUTHORIZATION must not be off unless STAGE is local")
    if settings.purge_delay_s < PURGE_DELAY_S_MIN and settings.stage != LOCAL:
        raise InvalidSettings(f"environment: PURGE_DELAY_S must be {PURGE_DELAY_S_MIN} or more unless STAGE is local")
    if settings.pseudonym_fence_s < PSEUDONYM_FENCE_S_MIN and settings.stage != LOCAL:
        least = f"{PSEUDONYM_FENCE_S_MIN} or more unless STAGE is local"
        raise InvalidSettings(f"environment: PSEUDONYM_FENCE_S must be {least}")
    return settings


def _secret(name: str, reference: str, read: Callable[[str], str]) -> str:
    try:
        return read(reference)
    except SecretUnavailable as error:
        raise InvalidSettings(f"environment: {name} refers to {reference}, which can't be read: {error}") from None
