"""The environment of the functions, read once and checked before anything starts."""

import os
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

Name = Annotated[str, Meta(min_length=1)]
LOCAL: Final = "local"
LOCAL_CURSOR_KEY: Final = b"everybody may sign cursors here."


class InvalidSettings(Exception):
    """A setting is missing or wrong. The message is one line that says which and what it takes."""


class Settings(msgspec.Struct, frozen=True, kw_only=True, rename="upper"):
    """Every setting by its environment variable: the field's name in upper case."""

    stage: Name
    aws_region: Name
    ledger_table: Name
    standings_table: Name
    registry_table: Name
    redis_url: Annotated[str, Meta(pattern=r"^rediss?://")]
    dlq_queue_url: Annotated[str, Meta(pattern=r"^https?://")]
    repair_queue_url: Annotated[str, Meta(pattern=r"^https?://")]
    export_queue_url: Annotated[str, Meta(pattern=r"^https?://")]
    export_bucket: Name
    result_topic_arn: Annotated[str, Meta(pattern=r"^(arn:[a-z-]+:sns:[^:]*:[^:]*:[^:]+)?$")] = ""
    """SNS topic that is told when a window is final; nobody is told if it is empty."""
    kafka_bootstrap_servers: Annotated[str, Meta(pattern=r"^[^,:\s]+:\d+(,[^,:\s]+:\d+)*$")]
    kafka_topic: Name
    kafka_security: Literal["PLAINTEXT", "SSL", "AWS_MSK_IAM"] = "PLAINTEXT"
    """How functions that ask the broker themselves speak with it."""
    kafka_timestamp_type: Literal["LOG_APPEND_TIME", "CREATE_TIME"] = "LOG_APPEND_TIME"
    """CREATE_TIME trusts producers' clocks with what is late; refused outside the local stage."""
    authorization: Literal["jwt", "off"] = "jwt"
    """Whether the API takes tokens; `off`, where everybody may do everything, is refused outside the local stage."""
    redis_timeout_ms: Annotated[int, Meta(ge=10, le=60_000)] = 1_000
    dynamodb_timeout_ms: Annotated[int, Meta(ge=100, le=60_000)] = 5_000
    truth_threads: Annotated[int, Meta(ge=1, le=64)] = 8
    """Transactions that one ingest call has under way at once."""
    cursor_key: Annotated[str, Meta(min_length=32)] | None = None
    """What the API signs its cursors with, 32 characters or more; another key makes all cursors before it void."""

    @property
    def cursor_signing_key(self) -> bytes:
        """The key of the setting; locally, where nobody is kept out, one that everybody knows.

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
        """Settings of a Kafka client (librdkafka's)."""
        client: dict[str, Any] = {"bootstrap.servers": self.kafka_bootstrap_servers}
        match self.kafka_security:
            case "SSL":
                client["security.protocol"] = "ssl"
            case "AWS_MSK_IAM":
                client |= {"security.protocol": "sasl_ssl", "sasl.mechanism": "OAUTHBEARER", "oauth_cb": self._token}
        return client

    def _token(self, _config: str) -> tuple[str, float]:
        """A token of this function's role for MSK, and when it ends (https://github.com/aws/aws-msk-iam-sasl-signer-python)."""
        from aws_msk_iam_sasl_signer import MSKAuthTokenProvider  # noqa: PLC0415 - for functions on MSK alone

        token, expires_ms = MSKAuthTokenProvider.generate_auth_token(self.aws_region)
        return token, expires_ms / 1000


def load(environment: Mapping[str, str] | None = None) -> Settings:
    """Read the settings.

    Raises:
        InvalidSettings: naming the variable and what it takes.
    """
    values = os.environ if environment is None else environment
    known = {name: values[name] for name in Settings.__struct_encode_fields__ if name in values}
    try:
        settings = msgspec.convert(known, Settings, strict=False)
    except msgspec.ValidationError as error:
        message = str(error).replace("Object missing required field", "set").replace("$.", "")
        raise InvalidSettings(f"environment: {message}") from None
    if settings.kafka_timestamp_type == "CREATE_TIME" and settings.stage != LOCAL:
        raise InvalidSettings("environment: KAFKA_TIMESTAMP_TYPE takes CREATE_TIME only where STAGE is local")
    if settings.authorization == "off" and settings.stage != LOCAL:
        raise InvalidSettings("environment: AUTHORIZATION takes off only where STAGE is local")
    return settings
