"""What every task store promises."""

import asyncio
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import Raw
from msgspec.structs import replace

from support import make
from support.engines import Engine, open_engine
from tasktide.domain import events, tasks
from tasktide.domain.ids import TaskId, UserId
from tasktide.domain.paging import SORTS, Cursor, TaskFilter, TaskQuery
from tasktide.domain.tasks import Status, Task
from tasktide.domain.times import at, later
from tasktide.ports.log import Record
from tasktide.ports.tasks import Change


def changed(before: Task, after: Task, **extra: object) -> Change:
    event = events.changed(before, after, "user:1")
    return Change(task_id=before.id, expected_version=before.version, after=after, event=event, **extra)  # type: ignore[arg-type]


def renamed(task: Task, title: str) -> Task:
    return tasks.edit(task, {"title": title}, make.NOW)


async def logged(engine: Engine, topic: str = events.TASK_EVENTS) -> list[str]:
    await engine.settle()
    reader = engine.log.reader(topic, "test")
    return [events.decode(topic, one.value).id for one in await reader.read(10_000, 0)]


async def test_a_task_comes_back_as_it_was(engine: Engine) -> None:
    odd = make.task(
        7,
        title="“Ünï” \\ \" ' %_",
        description="two\nlines\tand more",
        priority=9,
        labels=("a", "b c"),
        performer_id=UserId(2),
        observer_ids=(UserId(3), UserId(4)),
        due_at=make.FAR,
        handler="reverse",
        payload=Raw(b'{"n": 1.0, "big": 123456789012345678901234567890, "s": "\\u0000"}'),
        max_attempts=5,
    )
    await engine.tasks.insert([make.entry(odd)])
    back = (await engine.tasks.get([odd.id]))[odd.id]
    assert msgspec.json.decode(msgspec.json.encode(back)) == msgspec.json.decode(msgspec.json.encode(odd))
    assert b"1.0" in bytes(back.payload)
    assert b"123456789012345678901234567890" in bytes(back.payload)


async def test_inserting_twice_stores_once_and_keeps_what_is_newer(engine: Engine) -> None:
    first = make.task(1, observer_ids=(UserId(5),), labels=("old",))
    await engine.tasks.insert([make.entry(first)])
    newer = tasks.edit(first, {"title": "Newer", "observer_ids": (), "labels": ("new",)}, make.NOW)
    await engine.tasks.commit([changed(first, newer)])
    await engine.tasks.insert([make.entry(first), make.entry(make.task(2))])
    assert (await engine.tasks.get([first.id]))[first.id].title == "Newer"
    assert await engine.tasks.count(TaskFilter()) == 2
    assert await engine.tasks.count(TaskFilter(observer_id=5)) == 0
    assert await engine.tasks.count(TaskFilter(label="old")) == 0
    assert await engine.tasks.count(TaskFilter(label="new")) == 1


async def test_a_deleted_task_does_not_come_back(engine: Engine) -> None:
    task = make.task(1)
    await engine.tasks.insert([make.entry(task)])
    gone = Change(task_id=task.id, expected_version=1, after=None, event=events.deleted(task, "user:1", make.NOW))
    assert await engine.tasks.commit([gone]) == {task.id}
    await engine.tasks.insert([make.entry(task)])
    assert await engine.tasks.get([task.id]) == {}
    assert await engine.tasks.find(TaskQuery()) == []
    assert await engine.tasks.history(task.id, 0, 10) == []
    assert "1.2" in await logged(engine)
    assert await engine.tasks.purge(engine.clock.now()) == 0, "it was deleted at this moment"
    await engine.tasks.insert([make.entry(task)])
    assert await engine.tasks.get([task.id]) == {}
    assert await engine.tasks.purge(later(engine.clock.now(), 1)) == 1
    await engine.tasks.insert([make.entry(task)])
    assert await engine.tasks.get([task.id]) == {task.id: task}, "nothing remembers it any more"


