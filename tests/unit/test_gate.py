"""What the gate does with requests that end in the middle."""

import asyncio
import json
from types import SimpleNamespace
from typing import Any, cast

import pytest
from structlog.testing import capture_logs

from tasktide.interfaces import gate
from tasktide.interfaces.gate import Gate
from tasktide.interfaces.platform import EdgeLimits, Platform
from tasktide.interfaces.protocol import App, Message, Receive, Scope, Send

REQUEST: dict[str, Any] = {"type": "http", "method": "GET", "path": "/tasks/7", "headers": []}


def around(app: App) -> Gate:
    parts = SimpleNamespace(
        limits=EdgeLimits(),
        admission=SimpleNamespace(enabled=False),
        stats=SimpleNamespace(request=lambda *_: None),
    )
    return Gate(app, cast("Platform", parts))


async def nothing() -> Message:
    return {"type": "http.request", "body": b"", "more_body": False}


async def waits(_scope: Scope, _receive: Receive, _send: Send) -> None:
    await asyncio.sleep(60)


async def test_who_does_not_take_the_word_that_their_request_was_cut_off_holds_up_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(gate, "TELL_S", 0.05)

    async def is_not_taken(_message: Message) -> None:
        await asyncio.sleep(60)

    request = asyncio.create_task(around(waits)(dict(REQUEST), nothing, is_not_taken))
    await asyncio.sleep(0)
    with capture_logs() as logged:
        request.cancel()
        done, _ = await asyncio.wait([request], timeout=10)
    assert done == {request}
    assert request.cancelled()
    assert [(line["event"], line["path"]) for line in logged] == [("request cut off", "/tasks/7")]


async def test_a_request_whose_work_is_cancelled_fails_and_is_not_cut_off() -> None:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def fails(_scope: Scope, _receive: Receive, _send: Send) -> None:
        work = asyncio.create_task(asyncio.sleep(60))
        asyncio.get_running_loop().call_soon(work.cancel)
        await work

    with capture_logs() as logged:
        await around(fails)(dict(REQUEST), nothing, send)
    assert (sent[0]["status"], json.loads(sent[1]["body"])["code"]) == (500, "internal")
    assert [(line["event"], line["log_level"]) for line in logged] == [("request failed", "error")]


async def test_an_answer_that_never_got_out_is_replaced_by_why() -> None:
    sent: list[Message] = []
    is_full = asyncio.Event()

    async def has_no_room(message: Message) -> None:
        if not is_full.is_set():
            is_full.set()
            await asyncio.sleep(60)
        sent.append(message)

    async def answers(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})

    request = asyncio.create_task(around(answers)(dict(REQUEST), nothing, has_no_room))
    await is_full.wait()
    request.cancel()
    await asyncio.wait([request], timeout=10)
    assert (sent[0]["status"], json.loads(sent[1]["body"])["code"]) == (503, "unavailable")
