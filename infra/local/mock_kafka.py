"""librdkafka's mock cluster, where Apache Kafka's jars can't be had. In memory only: nothing survives its end."""

import asyncio
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

from confluent_kafka import Producer

from infra.local.config import HOST, TOPIC

CHUNK_BYTES: Final = 65_536


async def serve(port: int, broker_host: str, broker_port: int, ready: Path) -> None:
    """Forward our port to the mock broker, whose own port can't be chosen; clients connect to that one directly."""

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(CHUNK_BYTES):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        broker_reader, broker_writer = await asyncio.open_connection(broker_host, broker_port)
        await asyncio.gather(copy(reader, broker_writer), copy(broker_reader, writer))

    async with await asyncio.start_server(forward, HOST, port) as server:
        ready.touch()
        await server.serve_forever()


def main() -> None:
    """Run the cluster until the process is ended: `python -m infra.local.mock_kafka PORT READY_FILE`."""
    port, ready = int(sys.argv[1]), Path(sys.argv[2])
    cluster = Producer({"test.mock.num.brokers": 1})
    metadata = cluster.list_topics(TOPIC, timeout=10)  # creates it, with as many partitions as the cluster likes
    (broker,) = metadata.brokers.values()
    asyncio.run(serve(port, broker.host, broker.port, ready))


if __name__ == "__main__":
    main()
