"""One SQLite file: a writer thread with group commit, and readers of their own."""

import asyncio
import contextlib
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar

from tasktide.domain.errors import Unavailable

T = TypeVar("T")

MEMORY = ":memory:"
# What opening or migrating a file may raise.
Failure = sqlite3.Error
VERSION = sqlite3.sqlite_version_info
ENGINE = "sqlite"
# Works in one transaction: bounds how long the first of them waits for the last.
GROUP = 500
# Works that may wait; past it writers are refused, so that a slow disk cannot fill the memory.
WAITING = 20_000
READERS = 2
# Rows in one statement, and statements kept compiled: some sizes of each.
SIZES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1_024)
MOST_ROWS = SIZES[-1]
STATEMENTS = 400
# Searches that may run or wait; past it they are refused.
SEARCHES = 64
QUERY_TIMEOUT_S = 10.0
# How long another process's write is waited for, and how often it is looked where SQLite does not wait itself.
BUSY_S = 10.0
BUSY_LOOK_S = 0.005
_AWAY = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_INTERRUPT,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_NOTADB,
}


class Transaction:
    """What a work may do: execute statements, and ask for calls on the event loop once they are durable."""

    __slots__ = ("connection", "callbacks")  # fmt: skip  # noqa: RUF023

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        self.callbacks: list[Callable[[], None]] = []

    def execute(self, sql: str, parameters: Any = ()) -> sqlite3.Cursor:
        """Run one statement."""
        return self.connection.execute(sql, parameters)

    def value(self, sql: str, parameters: Any = ()) -> Any:
        """The first column of the first row, None without rows.

        Every row fetched beside a busy event loop may wait 5 ms for the interpreter lock, so that
        statements here gather what they return into one row.
        """
        row = self.connection.execute(sql, parameters).fetchone()
        return None if row is None else row[0]

    def rows(self, sql: str, rows: Sequence[Sequence[Any]]) -> list[sqlite3.Cursor]:
        """Run a statement in whose place of `{rows}` stand the values of many rows: as few times as possible.

        A statement that gets its rows as values costs a third of one that takes them apart from JSON. Beside a busy
        event loop each call waits for the interpreter lock, so rows are filled up to the next size that is kept
        compiled: the last row may be there several times, which must make no difference to the statement.
        """
        cursors = []
        for start in range(0, len(rows), MOST_ROWS):
            some = rows[start : start + MOST_ROWS]
            size = next(size for size in SIZES if size >= len(some))
            values = list(chain.from_iterable(some)) + list(some[-1]) * (size - len(some))
            cursors.append(self.connection.execute(_with_rows(sql, len(some[0]), size), values))
        return cursors

    def after_commit(self, callback: Callable[[], None]) -> None:
        """Call back on the event loop after the commit, in the order of commits."""
        self.callbacks.append(callback)


Work = Callable[[Transaction], T]


class _Job:
    __slots__ = ("callbacks", "done", "error", "is_whole", "result", "work")

    def __init__(self, work: Work[Any], done: Callable[[Any, Exception | None], None], *, is_whole: bool) -> None:
        self.work = work
        self.done = done
        self.is_whole = is_whole
        self.result: Any = None
        self.error: Exception | None = None
        self.callbacks: list[Callable[[], None]] = []


