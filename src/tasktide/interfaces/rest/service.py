"""Health, metrics and the explorer."""

from functools import cache
from importlib.resources import files

from litestar import get
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath
from msgspec import Struct, structs

from tasktide.domain.errors import NotFound
from tasktide.interfaces.rest.answers import Answer, Incoming, Platforms, encoded, problems
from tasktide.interfaces.rest.openapi import describe
from tasktide.usecases.stats import Health, WorkTotals

TAGS = ["service"]
EXPLORER = {
    "index.html": "text/html; charset=utf-8",
    "explorer.js": "text/javascript; charset=utf-8",
    "swagger-ui-bundle.js": "text/javascript; charset=utf-8",
    "swagger-ui.css": "text/css; charset=utf-8",
}
_NO_STORE = {"cache-control": "no-store"}


def _told(found: Health) -> Answer:
    """Which engine is away is for everybody; where it is and what it said is for admins, and for the log."""
    engines = {
        name: one if one.error is None else structs.replace(one, error="does not answer as it should")
        for name, one in found.engines.items()
    }
    return encoded(structs.replace(found, engines=engines), 200 if found.is_ok else 503, _NO_STORE)


class Alive(Struct, frozen=True):
    """The process answers."""

    status: str = "ok"


@get(
    "/health",
    opt={"public": True},
    tags=TAGS,
    responses={
        200: ResponseSpec(Health, generate_examples=False),
        503: ResponseSpec(Health, generate_examples=False, description="An engine is down."),
        429: problems()[429],
    },
)
async def health(platform: Platforms) -> Answer:
    """Every engine with its latency."""
    return _told(await platform.stats.health())


@get(["/health/liveness", "/livez"], opt={"public": True}, tags=TAGS)
async def liveness() -> Alive:
    """The process runs and its event loop turns."""
    return Alive()


@get(
    ["/health/readiness", "/readyz"],
    opt={"public": True},
    tags=TAGS,
    responses={
        200: ResponseSpec(Health, generate_examples=False),
        503: ResponseSpec(Health, generate_examples=False, description="Not ready to take work in."),
    },
)
async def readiness(platform: Platforms) -> Answer:
    """The process can take work in and gets it done: the engines that its roles need answer."""
    return _told(await platform.stats.readiness())


@get(
    "/metrics",
    opt={"public": True},
    tags=TAGS,
    responses={200: ResponseSpec(WorkTotals, generate_examples=False), 503: problems()[503]},
)
async def metrics(request: Incoming, platform: Platforms) -> Answer:
    """Jobs done and their mean time as JSON; Prometheus text when the Accept header names it."""
    accept = request.headers.get("accept", "*/*").lower()
    if "text/plain" in accept or "application/openmetrics-text" in accept:
        body, content_type = platform.stats.prometheus(accept)
        return Answer(body, headers={"content-type": content_type} | _NO_STORE)
    return encoded(await platform.stats.totals(), headers=_NO_STORE)


@get("/openapi.json", opt={"public": True}, include_in_schema=False)
async def openapi(request: Incoming) -> Answer:
    """This description."""
    state = request.app.state
    if "openapi" not in state:
        state.openapi = describe(request.app)
    return Answer(state.openapi)


@get(["/docs", "/docs/{name:str}"], opt={"public": True}, include_in_schema=False)
async def explorer(name: FromPath[str] = "index.html") -> Answer:
    """A page to try the API from, with nothing loaded from elsewhere."""
    if name not in EXPLORER:
        raise NotFound(f"There is no page {name[:40]}.")
    return Answer(_explorer_file(name), headers={"content-type": EXPLORER[name], "cache-control": "max-age=3600"})


@cache
def _explorer_file(name: str) -> bytes:
    return files("tasktide.interfaces.rest").joinpath("explorer", name).read_bytes()


ROUTES = [health, liveness, readiness, metrics, openapi, explorer]
