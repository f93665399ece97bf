"""Calls over HTTP whose library is loaded with the first of them: that takes a good tenth of a second."""

import asyncio
import importlib
from collections.abc import Collection
from typing import TYPE_CHECKING

from tasktide.domain.webhooks import Call, Network

if TYPE_CHECKING:
    from tasktide.adapters.http.caller import HttpCaller

_MODULE = f"{__package__}.caller"


class LateCaller:
    """`ports.webhooks.Caller`, as `HttpCaller`."""

    def __init__(self, private: Collection[Network] = ()) -> None:
        self._private = private
        self._caller: HttpCaller | None = None

    async def call(self, call: Call) -> None:
        """See the port."""
        if self._caller is None:
            await asyncio.to_thread(importlib.import_module, _MODULE)
        await self._made().call(call)

    async def close(self) -> None:
        """Give up all connections; twice is fine."""
        if self._caller is not None:
            await self._caller.close()

    def _made(self) -> "HttpCaller":
        if self._caller is None:
            self._caller = importlib.import_module(_MODULE).HttpCaller(self._private)
        return self._caller
