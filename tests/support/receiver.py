"""A program of somebody else's that takes webhooks."""

import contextlib
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import msgspec
from standardwebhooks.webhooks import Webhook as Verifier


class Receiver:
    """Keeps what it is sent, and answers as it is told to."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.url = f"http://127.0.0.1:{port}/hook"
        self.received: list[tuple[str, dict[str, str], bytes]] = []
        self.status = 204
        self.location = ""
        self.delay_s = 0.0

    def verified(self, secret: str) -> list[dict[str, Any]]:
        """The bodies, each checked by the standard's own library."""
        return [msgspec.json.decode(Verifier(secret).verify(body, dict(headers)) and body)
                for _, headers, body in self.received]  # fmt: skip


@contextlib.contextmanager
def receiving() -> Iterator[Receiver]:
    """A receiver while it runs."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            receiver.received.append((self.path, {k.lower(): v for k, v in self.headers.items()}, body))
            time.sleep(receiver.delay_s)
            self.send_response(receiver.status)
            if receiver.location:
                self.send_header("location", receiver.location)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: Any) -> None:
            """Who goes away in the middle is no news."""

    with Server(("127.0.0.1", 0), Handler) as server:
        receiver = Receiver(server.server_address[1])
        running = threading.Thread(target=server.serve_forever, name="receiver")
        running.start()
        try:
            yield receiver
        finally:
            server.shutdown()
            running.join()
