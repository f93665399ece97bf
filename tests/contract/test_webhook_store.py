"""What every store of webhooks promises."""

from support import make
from support.engines import Engine
from tasktide.domain.webhooks import Webhook

ANN, BOB = make.ADMIN.user_id, make.BOB.user_id
FIRST = Webhook(url="https://example.org/a?b=“c”", secret="whsec_one", created_at=make.NOW)
SECOND = Webhook(url="https://example.org/d", secret="whsec_two", created_at=make.FAR)


async def test_a_webhook_is_kept_until_it_is_removed(engine: Engine) -> None:
    assert await engine.webhooks.get([ANN]) == {}
    assert await engine.webhooks.put(ANN, FIRST) == FIRST
    assert await engine.webhooks.put(BOB, SECOND) == SECOND
    assert await engine.webhooks.get([ANN, BOB]) == {ANN: FIRST, BOB: SECOND}
    assert await engine.webhooks.remove(ANN)
    assert not await engine.webhooks.remove(ANN)
    assert await engine.webhooks.get([ANN, BOB]) == {BOB: SECOND}
    assert await engine.webhooks.get([]) == {}


async def test_another_address_keeps_the_key(engine: Engine) -> None:
    await engine.webhooks.put(ANN, FIRST)
    moved = await engine.webhooks.put(ANN, SECOND)
    assert moved == Webhook(url=SECOND.url, secret=FIRST.secret, created_at=FIRST.created_at)
    assert await engine.webhooks.get([ANN]) == {ANN: moved}
