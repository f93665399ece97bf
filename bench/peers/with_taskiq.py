"""taskiq on RabbitMQ, results in Redis: durable queue, persistent messages, confirms."""

import asyncio
import os

from taskiq_aio_pika import AioPikaBroker
from taskiq_redis import RedisAsyncResultBackend

from bench.peers import common

broker = AioPikaBroker(
    os.environ["RABBITMQ_URL"], exchange_name="peers_taskiq", queue_name="peers_taskiq", qos=200
).with_result_backend(RedisAsyncResultBackend(os.environ["REDIS_URL"], result_ex_time=600))
done = common.Done()


@broker.task(task_name="reverse")
async def reverse(payload: str) -> str:
    """The job."""
    result = common.reverse(payload)
    done.add()
    return result


async def main() -> None:
    """Produce."""
    await broker.startup()
    try:
        await common.produce(lambda: reverse.kiq(common.PAYLOAD))
    finally:
        await broker.shutdown()


if __name__ == "__main__":
    asyncio.run(main())
