"""The roles: what each is made of. A role is data; `all` is every one of them in one process."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from tasktide.pipelines.service import Service
from tasktide.wiring.usecases import Pipelines

_STORED = frozenset({"store", "log"})


@dataclass(frozen=True, kw_only=True)
class Role:
    """A part of the platform that can run as a process of its own.

    Without an engine that it `needs` it is not ready. Nobody needs Redis: without it all work on.
    Who only queues mail does not need RabbitMQ: the store has it as well.
    """

    name: str
    about: str
    needs: frozenset[str] = _STORED
    services: Callable[[Pipelines], list[Service]] = lambda _: []
    serves_http: bool = False


ROLES = {
    role.name: role
    for role in (
        Role(
            name="gateway",
            about="HTTP, WebSocket and server-sent events",
            services=lambda p: p.gateway(),
            serves_http=True,
        ),
        Role(name="ingest", about="stores what was submitted", services=lambda p: p.ingest()),
        Role(name="worker", about="runs jobs", services=lambda p: p.worker()),
        Role(
            name="notifier",
            about="stores notifications and tells those who listen",
            services=lambda p: p.notifier(),
        ),
        Role(
            name="deliver",
            about="sends notifications out by mail",
            needs=_STORED | {"jobs", "mail"},
            services=lambda p: p.deliver(),
        ),
        Role(name="relay", about="carries what the stores say to the log", services=lambda p: p.relay()),
        Role(name="schedule", about="wakes jobs, reminds, sweeps", services=lambda p: p.schedule()),
    )
}
ALL = tuple(ROLES)


def needs(roles: Iterable[Role]) -> frozenset[str]:
    """What a process of some roles is not ready without.

    One that serves requests is ready when those can be served: a mail server that is away must not turn people away.
    """
    roles = list(roles)
    counted = [role for role in roles if role.serves_http] or roles
    return frozenset[str]().union(*(role.needs for role in counted))
