"""Celery on RabbitMQ with confirms, results in Redis, acknowledged late as everything durable here is."""

import os

from celery import Celery

from bench.peers import common

app = Celery("peers", broker=os.environ["RABBITMQ_URL"], backend=os.environ["REDIS_URL"])
app.conf.update(
    task_default_queue="peers_celery",
    task_acks_late=True,
    worker_prefetch_multiplier=100,
    broker_transport_options={"confirm_publish": True},
    broker_pool_limit=common.PRODUCERS,
    worker_hijack_root_logger=False,
)
done = common.Done()


@app.task(name="reverse")
def reverse(payload: str) -> str:
    """The job."""
    result = common.reverse(payload)
    done.add()
    return result


if __name__ == "__main__":
    common.produce_in_threads(lambda: reverse.delay(common.PAYLOAD))
