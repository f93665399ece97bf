"""What is looked at before a data folder is served: whether its files are of one moment, and whether it is a copy."""

import contextlib

import msgspec

from tasktide import resources
from tasktide.adapters.sqlite.backup import MARK
from tasktide.adapters.sqlite.database import Database, Transaction
from tasktide.domain import events
from tasktide.domain.times import Timestamp, epoch_ms

SQL = resources.statements(__package__, "whole")
# How far a copy leaps, and for each second of its age: faster than anybody gives out ids on one file.
LEAP, LEAP_A_SECOND = 1_000_000, 10_000

_unpack = msgspec.msgpack.Decoder(list[tuple[str, bytes]]).decode


async def is_torn(base: Database, submissions: Database) -> bool:
    """Whether tasks were submitted with ids that the main file has not leased yet: it is of an earlier moment."""
    body = await submissions.read(lambda tx: tx.value(SQL["newest"], (events.TASK_INGESTED,)))
    if body is None:
        return False
    newest = 0
    for _, value in _unpack(body):
        with contextlib.suppress(msgspec.MsgspecError):  # what cannot be read is a dead letter, in time
            newest = max(newest, events.decode(events.TASK_INGESTED, value).data.id)
    return newest > (await base.read(lambda tx: tx.value(SQL["leased"])) or 0)


async def leap(base: Database, now: Timestamp) -> bool:
    """Lease past all ids that the original of a copy has given out since, once; whether it was a copy.

    So no cursor that a client has from the original hides what the copy tells, and no id means two things.
    """

    def work(transaction: Transaction) -> bool:
        copied_s = transaction.value(SQL["marked"], (MARK,))
        if copied_s is None:
            return False
        age_s = max(0, epoch_ms(now) // 1_000 - copied_s)
        transaction.execute(SQL["leap"], (MARK, LEAP + LEAP_A_SECOND * age_s))
        transaction.execute(SQL["unmark"], (MARK,))
        return True

    return await base.run(work)
