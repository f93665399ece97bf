"""The roles: what each is made of. A role is data; `all` is every one of them in one process."""

from collections.abc import Callable
from dataclasses import dataclass

from tasktide.pipelines.service import Service
from tasktide.wiring.usecases import Pipelines

_STORED = frozenset({"store", "log"})
_WITH_JOBS = _STORED | {"jobs"}


@dataclass(frozen=True, kw_only=True)
class Role:
    """A part of the platform that can run as a process of its own.

    Without an engine that it `needs` it is not ready. Nobody needs Redis or the mail server: without the one all work
    on, and what the other does not take is tried again.
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
            needs=_WITH_JOBS,
            services=lambda p: p.notifier(),
        ),
        Role(
            name="deliver",
            about="sends notifications out by mail",
            needs=_WITH_JOBS,
            services=lambda p: p.deliver(),
        ),
        Role(name="relay", about="carries what the stores say to the log", services=lambda p: p.relay()),
        Role(name="schedule", about="wakes jobs, reminds, sweeps", needs=_WITH_JOBS, services=lambda p: p.schedule()),
    )
}
ALL = tuple(ROLES)
