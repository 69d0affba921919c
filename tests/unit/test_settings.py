"""A wrong setting stops the start with one line that says which and what it takes."""

import os
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from aws_lambda_powertools.utilities import parameters
from confluent_kafka import Consumer
from moto import mock_aws

from infra.local.config import POSITIVE, Config, InvalidConfiguration, Ports, from_environment
from shared.assembly import Assembly
from shared.settings import InvalidSettings, Settings, load

COMPLETE = Config(Path("state"), Path("packages"), Ports()).environment()


def test_the_environment_of_the_local_stack_is_complete() -> None:
    settings = load(COMPLETE)

    assert settings.stage == "local"
    assert settings.cache_url == "redis://127.0.0.1:6379"


OPTIONAL = {
    "AUTHORIZATION",
    "SCOPE_PREFIX",
    "RESULT_TOPIC_ARN",
    "CURSOR_KEY",
    "PSEUDONYM_KEY",
    "CACHE_PASSWORD",
    "KAFKA_SECURITY",
    "KAFKA_CREDENTIALS",
    "KAFKA_TIMESTAMP_TYPE",
    "CACHE_TIMEOUT_MS",
    "DYNAMODB_TIMEOUT_MS",
    "TRUTH_THREADS",
    "WAITS_MAX",
    "RANGES_MEMORY_MB",
    "RANGES_CACHE_PERCENT",
    "RANGES_CALLER_READS",
    "PURGE_DELAY_S",
    "PSEUDONYM_FENCE_S",
    "PUBLIC_READS",
    "CONSOLE",
    "CONSOLE_ISSUER",
    "CONSOLE_CLIENT_ID",
}
REQUIRED = sorted({field.upper() for field in Settings.__struct_fields__} - OPTIONAL)


@pytest.mark.parametrize("name", REQUIRED)
def test_a_missing_setting_is_named(name: str) -> None:
    environment = {key: value for key, value in COMPLETE.items() if key != name}

    with pytest.raises(InvalidSettings, match=rf"^environment: set `{name}`$"):
        load(environment)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CACHE_URL", "localhost:6379"),
        ("DLQ_QUEUE_URL", "score-events-dlq"),
        ("STAGE", ""),
        ("KAFKA_TIMESTAMP_TYPE", "NEWEST"),
        ("KAFKA_BOOTSTRAP_SERVERS", "broker"),
        ("KAFKA_TOPIC", ""),
        ("RESULT_TOPIC_ARN", "results"),
        ("KAFKA_SECURITY", "tls"),
        ("AUTHORIZATION", "none"),
        ("SCOPE_PREFIX", "leaderboards/ "),
        ("CACHE_TIMEOUT_MS", "9"),
        ("CACHE_TIMEOUT_MS", "soon"),
        ("TRUTH_THREADS", "65"),
        ("RANGES_MEMORY_MB", "0"),
        ("RANGES_MEMORY_MB", "all"),
        ("RANGES_CACHE_PERCENT", "101"),
        ("RANGES_CALLER_READS", "999"),
        ("CURSOR_KEY", "k" * 31),
        ("PSEUDONYM_KEY", "k" * 31),
        ("CACHE_PASSWORD", ""),
    ],
)
def test_a_wrong_setting_is_named(name: str, value: str) -> None:
    with pytest.raises(InvalidSettings, match=name) as caught:
        load(COMPLETE | {name: value})

    assert "\n" not in str(caught.value)


def test_producers_clocks_are_trusted_only_locally() -> None:
    assert load(COMPLETE | {"KAFKA_TIMESTAMP_TYPE": "CREATE_TIME"}).kafka_timestamp_type == "CREATE_TIME"

    with pytest.raises(InvalidSettings, match="KAFKA_TIMESTAMP_TYPE"):
        load(COMPLETE | {"KAFKA_TIMESTAMP_TYPE": "CREATE_TIME", "STAGE": "production", "AUTHORIZATION": "jwt"})


def test_everybody_may_do_everything_only_locally() -> None:
    assert load(COMPLETE).authorization == "off"
    environment = {name: value for name, value in COMPLETE.items() if name != "AUTHORIZATION"}
    assert load(environment | {"STAGE": "production"}).authorization == "jwt"

    with pytest.raises(InvalidSettings, match="AUTHORIZATION"):
        load(COMPLETE | {"STAGE": "production"})


def test_pseudonyms_are_made_with_a_known_key_only_locally() -> None:
    assert load(COMPLETE | {"PSEUDONYM_KEY": "k" * 32}).pseudonym_secret == b"k" * 32
    assert load(COMPLETE).pseudonym_secret

    with pytest.raises(InvalidSettings, match=r"^environment: set `PSEUDONYM_KEY`$"):
        _ = load(COMPLETE | {"STAGE": "production", "AUTHORIZATION": "jwt"}).pseudonym_secret


