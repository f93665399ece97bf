"""GraphQL over HTTP and over a socket, as a client sees it."""

import contextlib
import json
from collections.abc import Iterator
from typing import Any

import httpx
from websockets.sync.client import ClientConnection, connect

from support.server import Person

PROTOCOL: Any = "graphql-transport-ws"


def ask(client: httpx.Client, query: str, **variables: Any) -> dict[str, Any]:
    """The data; the first error fails the test."""
    answer = raw(client, query, **variables)
    assert "errors" not in answer, answer["errors"]
    data: dict[str, Any] = answer["data"]
    return data


def refused(client: httpx.Client, query: str, **variables: Any) -> dict[str, Any]:
    """The `extensions` of the only error."""
    [error] = raw(client, query, **variables)["errors"]
    extensions: dict[str, Any] = error["extensions"]
    return extensions


def raw(client: httpx.Client, query: str, **variables: Any) -> dict[str, Any]:
    answer = client.post("/graphql", json={"query": query, "variables": variables})
    body: dict[str, Any] = answer.json()
    return body


class Socket:
    """One socket, signed in."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket

    def subscribe(self, query: str, name: str = "1", **variables: Any) -> None:
        payload = {"query": query, "variables": variables}
        self._socket.send(json.dumps({"id": name, "type": "subscribe", "payload": payload}))

    def complete(self, name: str = "1") -> None:
        """Want no more of it."""
        self._socket.send(json.dumps({"id": name, "type": "complete"}))

    def receive(self) -> dict[str, Any]:
        """The next message that is no ping, within ten seconds."""
        while True:
            message: dict[str, Any] = json.loads(self._socket.recv(timeout=10))
            if message["type"] != "ping":
                return message

    def next(self) -> Any:
        """The one field of the next event."""
        message = self.receive()
        assert message["type"] == "next", message
        assert "errors" not in message["payload"], message
        [value] = message["payload"]["data"].values()
        return value

    def failure(self) -> dict[str, Any]:
        """The `extensions` of the error that ends a subscription."""
        payload = self.receive()["payload"]
        [error] = payload["errors"] if isinstance(payload, dict) else payload
        extensions: dict[str, Any] = error["extensions"]
        return extensions


@contextlib.contextmanager
def socket(person: Person, **handshake: Any) -> Iterator[Socket]:
    address = person.address.replace("http", "ws") + "/graphql"
    with connect(address, subprotocols=[PROTOCOL], **handshake) as connection:
        connection.send(json.dumps({"type": "connection_init", "payload": {"token": person.token}}))
        assert json.loads(connection.recv(timeout=10))["type"] == "connection_ack"
        yield Socket(connection)
