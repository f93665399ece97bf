"""My notifications as HTTP requests to an address of mine."""

from litestar import delete, get, post, put
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import JSONBody
from msgspec import Struct

from tasktide.interfaces import actor as actors
from tasktide.interfaces.rest.answers import Answer, Incoming, Platforms, encoded, problems
from tasktide.interfaces.rest.body import Body
from tasktide.usecases.webhooks import Trial, WebhookInfo

PATH = "/notifications/webhook"
TAGS = ["notifications"]


class WebhookAddress(Struct, frozen=True, forbid_unknown_fields=True):
    """Where my notifications go."""

    url: str


@get(PATH, tags=TAGS, responses={200: ResponseSpec(WebhookInfo, generate_examples=False), **problems(401, 404)})
async def get_webhook(request: Incoming, platform: Platforms) -> Answer:
    """Where my notifications go as HTTP requests."""
    return encoded(await platform.webhooks.get(actors.required(request.scope)))


@put(
    PATH,
    dto=Body[WebhookAddress],
    return_dto=None,
    tags=TAGS,
    responses={
        200: ResponseSpec(WebhookInfo, generate_examples=False),
        **problems(400, 401, 408, 413, 415),
    },
)
async def put_webhook(request: Incoming, data: JSONBody[WebhookAddress], platform: Platforms) -> Answer:
    """Have my notifications sent to an address: those of the kinds for which my preferences say `webhook`.

    The answer that makes the webhook has the secret that signs its requests, which is told once; another address keeps
    it. Requests have the form of Standard Webhooks.
    """
    info = await platform.webhooks.put(actors.required(request.scope), data.url)
    return encoded(info, headers={"cache-control": "no-store"})


@delete(PATH, status_code=204, tags=TAGS, responses=problems(401, 404))
async def remove_webhook(request: Incoming, platform: Platforms) -> None:
    """Forget my webhook and its secret; what is on its way there goes nowhere."""
    await platform.webhooks.remove(actors.required(request.scope))


@post(
    f"{PATH}/test",
    status_code=200,
    tags=TAGS,
    responses={200: ResponseSpec(Trial, generate_examples=False), **problems(401, 404, 409)},
)
async def try_webhook(request: Incoming, platform: Platforms) -> Answer:
    """Call my webhook now, once, and say what came of it."""
    return encoded(await platform.webhooks.try_out(actors.required(request.scope)))


ROUTES = [get_webhook, put_webhook, remove_webhook, try_webhook]
