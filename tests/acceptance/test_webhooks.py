"""Webhooks when the server dies or stops in the midst of calling."""

import signal
import time
from pathlib import Path
from typing import Any

import pytest

from support.processes import Program, verified
from support.receiver import Receiver, receiving
from support.server import Person
from support.waiting import eventually

pytestmark = pytest.mark.acceptance

TOLD = 400


def listening(person: Person, receiver: Receiver) -> str:
    """The person's secret; messages are wanted by webhook from now on."""
    made = person.http.put("/notifications/webhook", json={"url": receiver.url})
    assert person.http.put("/notifications/preferences", json={"webhook": {"message": True}}).status_code == 200
    secret: str = made.json()["secret"]
    return secret


def tell(person: Person, count: int) -> None:
    words = [{"user_ids": [person.id], "message": f"Word {number}"} for number in range(count)]
    assert person.http.post("/notifications/batch", json=words).status_code == 202


def test_all_are_called_in_order_however_the_server_ends(tmp_path: Path) -> None:
    with receiving() as receiver, Program(tmp_path / "data", WEBHOOK_NETWORKS="127.0.0.0/8") as program:
        admin = program.person("admin")
        secret = listening(admin, receiver)
        tell(admin, TOLD)
        receiver.delay_s = 0.005
        for part in (1, 2, 3):
            enough = part * TOLD // 5
            eventually(lambda: len(receiver.received) > enough)  # noqa: B023 - awaited within the turn
            if part == 2:
                assert program.stop(signal.SIGTERM) == 0
            else:
                program.kill()
            program.start()
        eventually(lambda: len({headers["webhook-id"] for _, headers, _ in receiver.received}) == TOLD)
        told = [body["data"]["id"] for body in receiver.verified(secret)]
        firsts = list(dict.fromkeys(told))
        assert firsts == [one["id"] for one in inbox(admin)]
        assert len(told) - len(firsts) <= 3, "after a death the one that was under way comes again, and no other"
        time.sleep(1)
        assert len(receiver.received) == len(told), "what was taken is not called again"
    verified(tmp_path / "data")


def inbox(person: Person) -> list[dict[str, Any]]:
    """All of it, oldest first."""
    found: list[dict[str, Any]] = []
    while page := person.http.get("/notifications", params={"after": found[-1]["id"] if found else 0}).json()["items"]:
        found += page
    return found
