"""Drives a running server and measures what comes back."""

import asyncio
import re
import resource
import ssl
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence

import msgspec

from tasktide.load.connection import Connection
from tasktide.load.plan import Account, Kind, Plan, Requests, probe, senders
from tasktide.load.report import Latencies, Report
from tasktide.load.sockets import Ears

TICK_S = 0.001
POLL_S = 1.0
# Nothing new for so long means that what is missing will not come.
PATIENCE_S = 30.0
AWAY_S = 60.0
ANSWER_S = 30.0
OPEN_S = 60.0
AGAIN_S = 0.25
PROBES = 100
OK = range(200, 300)

Progress = Callable[[str, int, int, int], None]


class CannotDrive(Exception):
    """The server does not answer as it should before the load begins; the message says how."""


class Driver:
    """One run of a plan. Latency counts from the moment an item was due, so that a server that stalls shows it."""

    def __init__(
        self, plan: Plan, accounts: Sequence[Account], accepted: Callable[[bytes], None] | None = None
    ) -> None:
        self._plan = plan
        self._listeners = accounts[: plan.sockets]
        self._accounts = accounts
        self._note = accepted
        self._ears = Ears(plan.url, self._listeners, plan.mark)
        self._latencies = Latencies()
        self._errors: Counter[str] = Counter()
        self._requests: dict[Connection, Requests] = {}
        self._idle: list[Connection] = []
        self._due: deque[int] = deque()
        self._accepted = 0
        self._answers = 0
        self._under_way = 0
        self._is_open = True
        self._opening: set[asyncio.Task[None]] = set()

    async def run(self, progress: Progress = lambda *_: None) -> Report:
        """Connect, send for as long as planned, wait until everything has arrived."""
        plan = self._plan
        await self._check_server()
        task_ids = await self._submit_probes() if plan.kind is Kind.READS else []
        try:
            async with asyncio.timeout(OPEN_S):
                await self._ears.open()
        except TimeoutError:
            raise CannotDrive(f"The live sockets were not all signed in within {OPEN_S:g} s.") from None
        for sender in senders(self._senders(), plan.connections):
            await self._connect(Requests(plan, sender, self._listeners or self._accounts, task_ids))
        stored_before = await self._stored()
        cpu = _cpu_s()
        began = time.monotonic()
        await self._send(began, progress)
        sent_s = time.monotonic() - began
        await self._last_answers()
        answered_s = time.monotonic() - began
        driver_cpu = (_cpu_s() - cpu) / answered_s
        stored_s, is_settled = await self._settle(began, stored_before, progress)
        await self._close()
        heard_s = max(sent_s, self._ears.last_heard - began)
        expected = 0 if plan.kind is Kind.READS or not self._listeners else self._accepted
        return Report(
            kind=plan.kind,
            seconds=round(sent_s, 3),
            connections=plan.connections,
            sockets=len(self._listeners),
            batch=plan.batch,
            offered=plan.rate,
            requests=self._answers,
            accepted=self._accepted,
            accepted_rate=round(self._accepted / max(answered_s, 1e-9), 1),
            stored_rate=None if stored_s is None else round(self._accepted / max(stored_s, 1e-9), 1),
            delivered=self._ears.heard,
            delivered_rate=round(self._ears.heard / max(heard_s, 1e-9), 1),
            expected=expected,
            settle_s=round(max(0.0, max(heard_s, stored_s or 0.0) - answered_s), 3) if is_settled else None,
            accept_ms=self._latencies.summary(),
            frame_ms=self._ears.latencies.summary(),
            errors=dict(self._errors),
            doubled=self._ears.doubled,
            disordered=self._ears.disordered,
            reconnected=self._ears.reconnected,
            driver_cpu=round(driver_cpu, 3),
        )

    def _senders(self) -> Sequence[Account]:
        if self._plan.kind is Kind.NOTIFICATIONS:
            return self._accounts[:1]  # only an admin may send direct notifications
        if self._plan.kind is Kind.JOBS and self._listeners:
            return self._listeners  # whoever made a job is told that it is done
        return self._accounts

    def stop(self) -> None:
        """Send no more; what was accepted is waited for as ever."""
        self._is_open = False

    async def _send(self, began: float, progress: Progress) -> None:
        """Until the time is up: at the rate, or as fast as answers come."""
        plan = self._plan
        until = began + plan.seconds
        period_s = plan.batch / plan.rate if plan.rate else 0.0
        if not plan.rate:
            for connection in list(self._idle):
                self._next(connection)
        offered, shown = 0, began
        while self._is_open and (now := time.monotonic()) < until:
            if period_s:
                while began + offered * period_s <= now:
                    self._offer(round((began + offered * period_s) * 1_000_000))
                    offered += 1
            if now - shown >= POLL_S / 4:
                shown = now
                progress("sending", self._accepted, self._ears.heard, sum(self._errors.values()))
            await asyncio.sleep(TICK_S if period_s else POLL_S / 20)
        self._is_open = False

    def _offer(self, due_us: int) -> None:
        if self._idle:
            self._dispatch(self._idle.pop(), due_us)
        else:
            self._due.append(due_us)

    def _next(self, connection: Connection) -> None:
        """The connection is free: what is due, or, without a rate, the next request at once."""
        if not self._is_open:
            return
        if not self._plan.rate:
            self._dispatch(connection, _now_us())
        elif self._due:
            self._dispatch(connection, self._due.popleft())
        else:
            self._idle.append(connection)

    def _dispatch(self, connection: Connection, due_us: int) -> None:
        if not connection.is_open:
            self._reopen(connection)
            return
        self._under_way += 1
        connection.send(self._requests[connection].next(due_us), due_us)

    def _answered(self, connection: Connection, status: int, body: bytes) -> None:
        self._under_way -= 1
        self._answers += 1
        if status in OK:
            self._latencies.add(_now_us() - connection.sent_us)
            self._accepted += self._plan.batch
            if self._note is not None:
                self._note(body)
            self._next(connection)
            return
        self._errors[_kind(status, body)] += 1
        if status == 0:
            self._reopen(connection)
        else:
            asyncio.get_running_loop().call_later(AGAIN_S, self._next, connection)

    async def _connect(self, requests: Requests) -> None:
        loop = asyncio.get_running_loop()
        connection = Connection(self._answered, whole=self._note is not None)
        context = ssl.create_default_context() if self._plan.is_tls else None
        try:
            await loop.create_connection(lambda: connection, self._plan.host, self._plan.port, ssl=context)
        except OSError as error:
            raise CannotDrive(f"No connection to {self._plan.url}: {error.strerror or error}.") from None
        self._requests[connection] = requests
        self._idle.append(connection)

    def _reopen(self, connection: Connection) -> None:
        requests = self._requests.pop(connection, None)
        if requests is None:
            return

        async def reopen() -> None:
            while self._is_open:
                try:
                    await self._connect(requests)
                except CannotDrive:
                    await asyncio.sleep(AGAIN_S)
                    continue
                self._next(self._idle.pop())
                return

        task = asyncio.create_task(reopen())
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)

    async def _last_answers(self) -> None:
        until = time.monotonic() + ANSWER_S
        while self._under_way and time.monotonic() < until:  # noqa: ASYNC110 - once, at the end; an event costs each
            await asyncio.sleep(TICK_S)

    async def _settle(self, began: float, stored_before: float | None, progress: Progress) -> tuple[float | None, bool]:
        """When the store had everything, in seconds from the beginning, and whether everything has arrived."""
        stored_s: float | None = None
        if self._plan.kind is Kind.READS:
            return None, True
        wanted = self._accepted if self._listeners else 0
        last_news, seen = time.monotonic(), (-1.0, -1)
        while True:
            stored = await self._stored()
            now = time.monotonic()
            if stored_s is None and stored is not None and stored - (stored_before or 0) >= self._accepted:
                stored_s = now - began
            # The counters of a server that was started anew tell nothing, and a gateway without pipelines has none:
            # what came over the live sockets was stored before.
            is_elsewhere = stored is not None and (stored == 0.0 or self._ears.reconnected > 0) and wanted > 0
            is_stored = stored_s is not None or is_elsewhere
            if is_stored and self._ears.heard >= wanted:
                return stored_s, True
            # A server that is away is waited for longer: it may be starting, and storing what it had accepted.
            if stored is None and now - last_news < AWAY_S:
                await asyncio.sleep(AGAIN_S)
                continue
            if (stored or 0, self._ears.heard) != seen:
                seen, last_news = (stored or 0, self._ears.heard), now
            if now - last_news > PATIENCE_S:
                return stored_s, False
            progress("settling", self._accepted, self._ears.heard, sum(self._errors.values()))
            await asyncio.sleep(0.05)

    async def _stored(self) -> float | None:
        status, body = await self._once("GET /metrics HTTP/1.1\r\naccept: text/plain\r\n")
        if status not in OK:
            return None
        pattern = rb'^tasktide_pipeline_records_total\{pipeline="%b"\} (\S+)$' % self._plan.pipeline.encode()
        found = re.search(pattern, body, re.MULTILINE)
        return float(found[1]) if found else 0.0

    async def _check_server(self) -> None:
        status, body = await self._once(f"GET /auth/me HTTP/1.1\r\nauthorization: Bearer {self._accounts[0].token}\r\n")
        if status == 0:
            raise CannotDrive(f"There is no answer from {self._plan.url}.")
        if status not in OK:
            raise CannotDrive(
                f"{self._plan.url} does not take the token ({_kind(status, body)}): is it this data folder's server?"
            )

    async def _submit_probes(self) -> list[int]:
        ids = []
        head = f"POST /tasks HTTP/1.1\r\nauthorization: Bearer {self._accounts[0].token}\r\n"
        for number in range(PROBES):
            status, body = await self._once(head + "content-type: application/json\r\n", probe(number))
            if status not in OK:
                raise CannotDrive(f"POST /tasks was answered with {status}: {body[:200].decode('utf-8', 'replace')}")
            ids.append(int(msgspec.json.decode(body)["id"]))
        return ids

    async def _once(self, head: str, body: bytes = b"") -> tuple[int, bytes]:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[tuple[int, bytes]] = loop.create_future()

        def answered(_connection: Connection, status: int, answer: bytes) -> None:
            if not future.done():
                future.set_result((status, answer))

        connection = Connection(answered, whole=True)
        context = ssl.create_default_context() if self._plan.is_tls else None
        try:
            await loop.create_connection(lambda: connection, self._plan.host, self._plan.port, ssl=context)
        except OSError:
            return 0, b""
        length = f"host: {self._plan.host}:{self._plan.port}\r\ncontent-length: {len(body)}\r\n\r\n"
        connection.send((head + length).encode() + body, _now_us())
        try:
            async with asyncio.timeout(ANSWER_S):
                return await future
        except TimeoutError:
            return 0, b""
        finally:
            connection.close()

    async def _close(self) -> None:
        for connection in self._requests:
            connection.close()
        for task in list(self._opening):
            task.cancel()
        await self._ears.close()


def _kind(status: int, body: bytes) -> str:
    if status == 0:
        return "connection lost"
    try:
        return f"{status} {msgspec.json.decode(body)['code']}"
    except (msgspec.MsgspecError, KeyError, TypeError):
        return str(status)


def _now_us() -> int:
    return time.monotonic_ns() // 1000


def _cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime
