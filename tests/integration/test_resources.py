"""Queues, bucket and topics beside a server that forgets them."""

import threading
from pathlib import Path

import pytest

from infra.local import resources
from infra.local.config import DLQ, EXPORTS, REPAIRS, RESULTS, Config, Ports, free_port
from infra.local.servers import ministack
from tests.support.stack import until


def test_what_a_server_has_forgotten_is_made_again(
    dynamodb_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resources, "_create_topic", lambda _servers: None)
    ports = Ports(dynamodb=int(dynamodb_url.rpartition(":")[2]), aws=free_port())
    environment = Config(tmp_path, Path("packages"), ports).environment()
    ready, stopping = tmp_path / "ready", threading.Event()
    server = ministack(tmp_path / "aws", ports.aws)
    with server:
        keeping = threading.Thread(target=resources.keep, args=(environment, ready, stopping))
        keeping.start()
        until(ready.exists, "everything was made once")
        server.kill()
        server.start()
        sqs, s3 = resources.client(environment, "sqs"), resources.client(environment, "s3")

        def made() -> bool:
            urls = sqs.list_queues().get("QueueUrls", [])
            buckets = [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]
            return {DLQ, REPAIRS, EXPORTS, RESULTS} <= {url.rpartition("/")[2] for url in urls} and bool(buckets)

        until(made, "queues and bucket are there again")
        stopping.set()
        keeping.join()
