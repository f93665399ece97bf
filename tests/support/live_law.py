"""The live law as data: tasks before, what happens to them, and tasks after, for those who follow in other languages.

`python -m support.live_law` prints what web/src/live-law.json must hold (`make docs` writes it).
"""

import json
import re
from random import Random
from typing import Any

import msgspec

from support import make
from tasktide.domain import events, tasks
from tasktide.domain.errors import Conflict
from tasktide.domain.events import TaskEvent
from tasktide.domain.ids import UserId
from tasktide.domain.tasks import Status, Task
from tasktide.domain.times import later

IDS = {"id", "creator_id", "performer_id"}
# Not part of a row.
APART = {"payload", "result"}


def law() -> dict[str, Any]:
    """Twelve tasks, two hundred changes, and what they come to."""
    random = Random(11)
    world = {n: make.task(n, priority=n % 10, labels=("red",) if n % 3 else ()) for n in range(1, 13)}
    before = [row(task) for task in world.values()]
    told: list[TaskEvent] = []
    now = make.NOW
    for step in range(200):
        now = later(now, 1)
        task = world.get(random.choice(sorted(world)))
        assert task is not None
        try:
            after = changed(task, random)(now)
        except Conflict:
            continue  # what a status does not allow does not happen
        if step % 40 == 39:
            told.append(events.deleted(task, "user:1", now))
            del world[task.id]
            continue
        event = events.changed(task, after, "user:1")
        if event.data.changes:
            told.append(event)
            world[task.id] = after
    return {"before": before, "events": [shown(event) for event in told], "after": [row(t) for t in world.values()]}


def changed(task: Task, random: Random) -> Any:
    """One of the things that happen to tasks."""
    values: list[dict[str, object]] = [
        {"status": random.choice(list(Status))},
        {"performer_id": random.choice([None, UserId(1), UserId(2)])},
        {"priority": random.randrange(10)},
        {"labels": random.choice([(), ("red",), ("red", "blue")])},
        {"title": f"title {random.randrange(5)}"},
        {"due_at": random.choice([None, later(make.NOW, random.randrange(1_000))])},
        {"observer_ids": random.choice([(), (UserId(3),)])},
    ]
    chosen = random.choice(values)
    if random.random() < 0.1:
        return lambda now: tasks.cancel(task, now)
    return lambda now: tasks.edit(task, chosen, now)


def row(task: Task) -> dict[str, Any]:
    """A task as a list of the schema shows it."""
    fields = msgspec.json.decode(msgspec.json.encode(task))
    camel = {name: re.sub(r"_([a-z])", lambda match: match[1].upper(), name) for name in fields}
    return {camel[name]: shown_as(name, value) for name, value in fields.items() if name not in APART}


def shown_as(name: str, value: Any) -> Any:
    """One field: ids are text, a status is the name of its member."""
    if name in IDS and value is not None:
        return str(value)
    if name == "observer_ids":
        return [str(one) for one in value]
    return value.upper() if name == "status" else value


def shown(event: TaskEvent) -> dict[str, Any]:
    """An event as the subscription tells it."""
    said = msgspec.json.decode(msgspec.json.encode(event))
    changes = [{"field": field, "before": b, "after": a} for field, (b, a) in said["data"]["changes"].items()]
    return {"type": event.type, "task": row(event.data.task), "changes": changes}


def text() -> str:
    """As the file holds it."""
    return json.dumps(law(), indent=1) + "\n"


if __name__ == "__main__":
    print(text(), end="")  # noqa: T201 - what it is for
