"""Every client of AWS states how often it tries and how long it waits, and its limits fit into its function's time."""

import ast
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import DataNotFoundError
from botocore.session import Session

from shared import clients as aws
from shared.assembly import Assembly
from shared.clients import DYNAMODB_ATTEMPTS
from shared.domain.records import Record, Source
from shared.domain.rejections import Reason, Rejection
from shared.files.upload import PART_BYTES, store
from shared.messaging.dead_letters import INLINE_BYTES_MAX, DeadLetterQueue, RejectedRecord
from shared.messaging.queues import QueueUnavailable
from shared.settings import load
from tests.support.template import FUNCTIONS, ROOT
from tests.unit.test_settings import COMPLETE

MAKERS = (".client", ".resource", ".create_client", "create_session")
STATED = ("connect_timeout", "read_timeout", "retries")
KEYS: dict[str, Any] = {"aws_access_key_id": "local", "aws_secret_access_key": "local", "region_name": "eu-central-1"}


def calls(file: Path) -> Iterator[ast.Call]:
    return (node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Call))


def name(call: ast.Call) -> str:
    return ast.unparse(call.func)


def test_every_client_is_made_in_one_place() -> None:
    files = [file for folder in ("shared", "functions", "infra") for file in sorted((ROOT / folder).rglob("*.py"))]
    made = {
        f"{file.relative_to(ROOT)}: {name(call)}"
        for file in files
        for call in calls(file)
        if name(call).endswith((".client", ".resource", ".create_client", "create_session"))
        and name(call) != "aws.client"
    }

    on_this_machine = {
        "infra/bench/reads.py: resources.client",
        "infra/deploy_check/__main__.py: engine.client",
        "infra/deploy_check/__main__.py: self._engine.client",
        "infra/deploy_check/calls.py: self._engine.client",
        "infra/deploy_check/engine.py: boto3.client",
        "infra/deploy_check/engine.py: self.client",
    }
    assert made == {"shared/clients.py: maker.create_client", *on_this_machine}


@pytest.mark.parametrize("service", ["dynamodb", "sqs", "sns", "s3", "secretsmanager", "ssm"])
def test_a_service_is_what_botocore_reads_of_it(service: str) -> None:
    ours, botocores = (made.get_component("data_loader") for made in (aws.new_session(), Session()))
    assert ours.load_service_model(service, "service-2") == botocores.load_service_model(service, "service-2")
    assert ours.load_data("endpoints") == botocores.load_data("endpoints")
    with pytest.raises(DataNotFoundError):
        ours.load_data("no-such-file")


@pytest.mark.parametrize("file", sorted((ROOT / "docs" / "examples").glob("*.py")), ids=lambda file: file.name)
def test_an_example_states_retries_and_time_limits(file: Path) -> None:
    found = list(calls(file))

    for call in found:
        if name(call) == "boto3.client":
            assert "config" in {keyword.arg for keyword in call.keywords}
        if name(call) == "Config":
            assert set(STATED) <= {keyword.arg for keyword in call.keywords}
        if name(call).endswith((".request", "requests.get", "requests.post", "requests.put", "requests.delete")):
            assert "timeout" in {keyword.arg for keyword in call.keywords}


