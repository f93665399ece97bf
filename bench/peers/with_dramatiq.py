"""dramatiq on RabbitMQ with confirms, results in Redis."""

import os

import dramatiq
from dramatiq.brokers.rabbitmq import RabbitmqBroker
from dramatiq.results import Results
from dramatiq.results.backends import RedisBackend

from bench.peers import common

broker = RabbitmqBroker(url=os.environ["RABBITMQ_URL"], confirm_delivery=True)
broker.add_middleware(Results(backend=RedisBackend(url=os.environ["REDIS_URL"]), store_results=True))
dramatiq.set_broker(broker)
done = common.Done()


@dramatiq.actor(queue_name="peers_dramatiq")
def reverse(payload: str) -> str:
    """The job."""
    result = common.reverse(payload)
    done.add()
    return result


if __name__ == "__main__":
    common.produce_in_threads(lambda: reverse.send(common.PAYLOAD))
