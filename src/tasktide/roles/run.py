"""Runs roles in this process until it is told to stop."""

import asyncio
import contextlib
import gc
import resource
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from tasktide.interfaces.platform import Platform
from tasktide.pipelines.service import Service
from tasktide.roles.listen import bind
from tasktide.roles.table import ALL, ROLES, needs
from tasktide.settings import Settings
from tasktide.wiring import demo, usecases
from tasktide.wiring import handlers as handler_wiring
from tasktide.wiring.demo import Demo
from tasktide.wiring.embedded import CannotStart, refuse_if_served
from tasktide.wiring.ports import Ports, check, open_ports

if TYPE_CHECKING:
    from tasktide.roles.server import HttpServer

# What was accepted before a crash is stored before the first request, so that reads find it; a store that
# cannot keep up with that in this time is served all the same.
CATCH_UP_S = 30.0


@dataclass(frozen=True)
class Started:
    """What runs now: its address, whether nobody has an account yet, and the demo that was planted."""

    address: str
    is_new: bool = False
    demo: Demo | None = None


Ready = Callable[[Started], None]


async def run(settings: Settings, roles: Sequence[str], ready: Ready, *, with_demo: bool = False) -> None:
    """Run the roles until SIGTERM or SIGINT, which stop them within ten seconds; see `serve`."""
    _tune()

    def frozen(started: Started) -> None:
        # What is made by now stays: there is nothing in it to look for.
        gc.collect()
        gc.freeze()
        ready(started)

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await serve(settings, roles, frozen, stop, with_demo=with_demo)


async def serve(
    settings: Settings, roles: Sequence[str], ready: Ready, stop: asyncio.Event, *, with_demo: bool = False
) -> None:
    """Start the roles, call `ready`, and stop when asked.

    CannotStart, also for a port that is taken, before anything was started; Conflict when a demo was wanted and there
    is data; the error of a service that failed, after stopping.
    """
    chosen = [ROLES[name] for name in dict.fromkeys(roles)]
    _allow_files()
    check(settings, is_whole=set(roles) >= set(ALL))
    handlers = handler_wiring.load(settings.app)
    serves_api = any(role.serves_http for role in chosen)
    port = settings.port if serves_api else settings.health_port
    bound = _bound(settings, port) if serves_api or port else None
    try:
        async with open_ports(settings) as ports:
            people = usecases.users(ports, settings)
            made = usecases.pipelines(ports, settings, handlers, people)
            services = [service for role in chosen for service in role.services(made)]
            platform = usecases.platform(ports, settings, handlers, services, people, needs=needs(chosen))
            server = _http_server(bound, platform, settings, with_api=serves_api) if bound else None

            async def started() -> None:
                is_new = await demo.is_empty(platform)
                planted = await demo.plant(platform, ports.clock.now()) if with_demo else None
                ready(Started(_address(bound), is_new, planted))

            await _serve(ports, services, server, started, stop)
    finally:
        if bound is not None:
            bound.close()


def _allow_files() -> None:
    """Take as many open files as the system lets us: each client is one, and the usual limit is a thousand."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with contextlib.suppress(ValueError, OSError):  # some systems allow less than they say
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _bound(settings: Settings, port: int) -> socket.socket:
    try:
        return bind(settings.host, port)
    except CannotStart:
        # Who listens there may be the server of this very folder: then that is what is wrong.
        refuse_if_served(settings)
        raise


def _http_server(bound: socket.socket, platform: Platform, settings: Settings, *, with_api: bool) -> "HttpServer":
    # Half a second to load: what does not serve HTTP, most commands among it, does without.
    from tasktide.interfaces import asgi  # noqa: PLC0415
    from tasktide.roles.server import HttpServer  # noqa: PLC0415

    return HttpServer(asgi.build(platform, with_api=with_api), bound, settings)


def _tune() -> None:
    """What suits a process that makes many short-lived values and writes from a thread.

    With Python's own thresholds, looking for cycles took a third of a submit's time; nearly nothing here makes any.
    A writer that waits 5 ms for the interpreter lock after each statement is slower than its disk.
    """
    gc.set_threshold(20_000, 20, 100)
    sys.setswitchinterval(0.001)


async def _serve(
    ports: Ports,
    services: list[Service],
    server: "HttpServer | None",
    started: Callable[[], Awaitable[None]],
    stop: asyncio.Event,
) -> None:
    logger = structlog.get_logger("tasktide")
    stopping = asyncio.create_task(stop.wait(), name="stop")
    tasks = [service.start() for service in services]
    try:
        if server is not None:
            if any(service.name == "ingest" for service in services):
                await _catch_up(ports, stopping)
            tasks.append(server.start())
            await server.ready()
        await started()
        await asyncio.wait([*tasks, stopping], return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopping.cancel()
        logger.info("stopping")
        if server is not None:
            # Those who only wait for news are sent home first; what they wait for may take longer than we have.
            await ports.stopping.announce()
            await server.stop()
        await asyncio.gather(*(service.stop() for service in services))
        logger.info("stopped")
    for task in tasks:
        if task.done() and not task.cancelled():
            task.result()


async def _catch_up(ports: Ports, stopping: asyncio.Task[bool]) -> None:
    waiting = asyncio.create_task(ports.log.settled("task.ingested", "ingest", CATCH_UP_S))
    await asyncio.wait([waiting, stopping], return_when=asyncio.FIRST_COMPLETED)
    if waiting.done():
        waiting.result()
    waiting.cancel()


def _address(bound: socket.socket | None) -> str:
    if bound is None:
        return ""
    host, port = bound.getsockname()[:2]
    is_local = host in {"0.0.0.0", "127.0.0.1", "::", "::1"}  # noqa: S104 - shown, not bound
    return f"http://{'localhost' if is_local else host}:{port}"