@pytest.mark.parametrize("client", ["dynamodb", "s3", "sqs", "sns", "s3 of dead letters"])
def test_a_clients_retries_and_time_limits_are_stated(client: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, value in {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local"}.items():
        monkeypatch.setenv(variable, value)
    assembly = Assembly(load(COMPLETE))
    made: Any = assembly.dead_letters._s3 if client == "s3 of dead letters" else getattr(assembly, client)

    stated = made.meta.config._user_provided_options

    assert set(STATED) <= stated.keys()
    assert set(stated["retries"]) == {"mode", "total_max_attempts"}


def test_the_registrys_retries_and_time_limits_are_stated() -> None:
    registry: Any = Assembly(load(COMPLETE)).registry

    for connection in (registry._connection, registry._record._get_connection().connection):
        config = connection.client.meta.config
        assert (config.connect_timeout, config.read_timeout) == (1, 5)
        assert config.retries["total_max_attempts"] == DYNAMODB_ATTEMPTS


def test_the_registry_sends_by_the_client_of_the_truth(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, value in {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local"}.items():
        monkeypatch.setenv(variable, value)  # without any, PynamoDB makes another client for each request
    assembly = Assembly(load(COMPLETE))
    registry: Any = assembly.registry

    assert registry._connection.client is assembly.dynamodb
    assert registry._record._get_connection().connection.client is assembly.dynamodb


def test_an_ingest_call_with_a_silent_s3_ends_within_its_functions_time() -> None:
    timeout_s = FUNCTIONS["IngestFunction"]["Timeout"]

    assert aws.RECORDS.silent_s < timeout_s / 2, "the other half is for the truth, the cache and the queue"


@pytest.mark.parametrize("function", ["ExportFunction", "CloseFunction"])
def test_a_silent_s3_leaves_an_export_and_a_result_the_time_to_say_so(function: str) -> None:
    timeout_s = FUNCTIONS[function]["Timeout"]

    assert aws.FILES.silent_s < timeout_s / 2


def test_a_silent_s3_is_asked_once_for_all_records_of_a_call() -> None:
    connections = []

    def silent(request: BaseHTTPRequestHandler) -> None:
        connections.append(request.path)
        ended.wait()

    ended = threading.Event()
    limits = aws.Limits(connect_s=5, read_s=0.2, tries=aws.RECORDS.tries)
    with server(silent) as url:
        s3 = aws.client("s3", limits.config(), endpoint_url=url, **KEYS)
        letters = DeadLetterQueue(SimpleNamespace(send=list), s3, "bucket")  # type: ignore[arg-type]
        large = b"x" * (INLINE_BYTES_MAX + 1)
        records = [Record(Source("score-events", 0, offset, 0), None, large) for offset in range(5)]
        with pytest.raises(QueueUnavailable):
            letters.send([RejectedRecord(one, Rejection(Reason.MALFORMED, "no JSON"), None) for one in records])
        ended.set()

    assert connections == ["/bucket/dead-letters/score-events/0/0.value"] * limits.tries


def test_a_file_is_uploaded_though_s3_answers_with_errors_for_some_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    random.seed(1)  # botocore's pauses
    pauses: list[float] = []
    monkeypatch.setattr("botocore.endpoint.time", SimpleNamespace(sleep=pauses.append))
    stored = []

    def failing(request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers["Content-Length"] or 0))
        if sum(pauses) < 3:
            answer(request, 503, b"<Error><Code>ServiceUnavailable</Code></Error>")
        else:
            stored.append((request.path, len(body)))
            answer(request, 200, b"<R><UploadId>1</UploadId></R>")

    with server(failing) as url:
        s3 = aws.client("s3", aws.FILES.config(s3={"addressing_style": "path"}), endpoint_url=url, **KEYS)
        store(s3, "bucket", "key", "text/csv", [b"x" * PART_BYTES])

    assert [path for path, _ in stored] == [
        "/bucket/key?uploads",
        "/bucket/key?uploadId=1&partNumber=1",
        "/bucket/key?uploadId=1",
    ]


def answer(request: BaseHTTPRequestHandler, status: int, body: bytes) -> None:
    request.send_response(status)
    request.send_header("ETag", '"1"')
    request.send_header("Content-Length", str(len(body)))
    request.end_headers()
    request.wfile.write(body)


@contextmanager
def server(handle: Callable[[BaseHTTPRequestHandler], None]) -> Iterator[str]:
    """Answers every request by `handle`, on a free port."""

    class Handler(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            handle(self)

        do_POST = do_PUT  # noqa: N815

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        thread = threading.Thread(target=listening.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.server_port}"
        finally:
            listening.shutdown()
            thread.join()