class Database:
    """Opened on the event loop that uses it; `close` waits until everything submitted is durable."""

    def __init__(self, path: Path | str) -> None:
        self._path = str(path)
        self._loop = asyncio.get_running_loop()
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._waiting = 0
        self._closed = False
        self._connection = connect(self._path)
        self._local = threading.local()
        self._reading: list[sqlite3.Connection] = []
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="sqlite-reader")
        self._searchers = ThreadPoolExecutor(1, thread_name_prefix="sqlite-searcher")
        self._searching = 0
        self._thread = threading.Thread(target=self._write, name="sqlite-writer", daemon=True)
        self._thread.start()

    def submit(self, work: Work[Any], done: Callable[[Any, Exception | None], None], *, is_whole: bool = False) -> None:
        """Run a work in a coming transaction; `done` gets its result after the commit, or the error.

        A work of which each statement is whole in itself needs no transaction around it when it is alone: each call
        of the library lets the event loop take the interpreter, and may wait a millisecond to have it back.
        """
        if self._closed or self._waiting >= WAITING:
            done(None, Unavailable(ENGINE, "The store has too much to write; try again in a moment."))
            return
        self._waiting += 1
        self._jobs.put(_Job(work, done, is_whole=is_whole))

    async def run(self, work: Work[T], *, is_whole: bool = False) -> T:
        """Run a work in a coming transaction; durable when it returns. `is_whole`: see `submit`.

        Works share transactions and run in the order of their calls. One that fails changes nothing
        and leaves the others alone; a work must be repeatable until it has returned.
        """
        future: asyncio.Future[T] = self._loop.create_future()
        self.submit(work, lambda result, error: settle(future, result, error), is_whole=is_whole)
        return await future

    async def read(self, work: Work[T]) -> T:
        """Run a short read beside the writer, on what is committed."""
        return await self._read_in(self._readers, work)

    async def search(self, work: Work[T]) -> T:
        """As `read`, for what may take long: in a thread of its own, so that it holds up no short read."""
        if self._searching >= SEARCHES:
            raise Unavailable(ENGINE, "Too many searches at once; try again in a moment.")
        self._searching += 1
        try:
            return await self._read_in(self._searchers, work)
        finally:
            self._searching -= 1

    async def _read_in(self, threads: ThreadPoolExecutor, work: Work[T]) -> T:
        if self._path == MEMORY:
            return await self.run(work)
        deadline = time.monotonic() + QUERY_TIMEOUT_S
        try:
            return await self._loop.run_in_executor(threads, self._read, work, deadline)
        except sqlite3.Error as error:
            raise translate(error) from error

    async def close(self) -> None:
        """Finish what was submitted, then close the file; twice is fine."""
        if self._closed:
            return
        self._closed = True
        self._jobs.put(None)
        await asyncio.to_thread(self._thread.join)
        await asyncio.sleep(0)  # lets the last results, handed over before the thread ended, arrive
        for threads in (self._readers, self._searchers):
            await asyncio.to_thread(threads.shutdown)
        for connection in (*self._reading, self._connection):
            connection.close()

    def _read(self, work: Work[T], deadline: float) -> T:
        connection = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = connect(self._path, readonly=True)
            self._reading.append(connection)
        connection.set_progress_handler(lambda: time.monotonic() > deadline, 100_000)
        return work(Transaction(connection))

    def _write(self) -> None:
        stop = False
        while not stop:
            group = self._next_group()
            stop = group[-1] is None
            jobs = [job for job in group if job is not None]
            if not jobs:
                continue
            self._commit(jobs)
            with contextlib.suppress(RuntimeError):  # the loop is gone: nobody is left to be told
                self._loop.call_soon_threadsafe(self._deliver, jobs)

    def _next_group(self) -> list[_Job | None]:
        group = [self._jobs.get()]
        while group[-1] is not None and len(group) < GROUP:
            try:
                group.append(self._jobs.get_nowait())
            except queue.Empty:
                break
        return group

    def _commit(self, jobs: list[_Job]) -> None:
        try:
            self._transact(jobs)
        except Exception as error:  # noqa: BLE001 - whatever a work raises is its caller's
            if len(jobs) == 1:
                jobs[0].error = error
                return
            # One work spoiled the shared transaction: give each its own.
            for job in jobs:
                self._commit([job])

    def _transact(self, jobs: list[_Job]) -> None:
        connection = self._connection
        if len(jobs) == 1 and jobs[0].is_whole:
            [job] = jobs
            transaction = Transaction(connection)
            job.result = job.work(transaction)
            job.callbacks = transaction.callbacks
            return
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.Error as error:
            for job in jobs:  # none of them is at fault, and each alone would wait as long for the file
                job.error = error
            return
        try:
            for job in jobs:
                transaction = Transaction(connection)
                job.result = job.work(transaction)
                job.callbacks = transaction.callbacks
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise

    def _deliver(self, jobs: list[_Job]) -> None:
        self._waiting -= len(jobs)
        for job in jobs:
            if job.error is None:
                for callback in job.callbacks:
                    callback()
            error = translate(job.error) if isinstance(job.error, sqlite3.Error) else job.error
            job.done(job.result, error)


@lru_cache(maxsize=1_000)
def _with_rows(sql: str, width: int, count: int) -> str:
    row = f"({', '.join('?' * width)})"
    return sql.replace("{rows}", ", ".join([row] * count))


def settle(future: asyncio.Future[T], result: T, error: Exception | None) -> None:
    """Give a future its outcome, unless its waiter has gone."""
    if future.done():
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)


def connect(path: str, *, readonly: bool = False) -> sqlite3.Connection:
    """A connection in autocommit mode with the house's settings; FULL makes each commit survive a power cut."""
    connection = sqlite3.connect(
        path, timeout=BUSY_S, isolation_level=None, check_same_thread=False, cached_statements=STATEMENTS
    )
    _use_wal(connection)
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA cache_size = -32768")
    connection.execute("PRAGMA temp_store = MEMORY")
    connection.execute("PRAGMA wal_autocheckpoint = 4000")
    connection.execute("PRAGMA journal_size_limit = 67108864")
    if readonly:
        connection.execute("PRAGMA query_only = ON")
    return connection


def _use_wal(connection: sqlite3.Connection) -> None:
    """Switch a new file to its journal. SQLite does not wait for another process that does so at the same moment."""
    deadline = time.monotonic() + BUSY_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(BUSY_LOOK_S)
        else:
            return


def translate(error: sqlite3.Error) -> Exception:
    """Unavailable when the engine cannot serve at present; the error itself when our statement is at fault."""
    code = getattr(error, "sqlite_errorcode", None)
    if code is not None and code & 0xFF in _AWAY:
        return Unavailable(ENGINE, f"The store cannot serve this now: {error}.", retry_after_s=5)
    return error
