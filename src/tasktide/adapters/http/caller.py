"""Webhooks over HTTP, to the public Internet alone."""

import socket
from collections.abc import Collection
from ipaddress import ip_address
from typing import Any

import aiohttp
from yarl import URL

from tasktide.domain.deliveries import Refused
from tasktide.domain.errors import Unavailable
from tasktide.domain.webhooks import Call, Network, is_allowed

ENGINE = "webhook"
# For a call as a whole: names, connection, request, and the head of the answer.
CALL_S = 10.0
CONNECT_S = 5.0
# Connections at once, also those that are kept for the next call: more than there are lanes, so that trials find room.
CONNECTIONS = 200


class _PrivateAddress(OSError):
    """An address that must not be called. All say the same, so that a name with several is told as one is."""

    def __init__(self) -> None:
        super().__init__("an address of a private network")


class HttpCaller:
    """`ports.webhooks.Caller`. What answers 2xx has taken the call, what answers 410 wants none any more.

    Every address is looked at where the connection to it is made: a name that leads to another address a moment later
    leads nowhere else. Redirects are not followed, proxies of the environment not used, and answers not read.
    """

    def __init__(self, private: Collection[Network] = ()) -> None:
        self._private = private
        self._session: aiohttp.ClientSession | None = None
        self._resolver: aiohttp.AsyncResolver | None = None

    async def call(self, call: Call) -> None:
        """See the port."""
        try:
            address = URL(call.url, encoded=True)
            request = self._open().post(address, data=call.body, headers=call.headers, allow_redirects=False)
            async with request as answer:
                status = answer.status
        except (aiohttp.InvalidURL, ValueError) as wrong:
            raise Refused("This is no address.") from wrong
        except aiohttp.ClientConnectorError as away:
            if isinstance(away.os_error, _PrivateAddress):
                raise Refused("The name leads to a private network, which this server does not call.") from away
            raise Unavailable.since(ENGINE, "The receiver cannot be reached.", away) from away
        except (aiohttp.ClientError, TimeoutError, OSError) as away:
            raise Unavailable.since(ENGINE, "The receiver does not answer.", away) from away
        if status == 410:  # noqa: PLR2004 - Gone
            raise Refused("The receiver answers 410: it is gone.")
        if not 200 <= status < 300:  # noqa: PLR2004 - what means success
            raise Unavailable(ENGINE, f"The receiver answers {status}.")

    async def close(self) -> None:
        """Give up all connections; twice is fine."""
        session, self._session = self._session, None
        resolver, self._resolver = self._resolver, None
        if session is not None:
            await session.close()
        if resolver is not None:
            await resolver.close()

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._resolver = aiohttp.AsyncResolver()
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=CONNECTIONS, resolver=self._resolver, socket_factory=self._socket),
                timeout=aiohttp.ClientTimeout(total=CALL_S, sock_connect=CONNECT_S),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
            )
        return self._session

    def _socket(self, info: tuple[Any, ...]) -> socket.socket:
        """A socket for one address, as `getaddrinfo` tells it."""
        family, kind, protocol, _, address = info
        if not is_allowed(ip_address(address[0]), self._private):
            raise _PrivateAddress
        return socket.socket(family, kind, protocol)