async def test_commit_with_a_stale_version_changes_nothing(engine: Engine) -> None:
    task, other = make.task(1), make.task(2)
    await engine.tasks.insert([make.entry(task), make.entry(other)])
    first, second = renamed(task, "first"), renamed(task, "second")
    assert await engine.tasks.commit([changed(task, first)]) == {task.id}
    note = Record(events.TASK_OUTPUT, "1", b"{}")
    applied = await engine.tasks.commit([changed(task, second, records=(note,)), changed(other, renamed(other, "x"))])
    assert applied == {other.id}
    assert (await engine.tasks.get([task.id]))[task.id].title == "first"
    said = await logged(engine)
    assert sorted(said) == ["1.1", "1.2", "2.1", "2.2"]
    assert said.index("1.1") < said.index("1.2")
    assert said.index("2.1") < said.index("2.2")
    assert [msgspec.json.decode(e)["id"] for e in await engine.tasks.history(task.id, 0, 10)] == ["1.1", "1.2"]
    assert await logged(engine, events.TASK_OUTPUT) == []


async def test_whom_an_event_concerns_is_said_with_it_and_only_if_it_holds(engine: Engine) -> None:
    task = make.task(1, performer_id=UserId(2), observer_ids=(UserId(3),))
    await engine.tasks.insert([make.entry(task)])
    assert sorted(await logged(engine, events.NOTIFICATION_EVENTS)) == ["1.1@2", "1.1@3"]
    later = renamed(task, "later")
    assert await engine.tasks.commit([changed(task, later)]) == {task.id}
    assert await engine.tasks.commit([changed(task, renamed(task, "too late"))]) == frozenset()
    gone = Change(task_id=task.id, expected_version=2, after=None, event=events.deleted(later, "user:3", make.NOW))
    assert await engine.tasks.commit([gone]) == {task.id}
    told = await logged(engine, events.NOTIFICATION_EVENTS)
    assert sorted(told) == ["1.1@2", "1.1@3", "1.2@2", "1.2@3", "1.3@1", "1.3@2"]
    assert [one for one in told if one.endswith("@2")] == ["1.1@2", "1.2@2", "1.3@2"], "in the order of the versions"


async def test_of_two_changes_of_one_version_one_holds(engine: Engine) -> None:
    task = make.task(1)
    await engine.tasks.insert([make.entry(task)])
    both = [changed(task, renamed(task, "a")), changed(task, renamed(task, "b"))]
    assert await engine.tasks.commit(both) == {task.id}
    results = await asyncio.gather(
        *(engine.tasks.commit([changed(renamed(task, "a"), renamed(renamed(task, "a"), str(n)))]) for n in range(20))
    )
    assert sum(len(applied) for applied in results) == 1
    assert (await engine.tasks.get([task.id]))[task.id].version == 3


async def test_history_is_a_chain_of_changes_from_the_first_to_the_last(engine: Engine) -> None:
    task = make.task(1)
    await engine.tasks.insert([make.entry(task)])
    for title in "abc":
        after = renamed(task, title)
        await engine.tasks.commit([changed(task, after)])
        task = after
    whole = [msgspec.json.decode(event) for event in await engine.tasks.history(task.id, 0, 10)]
    assert [event["data"]["version"] for event in whole] == [1, 2, 3, 4]
    assert [event["data"]["changes"].get("title") for event in whole] == [
        None, ["Task 1", "a"], ["a", "b"], ["b", "c"],
    ]  # fmt: skip
    assert [msgspec.json.decode(event) for event in await engine.tasks.history(task.id, 2, 1)] == [whole[2]]


async def test_alarms_ring_when_due_and_are_put_out_by_a_change(engine: Engine) -> None:
    now = engine.clock.now()
    due, later_on = make.task(1), make.task(2)
    entries = [
        replace(make.entry(due), wake_at=now, remind_at=later(now, 5)),
        replace(make.entry(later_on), wake_at=later(now, 10)),
    ]
    await engine.tasks.insert(entries)
    assert [(task.id, wake, remind) for task, wake, remind in await engine.tasks.alarms(now, 10)] == [(1, True, False)]
    rung = Change(task_id=due.id, expected_version=1, after=due, wake_at=None)
    await engine.tasks.commit([rung])
    assert await engine.tasks.alarms(now, 10) == []
    found = await engine.tasks.alarms(later(now, 10), 10)
    assert sorted((task.id, wake, remind) for task, wake, remind in found) == [(1, False, True), (2, True, False)]
    assert (await engine.tasks.get([due.id]))[due.id].version == 1


