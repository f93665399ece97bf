"""The whole platform on a free port, in a thread of this process, and clients for it."""

import asyncio
import contextlib
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
from websockets.sync.client import ClientConnection, connect

from tasktide.roles import run as roles
from tasktide.roles.table import ALL
from tasktide.settings import Settings

PASSWORD = "correct horse"


@contextlib.contextmanager
def serving(folder: Path, **settings: Any) -> Iterator[str]:
    """The platform's address while it runs; what ended it early is raised."""
    chosen = Settings(data_dir=folder, port=0, **({"rate_limiting": False} | settings))
    address: list[str] = []
    failure: list[BaseException] = []
    is_ready = threading.Event()
    stops: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    async def main() -> None:
        stop = asyncio.Event()
        stops.append((asyncio.get_running_loop(), stop))

        def ready(started: roles.Started) -> None:
            address.append(started.address)
            is_ready.set()

        await roles.serve(chosen, ALL, ready, stop)

    def thread() -> None:
        try:
            asyncio.run(main())
        except BaseException as error:  # noqa: BLE001 - shown by the test
            failure.append(error)
        finally:
            is_ready.set()

    running = threading.Thread(target=thread, name="tasktide")
    running.start()
    is_ready.wait(30)
    try:
        if failure:
            raise failure[0]
        yield address[0].replace("localhost", "127.0.0.1")
    finally:
        with contextlib.suppress(RuntimeError):
            loop, stop = stops[0]
            loop.call_soon_threadsafe(stop.set)
        running.join(15)
        assert not running.is_alive(), "the platform did not stop"


class Person:
    """Somebody with an account, signed in: a client with their token."""

    def __init__(self, address: str, name: str) -> None:
        self.address = address
        self._clients: list[httpx.Client] = []
        self.email = f"{name}@example.org"
        with httpx.Client(base_url=address, timeout=30) as anonymous:
            body = {"email": self.email, "name": name.title(), "password": PASSWORD}
            made = anonymous.post("/auth/register", json=body)
            assert made.status_code == 201, made.text
        self.id: int = made.json()["id"]
        self.token = self.sign_in()
        self.http = self.client(self.token)

    def sign_in(self, password: str = PASSWORD) -> str:
        with httpx.Client(base_url=self.address, timeout=30) as anonymous:
            answer = anonymous.post("/auth/login", json={"email": self.email, "password": password})
        assert answer.status_code == 200, answer.text
        token: str = answer.json()["token"]
        return token

    def client(self, token: str) -> httpx.Client:
        client = httpx.Client(base_url=self.address, headers={"authorization": f"Bearer {token}"}, timeout=60)
        self._clients.append(client)
        return client

    def move(self, address: str) -> None:
        """The server is somewhere else now."""
        self.address = address
        self.http = self.client(self.token)

    def close(self) -> None:
        """Close all clients."""
        for client in self._clients:
            client.close()

    def submit(self, **body: Any) -> dict[str, Any]:
        answer = self.http.post("/tasks", json=body)
        assert answer.status_code == 202, answer.text
        task: dict[str, Any] = answer.json()
        return task

    def task(self, number: int) -> dict[str, Any]:
        answer = self.http.get(f"/tasks/{number}")
        assert answer.status_code == 200, answer.text
        task: dict[str, Any] = answer.json()
        return task

    def finished(self, number: int) -> dict[str, Any]:
        """The task once it is done, failed or cancelled."""
        for _ in range(10):
            if self.http.get(f"/tasks/{number}/result", params={"wait": 10}).status_code != 202:
                break
        return self.task(number)

    def inbox(self, count: int) -> list[dict[str, Any]]:
        """The first `count` notifications, oldest first, waiting for them on the live stream."""
        with self.listen(after=0) as socket:
            return [receive(socket) for _ in range(count)]

    @contextlib.contextmanager
    def listen(self, after: int | None = None) -> Iterator[ClientConnection]:
        """The live stream, signed in."""
        with connect(f"{self.address.replace('http', 'ws')}/tasks/notifications") as socket:
            frame: dict[str, Any] = {"type": "authenticate", "token": self.token}
            socket.send(json.dumps(frame if after is None else frame | {"after": after}))
            assert receive(socket)["type"] == "authenticated"
            yield socket


def receive(socket: ClientConnection) -> dict[str, Any]:
    """The next frame, within ten seconds."""
    frame: dict[str, Any] = json.loads(socket.recv(timeout=10))
    return frame
