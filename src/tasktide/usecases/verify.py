"""The proof that nothing was lost: log, stores and inboxes held against each other."""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence

import msgspec
from msgspec import Raw, Struct

from tasktide.domain import audience, events
from tasktide.domain.events import NotificationPlanned, TaskEvent, TaskIngested
from tasktide.domain.findings import Fault, Findings
from tasktide.domain.ids import TaskId, UserId
from tasktide.domain.tasks import Task
from tasktide.ports.evidence import SEARCHED, Exceptions, KeptEvent, KeptRecord, KeptTask, LogEvidence, StoreEvidence

# Who must have handled a record before its effect can be asked for, by topic.
GROUPS = {
    topic: events.READERS[topic][0] for topic in (events.TASK_INGESTED, events.TASK_EVENTS, events.NOTIFICATION_EVENTS)
}

_decode_fields = msgspec.json.Decoder(dict[str, Raw]).decode
_decode_task = msgspec.json.Decoder(Task).decode
_encode = msgspec.json.Encoder().encode


class _HistoryData(Struct):
    version: int
    changes: dict[str, tuple[Raw, Raw]]


class _HistoryItem(Struct):
    data: _HistoryData


_decode_history = msgspec.json.Decoder(_HistoryItem).decode


class Verification:
    """One run. Needs about 500 bytes of memory for each task and notification.

    A record that its pipeline has not committed is on its way; one that has been committed must have had its effect.
    What retention has removed from the log is not judged.

    The platform may work on meanwhile: how far each group is is asked first, so that what it has committed has had its
    effect by the time this is looked for; and effects are read before their causes, so that every effect has one.
    """

    def __init__(self, log: LogEvidence, stores: StoreEvidence) -> None:
        self._log = log
        self._evidence = stores
        self.findings = Findings()
        self._exceptions = Exceptions(frozenset(), frozenset(), frozenset())
        self._committed: dict[str, Mapping[int, int]] = {}
        self._versions: dict[TaskId, int] = {}
        self._digests: dict[TaskId, int] = {}
        # Notifications by (event, user): the id of the first, and a digest of what it says.
        self._told: dict[tuple[str, UserId], tuple[int, int]] = {}
        self._planned: set[tuple[str, UserId]] = set()
        # Tasks whose first event is on the log, all that a batch that was stored at once has there, and those of them
        # that must be stored.
        self._created: set[TaskId] = set()
        self._stored: set[TaskId] = set()
        self._events_are_whole = False

    async def run(self, accepted: Collection[TaskId] = ()) -> Findings:
        """Look at everything; `accepted` are ids that a client saw accepted."""
        for topic, group in GROUPS.items():
            self._committed[topic] = await self._log.committed(topic, group)
        self._exceptions = await self._evidence.exceptions()
        for line in await self._evidence.damage():
            self.findings.add(Fault.DAMAGED, "file", line)
        await self._read_inboxes()
        await self._check_tasks()
        outgoing = await self._evidence.outgoing()
        self.findings.waiting += outgoing
        self._exceptions = await self._evidence.exceptions()
        await self._check_plans()
        await self._check_events(has_more=outgoing > 0)
        await self._check_submissions(accepted)
        return self.findings

    async def _check_tasks(self) -> None:
        """Each task has the history that leads to it, version by version."""
        history = _Cursor(self._evidence.history())
        async for page in self._evidence.tasks():
            for kept in page:
                self.findings.tasks += 1
                version: int = kept.searched[0]
                self._versions[kept.task_id] = version
                subject = f"task {kept.task_id}"
                while (event := await history.peek()) is not None and event.task_id < kept.task_id:
                    self._of_no_task(event)
                    await history.next()
                fields = self._fields(kept)
                for name in _differing(kept, fields):
                    self.findings.add(Fault.DAMAGED, subject, f"the {name} that it is found by differs from what it is")
                expected = 1
                while (event := await history.peek()) is not None and event.task_id == kept.task_id:
                    await history.next()
                    for one in range(expected, event.version):
                        self.findings.add(Fault.MISSING, subject, f"no history of version {one}")
                    expected = event.version + 1
                    if fields and event.version == version:
                        self._replay(subject, fields, event)
                if expected != version + 1:
                    detail = f"history ends at version {expected - 1}, the task is at {version}"
                    self.findings.add(Fault.MISSING, subject, detail)
        while (event := await history.peek()) is not None:
            self._of_no_task(event)
            await history.next()

    def _of_no_task(self, event: KeptEvent) -> None:
        self.findings.add(Fault.MISSING, f"task {event.task_id}", f"there is history of version {event.version} alone")

    def _fields(self, kept: KeptTask) -> dict[str, Raw]:
        """What the task is; nothing when nobody can read it."""
        try:
            self._digests[kept.task_id] = _digest(_decode_task(kept.body))
            return _decode_fields(kept.body)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            self.findings.add(Fault.DAMAGED, f"task {kept.task_id}", "it cannot be read")
            return {}

    def _replay(self, subject: str, fields: dict[str, Raw], event: KeptEvent) -> None:
        """What the last event says of a field is what the task shows."""
        try:
            changes = _decode_history(event.body).data.changes
        except (msgspec.MsgspecError, UnicodeDecodeError):
            self.findings.add(Fault.DAMAGED, subject, f"its history of version {event.version} cannot be read")
            return
        for name, (_, after) in changes.items():
            if bytes(fields.get(name, Raw(b""))) != bytes(after):
                self.findings.add(Fault.DAMAGED, subject, f"{name} is not what its last event says")

    async def _read_inboxes(self) -> None:
        """No event tells a user twice."""
        async for page in self._evidence.notifications():
            for kept in page:
                self.findings.notifications += 1
                key = (kept.event_id, kept.user_id)
                first, _ = self._told.setdefault(key, (kept.notification_id, hash(kept.content)))
                if first != kept.notification_id:
                    detail = f"notification {kept.notification_id} repeats the event {kept.event_id}"
                    self.findings.add(Fault.DOUBLED, f"user {kept.user_id}", detail)

    async def _check_plans(self) -> None:
        """What was planned for a user is in the inbox, in the order it was planned, and nothing else is."""
        self._plans = self._topic(events.NOTIFICATION_EVENTS)
        last: dict[UserId, int] = {}
        async for record in self._plans.read():
            event = self._plans.decoded(record)
            if not isinstance(event, NotificationPlanned):
                continue
            user_id, event_id = event.data.user_id, event.data.event_id
            if (event_id, user_id) in self._planned:
                continue  # said again
            self._planned.add((event_id, user_id))
            told = self._told.get((event_id, user_id))
            if told is None:
                # Somebody with preferences of their own may not have wanted it.
                if not self._plans.is_excused(record) and user_id not in self._exceptions.choosy:
                    self.findings.add(Fault.MISSING, f"user {user_id}", f"not told of the event {event_id}")
                continue
            number, content = told
            if content != hash((str(event.data.kind), event.data.task_id, event.data.message)):
                self.findings.add(Fault.DAMAGED, f"user {user_id}", f"notification {number} is not what was planned")
            if number < last.get(user_id, 0):
                detail = f"notification {number} was planned after {last[user_id]} and comes before it"
                self.findings.add(Fault.DISORDERED, f"user {user_id}", detail)
            last[user_id] = max(number, last.get(user_id, 0))
        for (event_id, user_id), (number, _) in self._told.items() if self._plans.is_whole else ():
            if (event_id, user_id) not in self._planned:
                detail = f"notification {number} of the event {event_id} was never planned"
                self.findings.add(Fault.DOUBLED, f"user {user_id}", detail)

    async def _check_events(self, *, has_more: bool) -> None:
        """Events of a task come in the order of its versions, none left out, with a plan for each person concerned.

        While the stores have more to say, the last versions of a task, and the last plans, may not be on the log yet.
        """
        records = self._topic(events.TASK_EVENTS)
        seen: dict[TaskId, int] = {}
        async for record in records.read():
            event = records.decoded(record)
            if not isinstance(event, TaskEvent):
                continue
            self.findings.events += 1
            task = event.data.task
            if event.type == "task.created":
                self._created.add(task.id)
                if not records.is_excused(record):
                    self._stored.add(task.id)
            last = seen.get(task.id, 0 if records.is_whole else task.version - 1)
            if task.version > last + 1:
                detail = f"version {task.version} comes before version {last + 1}"
                self.findings.add(Fault.DISORDERED, f"task {task.id}", detail)
            seen[task.id] = max(last, task.version)
            if self._versions.get(task.id) == task.version and self._digests.get(task.id) != _digest(task):
                self.findings.add(Fault.DAMAGED, f"task {task.id}", "it is not what its last event on the log carries")
            if not (has_more or records.is_late(record)) and self._plans.is_whole:
                self._check_told(event)
        self._events_are_whole = records.is_whole
        for task_id, version in self._versions.items() if records.is_whole and not has_more else ():
            if seen.get(task_id, 0) < version:
                self.findings.add(Fault.MISSING, f"task {task_id}", f"no event of version {version} on the log")

    def _check_told(self, event: TaskEvent) -> None:
        """There is a plan for each person whom the event concerns."""
        for plan in audience.plan(event):
            if (plan.event_id, plan.user_id) not in self._planned:
                detail = f"the event {event.id} was not passed on to user {plan.user_id}"
                self.findings.add(Fault.MISSING, f"task {event.data.task.id}", detail)

    async def _check_submissions(self, accepted: Collection[TaskId]) -> None:
        """Each submission that was committed is a task, and each task was submitted."""
        records = self._topic(events.TASK_INGESTED)
        submitted: set[TaskId] = set()
        async for record in records.read():
            event = records.decoded(record)
            if not isinstance(event, TaskIngested):
                continue
            task_id = event.data.id
            submitted.add(task_id)
            if task_id in self._versions or task_id in self._exceptions.deleted or records.is_excused(record):
                continue
            self.findings.add(Fault.MISSING, f"task {task_id}", f"submitted at {record.number} and not stored")
        for task_id in sorted(self._stored - submitted - self._versions.keys() - self._exceptions.deleted):
            self.findings.add(Fault.MISSING, f"task {task_id}", "its first event is on the log, and it is not stored")
        submitted |= self._created
        newest = max(submitted, default=0)
        for task_id in self._versions if records.is_whole and self._events_are_whole else ():
            if task_id not in submitted and task_id <= newest:
                self.findings.add(Fault.MISSING, f"task {task_id}", "stored, and nobody submitted it")
        for task_id in accepted:
            if not (task_id in self._versions or task_id in submitted or task_id in self._exceptions.deleted):
                self.findings.add(Fault.MISSING, f"task {task_id}", "accepted, and neither on the log nor stored")

    def _topic(self, topic: str) -> "_Topic":
        return _Topic(self._log, topic, self._committed[topic], self.findings, self._exceptions)


