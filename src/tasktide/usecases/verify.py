"""The proof that nothing was lost: log, stores and inboxes held against each other."""

from collections.abc import AsyncIterator, Collection, Sequence

import msgspec
from msgspec import Raw, Struct

from tasktide.domain import audience, events
from tasktide.domain.events import NotificationPlanned, TaskEvent, TaskIngested
from tasktide.domain.findings import Fault, Findings
from tasktide.domain.ids import TaskId, UserId
from tasktide.ports.evidence import Evidence, Exceptions, KeptEvent
from tasktide.ports.log import Stored

_decode_fields = msgspec.json.Decoder(dict[str, Raw]).decode


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
    """

    def __init__(self, evidence: Evidence) -> None:
        self._evidence = evidence
        self.findings = Findings()
        self._exceptions = Exceptions(frozenset(), frozenset(), frozenset())
        self._versions: dict[TaskId, int] = {}
        self._submitted: dict[TaskId, int] = {}
        # Planned notifications by (event, user), with the position of the first record that says so.
        self._planned: dict[tuple[str, UserId], int] = {}

    async def run(self, accepted: Collection[TaskId] = ()) -> Findings:
        """Look at everything; `accepted` are ids that a client saw accepted."""
        self._exceptions = await self._evidence.exceptions()
        for line in await self._evidence.damage():
            self.findings.add(Fault.DAMAGED, "file", line)
        await self._check_tasks()
        await self._check_submissions(accepted)
        await self._read_plans()
        await self._check_events()
        await self._check_inboxes()
        return self.findings

    async def _check_tasks(self) -> None:
        """Each task has the history that leads to it, version by version."""
        history = _Cursor(self._evidence.history())
        async for page in self._evidence.tasks():
            for kept in page:
                self.findings.tasks += 1
                self._versions[kept.task_id] = kept.version
                subject = f"task {kept.task_id}"
                while (event := await history.peek()) is not None and event.task_id < kept.task_id:
                    self._of_no_task(event)
                    await history.next()
                fields = _decode_fields(kept.body)
                if (bytes(fields["version"]), bytes(fields["status"])) != _shown(kept.version, kept.status):
                    self.findings.add(Fault.DAMAGED, subject, "what it is found by differs from what it is")
                expected = 1
                while (event := await history.peek()) is not None and event.task_id == kept.task_id:
                    await history.next()
                    for version in range(expected, event.version):
                        self.findings.add(Fault.MISSING, subject, f"no history of version {version}")
                    expected = event.version + 1
                    self._replay(subject, fields, event, is_last=event.version == kept.version)
                if expected != kept.version + 1:
                    detail = f"history ends at version {expected - 1}, the task is at {kept.version}"
                    self.findings.add(Fault.MISSING, subject, detail)
        while (event := await history.peek()) is not None:
            self._of_no_task(event)
            await history.next()

    def _of_no_task(self, event: KeptEvent) -> None:
        self.findings.add(Fault.MISSING, f"task {event.task_id}", f"there is history of version {event.version} alone")

    def _replay(self, subject: str, fields: dict[str, Raw], event: KeptEvent, *, is_last: bool) -> None:
        """What the last event says of a field is what the task shows."""
        if not is_last:
            return
        for name, (_, after) in _decode_history(event.body).data.changes.items():
            if bytes(fields.get(name, Raw(b""))) != bytes(after):
                self.findings.add(Fault.DAMAGED, subject, f"{name} is not what its last event says")

    async def _check_submissions(self, accepted: Collection[TaskId]) -> None:
        """Each submission that was committed is a task, and each task was submitted."""
        records = _Topic(self._evidence, events.TASK_INGESTED, "ingest", self.findings, self._exceptions)
        async for record in records.read():
            event = records.decoded(record)
            if not isinstance(event, TaskIngested):
                continue
            task_id = event.data.id
            self._submitted.setdefault(task_id, record.position)
            if task_id in self._versions or task_id in self._exceptions.deleted or records.is_excused(record):
                continue
            self.findings.add(Fault.MISSING, f"task {task_id}", f"submitted at {record.position} and not stored")
        newest = max(self._submitted, default=0)
        for task_id in self._versions if records.is_whole else ():
            if task_id not in self._submitted and task_id <= newest:
                self.findings.add(Fault.MISSING, f"task {task_id}", "stored, and nobody submitted it")
        for task_id in accepted:
            known = task_id in self._versions or task_id in self._submitted or task_id in self._exceptions.deleted
            if not known:
                self.findings.add(Fault.MISSING, f"task {task_id}", "accepted, and neither on the log nor stored")

    async def _read_plans(self) -> None:
        topic = events.NOTIFICATION_EVENTS
        self._plans = _Topic(self._evidence, topic, "inbox", self.findings, self._exceptions)
        self._late_plans: set[tuple[str, UserId]] = set()
        async for record in self._plans.read():
            event = self._plans.decoded(record)
            if isinstance(event, NotificationPlanned):
                key = (event.data.event_id, event.data.user_id)
                self._planned.setdefault(key, record.position)
                if self._plans.is_excused(record):
                    self._late_plans.add(key)

    async def _check_events(self) -> None:
        """Events of a task come in the order of its versions, none left out, and each was fanned out."""
        records = _Topic(self._evidence, events.TASK_EVENTS, "fanout", self.findings, self._exceptions)
        seen: dict[TaskId, int] = {}
        async for record in records.read():
            event = records.decoded(record)
            if not isinstance(event, TaskEvent):
                continue
            self.findings.events += 1
            task = event.data.task
            last = seen.get(task.id, 0 if records.is_whole else task.version - 1)
            if task.version > last + 1:
                detail = f"version {task.version} comes before version {last + 1}"
                self.findings.add(Fault.DISORDERED, f"task {task.id}", detail)
            seen[task.id] = max(last, task.version)
            if records.is_excused(record) or not self._plans.is_whole:
                continue
            for plan in audience.plan(event):
                if (plan.event_id, plan.user_id) not in self._planned:
                    detail = f"the event {event.id} was not passed on to user {plan.user_id}"
                    self.findings.add(Fault.MISSING, f"task {task.id}", detail)
        for task_id, version in self._versions.items() if records.is_whole else ():
            if seen.get(task_id, 0) < version:
                self.findings.add(Fault.MISSING, f"task {task_id}", f"no event of version {version} on the log")

    async def _check_inboxes(self) -> None:
        """What was planned for a user is in the inbox, once, in the order it was planned."""
        left = set(self._planned)
        told: set[tuple[str, UserId]] = set()
        last: dict[UserId, tuple[int, int]] = {}
        async for page in self._evidence.notifications():
            for kept in page:
                self.findings.notifications += 1
                key = (kept.event_id, kept.user_id)
                subject = f"user {kept.user_id}"
                position = self._planned.get(key)
                if key in told:
                    detail = f"notification {kept.notification_id} repeats the event {kept.event_id}"
                    self.findings.add(Fault.DOUBLED, subject, detail)
                elif position is None and self._plans.is_whole:
                    detail = f"notification {kept.notification_id} of the event {kept.event_id} was never planned"
                    self.findings.add(Fault.DOUBLED, subject, detail)
                if position is not None and key not in told:
                    before, its_id = last.get(kept.user_id, (0, 0))
                    if position < before:
                        detail = f"notification {kept.notification_id} was planned before {its_id} and comes after it"
                        self.findings.add(Fault.DISORDERED, subject, detail)
                    last[kept.user_id] = max((before, its_id), (position, kept.notification_id))
                told.add(key)
                left.discard(key)
        for event_id, user_id in sorted(left - self._late_plans):
            # Somebody with preferences of their own may not have wanted it.
            if user_id not in self._exceptions.choosy:
                self.findings.add(Fault.MISSING, f"user {user_id}", f"not told of the event {event_id}")


class _Topic:
    """The records of a topic, and which of them need not have had their effect."""

    def __init__(self, evidence: Evidence, topic: str, group: str, findings: Findings, exceptions: Exceptions) -> None:
        self._evidence = evidence
        self._topic = topic
        self._group = group
        self._findings = findings
        self._exceptions = exceptions
        self._committed = 0
        self.is_whole = True

    async def read(self) -> AsyncIterator[Stored]:
        """All of them, in order."""
        self._committed = await self._evidence.committed(self._topic, self._group)
        expected = 1
        async for page in self._evidence.log(self._topic):
            for record in page:
                if record.position != expected:
                    self.is_whole = False
                    if record.position - 1 > self._committed:
                        detail = (
                            f"records {max(expected, self._committed + 1)} to {record.position - 1} are gone unread"
                        )
                        self._findings.add(Fault.MISSING, f"topic {self._topic}", detail)
                expected = record.position + 1
                self._findings.waiting += record.position > self._committed
                yield record
        if expected == 1 and self._committed:
            self.is_whole = False

    def decoded(self, record: Stored) -> object:
        """The event; None when nobody can read it, which is a fault unless it was set aside."""
        try:
            return events.decode(self._topic, record.value)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            if not self.is_excused(record):
                detail = f"the record at {record.position} cannot be read and was not set aside"
                self._findings.add(Fault.DAMAGED, f"topic {self._topic}", detail)
            return None

    def is_excused(self, record: Stored) -> bool:
        """Whether the record is still on its way, or is a dead letter."""
        is_late = record.position > self._committed
        return is_late or (self._topic, self._group, record.position) in self._exceptions.parked


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


def _shown(version: int, status: str) -> tuple[bytes, bytes]:
    return msgspec.json.encode(version), msgspec.json.encode(status)
