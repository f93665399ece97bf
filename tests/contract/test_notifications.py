"""What every notification store promises."""

import pytest

from support import make
from support.engines import Engine
from tasktide.domain.ids import NotificationId, UserId

ANN, BOB = UserId(1), UserId(2)


async def test_a_known_event_keeps_its_first_id(engine: Engine) -> None:
    first = await engine.notifications.insert([make.told(1, event_id="e1"), make.told(2, event_id="e2")])
    assert [one.id for one in first] == [1, 2]
    again = await engine.notifications.insert(
        [make.told(7, event_id="e2"), make.told(8, event_id="e3"), make.told(9, event_id="e1")]
    )
    assert again[0].id == 2
    assert again[1].id > 2
    assert again[2].id == 1
    kept = await engine.notifications.after(ANN, NotificationId(0), 10)
    assert [one.id for one in kept] == [1, 2, again[1].id]


async def test_one_that_comes_twice_in_a_batch_counts_where_it_came_first(engine: Engine) -> None:
    batch = [make.told(n, event_id=f"e{n}") for n in (1, 2, 3, 1, 4, 2)]
    told = await engine.notifications.insert(batch)
    assert told[0] == told[3]
    assert told[1] == told[5]
    kept = await engine.notifications.after(ANN, NotificationId(0), 10)
    assert [one.message for one in kept] == [f"Message {n}" for n in (1, 2, 3, 4)]


async def test_the_same_event_may_tell_several_users(engine: Engine) -> None:
    first, second = await engine.notifications.insert([make.told(1, 1, "e"), make.told(2, 2, "e")])
    assert first.id != second.id
    assert await engine.notifications.last_id(ANN) == first.id
    assert await engine.notifications.last_id(BOB) == second.id
    assert await engine.notifications.get(ANN, second.id) is None


async def test_the_inbox_is_paged_both_ways(engine: Engine) -> None:
    await engine.notifications.insert([make.told(n) for n in range(1, 6)])
    store = engine.notifications
    assert [one.id for one in await store.newest(ANN, None, 2, unread=False)] == [5, 4]
    assert [one.id for one in await store.newest(ANN, NotificationId(4), 10, unread=False)] == [3, 2, 1]
    assert [one.id for one in await store.after(ANN, NotificationId(2), 2)] == [3, 4]
    assert await store.last_id(BOB) == 0


@pytest.mark.parametrize("read", [(1, 3), (2, 5), (1, 2, 3, 4, 5)])
async def test_pages_hold_read_and_unread_ones_in_their_order(engine: Engine, read: tuple[int, ...]) -> None:
    store = engine.notifications
    await store.insert([make.told(n) for n in range(1, 6)])
    await store.insert([make.told(6, 2)])
    for number in read:
        assert await store.read(ANN, NotificationId(number), make.NOW, only=True) == 1
    assert [one.id for one in await store.newest(ANN, None, 3, unread=False)] == [5, 4, 3]
    assert [one.id for one in await store.newest(ANN, NotificationId(3), 3, unread=False)] == [2, 1]
    assert [one.id for one in await store.after(ANN, NotificationId(0), 3)] == [1, 2, 3]
    assert [one.id for one in await store.after(ANN, NotificationId(3), 3)] == [4, 5]
    assert [one.id for one in await store.after(ANN, NotificationId(0), 9, unread=True)] == [
        n for n in range(1, 6) if n not in read
    ]
    assert await store.last_id(ANN) == 5


async def test_reading_one_and_all(engine: Engine) -> None:
    store = engine.notifications
    await store.insert([make.told(n) for n in range(1, 6)])
    await store.insert([make.told(6, 2)])
    assert await store.unread(ANN) == 5
    assert await store.read(ANN, NotificationId(3), make.NOW, only=True) == 1
    assert await store.read(ANN, NotificationId(3), make.FAR, only=True) == 0
    assert await store.read(ANN, NotificationId(6), make.NOW, only=True) == 0
    read = await store.get(ANN, NotificationId(3))
    assert read is not None
    assert read.read_at == make.NOW
    assert [one.id for one in await store.newest(ANN, None, 10, unread=True)] == [5, 4, 2, 1]
    assert await store.read(ANN, NotificationId(4), make.NOW, only=False) == 3
    assert (await store.unread(ANN), await store.unread(BOB)) == (1, 1)