class _Topic:
    """The records of a topic, and which of them need not have had their effect."""

    def __init__(
        self,
        log: LogEvidence,
        topic: str,
        committed: Mapping[int, int],
        findings: Findings,
        exceptions: Exceptions,
    ) -> None:
        self._log = log
        self._topic = topic
        self._group = GROUPS[topic]
        self._committed = committed
        self._findings = findings
        self._exceptions = exceptions
        self.is_whole = True

    async def read(self) -> AsyncIterator[KeptRecord]:
        """All of them, each partition in order."""
        last: dict[int, int] = {}
        async for page in self._log.log(self._topic):
            for one in page:
                self._check_gap(last.get(one.partition, 0), one)
                last[one.partition] = one.number
                self._findings.waiting += one.number > self._committed.get(one.partition, 0)
                yield one
        for partition, committed in self._committed.items():
            if committed and partition not in last:
                self.is_whole = False  # all of them were handled, and removed
            elif last.get(partition, 0) < committed:
                self._gone(last[partition] + 1, committed, "from the end")

    def decoded(self, one: KeptRecord) -> object:
        """The event; None when nobody can read it, which is a fault unless it was set aside."""
        try:
            return events.decode(self._topic, one.record.value)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            if not self.is_excused(one):
                detail = f"the record at {one.number} cannot be read and was not set aside"
                self._findings.add(Fault.DAMAGED, f"topic {self._topic}", detail)
            return None

    def is_excused(self, one: KeptRecord) -> bool:
        """Whether the record is still on its way, or is a dead letter."""
        return self.is_late(one) or (self._topic, self._group, one.record.position) in self._exceptions.parked

    def is_late(self, one: KeptRecord) -> bool:
        """Whether the record was not handled when this was asked."""
        return one.number > self._committed.get(one.partition, 0)

    def _check_gap(self, last: int, one: KeptRecord) -> None:
        """Retention removes the oldest alone, and none that was not handled."""
        committed = self._committed.get(one.partition, 0)
        if last and one.number > last + 1:
            self._gone(last + 1, one.number - 1, "from between others")
        elif one.number > last + 1:
            self.is_whole = False
            if one.number - 1 > committed:
                self._gone(committed + 1, one.number - 1, "unread")

    def _gone(self, first: int, last: int, how: str) -> None:
        self._findings.add(Fault.MISSING, f"topic {self._topic}", f"records {first} to {last} are gone {how}")


class _Cursor:
    """A stream of pages read one by one, with a look ahead."""

    def __init__(self, pages: AsyncIterator[Sequence[KeptEvent]]) -> None:
        self._pages = pages
        self._page: Sequence[KeptEvent] = ()
        self._index = 0

    async def peek(self) -> KeptEvent | None:
        if self._index >= len(self._page):
            self._page = ()
            async for page in self._pages:
                self._page = page
                break
            self._index = 0
        return self._page[self._index] if self._page else None

    async def next(self) -> None:
        self._index += 1


def _digest(task: Task) -> int:
    return hash(_encode(task))


def _differing(kept: KeptTask, fields: dict[str, Raw]) -> list[str]:
    """Which of the fields that it is searched by are not as the task itself has them."""
    shown = zip(SEARCHED, kept.searched, strict=True)
    return [name for name, value in shown if fields and bytes(fields[name]) != _encode(value)]
