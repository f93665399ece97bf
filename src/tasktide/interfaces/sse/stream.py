"""Server-sent events: the live stream for clients that only read."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

from litestar import Request, get
from litestar.di import NamedDependency
from litestar.response import Stream

from tasktide.domain import ids
from tasktide.domain.errors import TasktideError, Unavailable, invalid
from tasktide.domain.ids import NotificationId
from tasktide.interfaces import actor as actors
from tasktide.interfaces import status
from tasktide.interfaces.platform import Platform
from tasktide.usecases.live import LiveStream

# A comment this often keeps proxies from closing a quiet stream.
HEARTBEAT_S = 15.0
LAST_EVENT_ID = "Last-Event-ID"


@get("/events", tags=["live"], media_type="text/event-stream")
async def events(request: Request[Any, Any, Any], platform: NamedDependency[Platform]) -> Stream:
    """My notifications as they come; `id` is the cursor from which `Last-Event-ID` resumes."""
    actor = actors.required(request.scope)
    after = _last_event_id(request.headers.get(LAST_EVENT_ID))
    live = await platform.live.open(actor, after, field=LAST_EVENT_ID)
    headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
    trace_id = str(request.scope.get("trace_id"))
    return Stream(_frames(live, platform, trace_id), media_type="text/event-stream", headers=headers)


async def _frames(live: LiveStream, platform: Platform, trace_id: str) -> AsyncIterator[bytes]:
    platform.stats.listeners("sse", 1)
    reading: asyncio.Task[Any] | None = None
    try:
        # The cursor comes first, so that a client that hears nothing can still resume from here.
        yield b"retry: 1000\nid: %d\n: connected\n\n" % live.cursor
        while True:
            reading = reading or asyncio.create_task(live.read())
            done, _ = await asyncio.wait([reading], timeout=HEARTBEAT_S)
            if not done:
                yield b": \n\n"
                continue
            items, reading = reading.result(), None
            yield b"".join(b"id: %d\nevent: notification\ndata: %b\n\n" % (one.cursor, one.body) for one in items)
    except Unavailable:
        return  # the client's EventSource comes back by itself and resumes
    except TasktideError as error:
        yield b"event: error\ndata: %b\n\n" % status.problem(error, trace_id)[2]
    finally:
        if reading is not None:
            reading.cancel()
            with contextlib.suppress(asyncio.CancelledError, TasktideError):
                await reading
        live.close()
        platform.stats.listeners("sse", -1)


def _last_event_id(header: str | None) -> NotificationId | None:
    if header is None or not header.strip():
        return None
    number = 0 if header.strip() == "0" else ids.parse(header.strip())
    if number is None:
        raise invalid(LAST_EVENT_ID, "must be the id of an event of this stream")
    return NotificationId(number)
