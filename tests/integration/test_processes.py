"""The servers' processes: who is whose, and what a kill leaves."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

from infra.local import packages
from infra.local.config import InvalidConfiguration, free_port
from infra.local.servers import PACKAGES, Server, kafka, new_cluster_id

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]


def server(directory: Path, command: list[str] = SLEEP) -> Server:
    return Server("sleeper", command, log=directory / "sleeper.log", ready=lambda: True)


def test_a_process_that_has_the_id_of_an_old_one_is_not_taken_for_it(tmp_path: Path) -> None:
    with subprocess.Popen(SLEEP) as other:
        (tmp_path / "sleeper.pid").write_text(f"{other.pid} 1")
        again = server(tmp_path)

        assert again.recorded_pid() is None
        assert not again.end_left_over()
        assert other.poll() is None
        other.kill()


@pytest.mark.parametrize("text", ["", "12", "x y", f"{2**22 + 1} 5"])
def test_whatever_stands_in_the_file_of_the_id_does_no_harm(tmp_path: Path, text: str) -> None:
    (tmp_path / "sleeper.pid").write_text(text)

    assert not server(tmp_path).end_left_over()


def test_what_was_left_over_is_seen_and_ended_by_whoever_comes_next(tmp_path: Path) -> None:
    left_over = server(tmp_path)
    left_over.start()
    later = server(tmp_path)

    assert later.recorded_pid() == left_over.pid
    assert later.end_left_over()
    assert later.recorded_pid() is None
    assert not later.end_left_over()


def test_a_process_of_ones_own_is_not_left_over(tmp_path: Path) -> None:
    with server(tmp_path) as running:
        assert not running.end_left_over()
        assert running.is_alive()


def test_a_program_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidConfiguration, match="`no-such-program` was not found: run `make setup`"):
        server(tmp_path, ["no-such-program"]).start()


def test_processes_do_not_inherit_that_no_bytecode_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    show = [
        sys.executable,
        "-c",
        "import os, time; print(os.environ.get('PYTHONDONTWRITEBYTECODE'), flush=True); time.sleep(60)",
    ]
    with server(tmp_path, show) as running:
        while not running.last_words().startswith("None"):
            assert running.is_alive()


def test_a_cluster_id_is_never_taken_for_an_option() -> None:
    ids = {new_cluster_id() for _ in range(2_000)}

    assert len(ids) == 2_000
    assert not [one for one in ids if one.startswith("-") or len(one) != 22]


def test_kafka_keeps_records_and_committed_offsets_through_a_kill(tmp_path: Path) -> None:
    if not packages.prepare(PACKAGES):
        pytest.skip("Apache Kafka's jars can't be had here; the mock cluster keeps nothing")
    port = free_port()
    broker = kafka(tmp_path, port, free_port())
    client: dict[str, str | int | float | bool] = {"bootstrap.servers": f"127.0.0.1:{port}", "log_level": 0}
    place = TopicPartition("facts", 0)
    broker.start()
    try:
        settings = {"message.timestamp.type": "LogAppendTime"}
        admin = AdminClient(client)
        admin.create_topics([NewTopic("facts", 1, 1, config=settings)])["facts"].result(timeout=30)
        producer = Producer(client | {"enable.idempotence": True})
        for number in range(1_000):
            producer.produce("facts", value=str(number), timestamp=1)
        assert producer.flush(30) == 0
        group = Consumer(client | {"group.id": "readers", "enable.auto.commit": False, "auto.offset.reset": "error"})
        group.commit(offsets=[TopicPartition("facts", 0, 400)], asynchronous=False)
        os.kill(broker.pid or 0, 9)
        broker.wait_stopped()
        broker.start()

        assert group.committed([place], timeout=30)[0].offset == 400
        group.assign([TopicPartition("facts", 0, 0)])
        found: list[bytes | None] = []
        while len(found) < 1_000:
            found += [one.value() for one in group.consume(1_000, 30)]
        assert found == [str(number).encode() for number in range(1_000)]
        group.close()
    finally:
        broker.stop()
