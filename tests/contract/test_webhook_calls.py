"""Webhooks against a real HTTP server."""

from collections.abc import AsyncIterator, Iterator
from ipaddress import ip_network

import msgspec
import pytest

from support import make
from support.receiver import Receiver, receiving
from tasktide.adapters.http import caller as module
from tasktide.adapters.http.caller import HttpCaller
from tasktide.adapters.http.late import LateCaller
from tasktide.adapters.system.clock import SystemClock
from tasktide.domain import webhooks
from tasktide.domain.deliveries import Delivery, Refused
from tasktide.domain.errors import Unavailable
from tasktide.domain.notifications import Channel
from tasktide.domain.webhooks import Call, Webhook

HERE = (ip_network("127.0.0.0/8"),)
SECRET = webhooks.secret_of(bytes(range(32)))


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as running:
        yield running


@pytest.fixture
async def caller() -> AsyncIterator[LateCaller]:
    made = LateCaller(HERE)
    yield made
    await made.close()
    await made.close()


def call(url: str, message: str = "“Ünï” & <b>bold</b>") -> Call:
    told = msgspec.structs.replace(make.notification(7), task_id=make.task(3).id, message=message)
    delivery = Delivery(channel=Channel.WEBHOOK, notification=told)
    hook = Webhook(url=url, secret=SECRET, created_at=make.NOW)
    return webhooks.prepare(delivery, hook, SystemClock().now())


async def test_a_receiver_can_check_what_it_gets_with_the_standards_library(
    caller: LateCaller, receiver: Receiver
) -> None:
    url = f"{receiver.url}?a=%2f&b=%zz;c"
    await caller.call(call(url))
    await caller.call(call(url))
    bodies = receiver.verified(SECRET)
    assert [(body["type"], body["data"]["id"], body["data"]["task_id"]) for body in bodies] == [("message", 7, 3)] * 2
    assert bodies[0]["data"]["message"] == "“Ünï” & <b>bold</b>"
    assert {path for path, _, _ in receiver.received} == {"/hook?a=%2f&b=%zz;c"}, "as its user wrote it"
    assert {headers["webhook-id"] for _, headers, _ in receiver.received} == {"notification-7"}
    assert receiver.received[0][1]["content-type"] == "application/json"


@pytest.mark.parametrize(("status", "location"), [(500, ""), (404, ""), (302, "/elsewhere"), (307, "/elsewhere")])
async def test_what_does_not_take_a_call_is_called_again(
    caller: LateCaller, receiver: Receiver, status: int, location: str
) -> None:
    receiver.status, receiver.location = status, location
    with pytest.raises(Unavailable, match=str(status)):
        await caller.call(call(receiver.url))
    assert [path for path, _, _ in receiver.received] == ["/hook"], "nobody is sent on to another place"


async def test_what_is_gone_is_called_no_more(caller: LateCaller, receiver: Receiver) -> None:
    receiver.status = 410
    with pytest.raises(Refused, match="gone"):
        await caller.call(call(receiver.url))


async def test_a_receiver_that_is_slow_or_away_is_called_again(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CALL_S", 0.2)
    caller = HttpCaller(HERE)
    receiver.delay_s = 0.4
    with pytest.raises(Unavailable, match="does not answer"):
        await caller.call(call(receiver.url))
    with pytest.raises(Unavailable, match="cannot be reached"):
        await caller.call(call("http://127.0.0.1:1/"))
    with pytest.raises(Unavailable, match="cannot be reached"):
        await caller.call(call("http://there-is-no-such-name.invalid/"))
    await caller.close()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "0", "2130706433"])
async def test_what_is_private_is_not_called_whatever_it_is_named(receiver: Receiver, host: str) -> None:
    caller = HttpCaller()
    try:
        with pytest.raises(Refused, match="private" if host[0] not in "02" else "no address"):
            await caller.call(call(f"http://{host}:{receiver.port}/hook"))
    finally:
        await caller.close()
    assert receiver.received == []


async def test_what_is_no_address_is_refused(caller: LateCaller) -> None:
    for url in ("http://", "http://exa mple.org:99999/", "nonsense"):
        with pytest.raises(Refused):
            await caller.call(call(url))