def test_cursors_are_signed_with_a_known_key_only_locally() -> None:
    assert load(COMPLETE | {"CURSOR_KEY": "k" * 32}).cursor_signing_key == b"k" * 32
    assert load(COMPLETE).cursor_signing_key

    with pytest.raises(InvalidSettings, match=r"^environment: set `CURSOR_KEY`$"):
        _ = load(COMPLETE | {"STAGE": "production", "AUTHORIZATION": "jwt"}).cursor_signing_key


def test_credentials_for_kafka_are_taken_as_the_event_source_takes_them() -> None:
    credentials = '{"username": "leaderboards", "password": "hush"}'
    client = load(COMPLETE | {"KAFKA_SECURITY": "SASL_SCRAM", "KAFKA_CREDENTIALS": credentials}).kafka_client

    assert (client["security.protocol"], client["sasl.mechanism"]) == ("sasl_ssl", "SCRAM-SHA-512")
    assert (client["sasl.username"], client["sasl.password"]) == ("leaderboards", "hush")
    assert Consumer(client | {"group.id": "g", "auto.offset.reset": "error"}), "librdkafka takes it"


@pytest.mark.parametrize("credentials", [None, "hush", '{"username": "hush"}', '{"username": "a", "password": 1}'])
def test_credentials_for_kafka_that_are_missing_or_none_are_named_and_not_told(credentials: str | None) -> None:
    given = {} if credentials is None else {"KAFKA_CREDENTIALS": credentials}
    settings = load(COMPLETE | {"KAFKA_SECURITY": "SASL_SCRAM"} | given)

    with pytest.raises(InvalidSettings, match="KAFKA_CREDENTIALS") as caught:
        _ = settings.kafka_client

    assert "hush" not in str(caught.value)


@pytest.mark.parametrize("port", ["0", "65536", "http", "", "-1"])
def test_a_port_that_is_none_is_named(port: str) -> None:
    with pytest.raises(InvalidConfiguration, match="KAFKA_PORT must be a port from 1 to 65535"):
        from_environment({"KAFKA_PORT": port})


def test_two_servers_on_one_port_are_refused() -> None:
    with pytest.raises(InvalidConfiguration, match="share a port"):
        from_environment({"KAFKA_PORT": "8080"})


@pytest.mark.parametrize("name", POSITIVE)
@pytest.mark.parametrize("value", ["0", "-1", "often", "", "nan", "inf"])
def test_a_number_that_is_none_is_named(name: str, value: str) -> None:
    with pytest.raises(InvalidConfiguration, match=f"{name} must be a number above 0, not '{value}'"):
        from_environment({name: value})


def test_an_unknown_log_level_is_named() -> None:
    with pytest.raises(InvalidConfiguration, match="LOG_LEVEL must be one of DEBUG, INFO, WARNING, ERROR, not 'loud'"):
        from_environment({"LOG_LEVEL": "loud"})


@pytest.fixture
def stores(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Secrets Manager and the Parameter Store."""
    for name in [name for name in os.environ if name.startswith("AWS_ENDPOINT_URL")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    with mock_aws():
        parameters.clear_caches()  # type: ignore[no-untyped-call]
        yield
        parameters.clear_caches()  # type: ignore[no-untyped-call]


@pytest.mark.usefixtures("stores")
def test_a_secret_may_be_given_by_reference() -> None:
    made = boto3.client("secretsmanager").create_secret(Name="cursors", SecretString="k" * 32)
    boto3.client("ssm").put_parameter(Name="/cup/cache", Value="hush", Type="SecureString")

    settings = load(COMPLETE | {"CURSOR_KEY": f"secretsmanager:{made['ARN']}", "CACHE_PASSWORD": "ssm:/cup/cache"})

    assert settings.cursor_signing_key == b"k" * 32
    assert settings.cache_password == "hush"
    assert Assembly(settings).redis.connection_pool.connection_kwargs["password"] == "hush"


@pytest.mark.usefixtures("stores")
@pytest.mark.parametrize("reference", ["secretsmanager:none", "ssm:/none", "ssm:"])
def test_a_secret_that_cannot_be_read_stops_the_start_with_one_line(reference: str) -> None:
    with pytest.raises(InvalidSettings, match=f"CURSOR_KEY refers to {reference}") as caught:
        load(COMPLETE | {"CURSOR_KEY": reference})

    assert "\n" not in str(caught.value)


@pytest.mark.usefixtures("stores")
def test_a_secret_behind_a_reference_is_held_to_what_the_setting_takes_and_not_shown() -> None:
    boto3.client("secretsmanager").create_secret(Name="short", SecretString="too-short")

    with pytest.raises(InvalidSettings, match="CURSOR_KEY") as caught:
        load(COMPLETE | {"CURSOR_KEY": "secretsmanager:short"})

    assert "too-short" not in str(caught.value)


def test_no_other_setting_is_looked_up_elsewhere() -> None:
    def read(reference: str) -> str:
        raise AssertionError(reference)

    assert load(COMPLETE | {"EXPORT_BUCKET": "ssm:/bucket"}, read).export_bucket == "ssm:/bucket"