async def test_totals_add_up_over_finished_jobs(engine: Engine) -> None:
    started, finished = at(1_000), at(1_250)
    for number in (1, 2):
        job = make.task(number, handler="reverse", status=Status.IN_PROGRESS, started_at=started)
        await engine.tasks.insert([make.entry(job)])
        await engine.tasks.commit([changed(job, tasks.complete(job, Raw(b"1"), finished))])
    assert await engine.tasks.totals() == (2, 500)


FILTERS = [
    (TaskFilter(performer_id=2), {1, 3}),
    (TaskFilter(creator_id=1), {1, 2, 3}),
    (TaskFilter(creator_id=9), {4}),
    (TaskFilter(observer_id=5), {2}),
    (TaskFilter(statuses=(Status.DONE,)), {3}),
    (TaskFilter(statuses=(Status.DONE, Status.PENDING)), {1, 2, 3, 4}),
    (TaskFilter(handler="sleep"), {4}),
    (TaskFilter(job=True), {4}),
    (TaskFilter(job=False), {1, 2, 3}),
    (TaskFilter(label="red"), {1, 2}),
    (TaskFilter(q="100%"), {2}),
    (TaskFilter(q="_"), {3}),
    (TaskFilter(q="PLANTS"), {1}),
    (TaskFilter(q="needle"), {4}),
    (TaskFilter(due_before=at(5_000)), {1}),
    (TaskFilter(updated_after=at(9_000)), {4}),
    (TaskFilter(label="red", performer_id=2), {1}),
]


@pytest.mark.parametrize(("wanted", "ids"), FILTERS)
async def test_filters(engine: Engine, wanted: TaskFilter, ids: set[int]) -> None:
    some = [
        make.task(1, title="Water the plants", performer_id=2, labels=("red",), due_at=at(1_000), updated_at=at(1)),
        make.task(2, title="100% sure", observer_ids=(5,), labels=("red", "blue"), updated_at=at(2)),
        make.task(3, title="snake_case", performer_id=2, status=Status.DONE, due_at=at(5_000), updated_at=at(3)),
        make.task(4, description="a needle", creator_id=9, handler="sleep", updated_at=at(9_001)),
    ]
    await engine.tasks.insert([make.entry(task) for task in some])
    assert {task.id for task in await engine.tasks.find(TaskQuery(filter=wanted))} == ids
    assert await engine.tasks.count(wanted) == len(ids)
    assert {task.id for task in some if wanted.matches(task)} == ids, "those who watch decide as the store does"


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seeds=st.lists(
        st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 9), st.none() | st.integers(0, 3)),
        min_size=1,
        max_size=25,
    ),
    sort=st.sampled_from(SORTS),
    descending=st.booleans(),
    limit=st.integers(1, 7),
    inserted_after=st.integers(0, 3),
)
async def test_pages_are_complete_and_repeat_nothing_under_inserts(
    tmp_path: Path, seeds: list[tuple[int, int, int, int | None]], sort: str, descending: bool, limit: int,
    inserted_after: int,
) -> None:  # fmt: skip
    async with open_engine("sqlite-memory", tmp_path) as engine:
        there = [
            make.task(n, created_at=at(c), updated_at=at(u), priority=p, due_at=None if d is None else at(d))
            for n, (c, u, p, d) in enumerate(seeds, 1)
        ]
        await engine.tasks.insert([make.entry(task) for task in there])
        seen: list[Task] = []
        query = TaskQuery(sort=sort, descending=descending, limit=limit)
        pages = 0
        while page := await engine.tasks.find(query):
            seen += page
            pages += 1
            if pages == inserted_after:
                await engine.tasks.insert([make.entry(make.task(1_000 + n, priority=n % 10)) for n in range(5)])
            last = page[-1]
            value = tasks.due_key(last) if sort == "due_at" else getattr(last, sort)
            query = msgspec.structs.replace(query, after=Cursor(query.order, value, last.id))
    ids = [task.id for task in seen]
    assert len(ids) == len(set(ids))
    assert {TaskId(n) for n in range(1, len(seeds) + 1)} <= set(ids)
    keys = [(tasks.due_key(t) if sort == "due_at" else getattr(t, sort), t.id) for t in seen]
    assert keys == sorted(keys, reverse=descending)
