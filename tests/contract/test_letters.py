"""What every keeper of dead letters promises."""

import msgspec

from support import make
from support.engines import Engine
from tasktide.domain.letters import DeadLetter

LETTER = DeadLetter(
    topic="task.events", pipeline="feed", position=7, key="k", value=b"\xff\x00{", reason="because", attempts=1,
    parked_at=make.NOW,
)  # fmt: skip


async def test_a_letter_is_kept_once_and_byte_for_byte(engine: Engine) -> None:
    await engine.letters.park([LETTER, LETTER])
    await engine.letters.park([LETTER])
    [kept] = await engine.letters.find(0, 10)
    assert msgspec.structs.replace(kept, id=0) == LETTER
    assert await engine.letters.get(kept.id) == kept
    assert await engine.letters.get(kept.id + 1) is None


async def test_letters_are_listed_by_id(engine: Engine) -> None:
    await engine.letters.park([msgspec.structs.replace(LETTER, position=n) for n in range(5)])
    first = await engine.letters.find(0, 2)
    rest = await engine.letters.find(first[-1].id, 10)
    assert [letter.position for letter in (*first, *rest)] == [0, 1, 2, 3, 4]


async def test_replay_appends_the_record_and_forgets_the_letter(engine: Engine) -> None:
    await engine.letters.park([LETTER])
    [kept] = await engine.letters.find(0, 10)
    assert await engine.letters.replay(kept.id)
    assert not await engine.letters.replay(kept.id)
    [record] = await engine.log.reader("task.events", "test").read(10, 0)
    assert (record.key, record.value) == ("k", LETTER.value)
    assert await engine.letters.find(0, 10) == []


async def test_drop_forgets_the_letter_alone(engine: Engine) -> None:
    await engine.letters.park([LETTER])
    [kept] = await engine.letters.find(0, 10)
    assert await engine.letters.drop(kept.id)
    assert not await engine.letters.drop(kept.id)
    gone = "SELECT topic, pipeline, position FROM letters_gone"
    assert await engine.query(gone) == [(LETTER.topic, LETTER.pipeline, LETTER.position)]
    await engine.letters.park([LETTER])
    assert await engine.letters.drop((await engine.letters.find(0, 10))[0].id), "set aside once more"
    assert await engine.log.reader("task.events", "test").read(10, 0) == []
