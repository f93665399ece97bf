"""The swift way: submitting one task without a task of the event loop for each request.

A submission waits for nothing but the log when its sender, the users it names, its rate limit and its id are known to
this process. Then the steps of the gate, of the lean way and of the route follow each other as plain calls, and the
answer goes out when the log says so. Each step is the one that the ordinary way takes. Whatever would have to be waited
for, and whatever is wrong, is left to that way before anything was counted or begun.
"""

import time

import structlog

from tasktide.domain.errors import TasktideError
from tasktide.domain.fields import NewTask
from tasktide.domain.replies import Reply
from tasktide.domain.tasks import Task
from tasktide.domain.users import Actor
from tasktide.interfaces import actor as actors
from tasktide.interfaces import status
from tasktide.interfaces.gate import lines, rate_headers, traces
from tasktide.interfaces.platform import Platform
from tasktide.interfaces.protocol import Headers, Respond
from tasktide.interfaces.rest.answers import Answer
from tasktide.interfaces.rest.body import decode
from tasktide.interfaces.rest.tasks import accepted
from tasktide.usecases.admission import refusal
from tasktide.usecases.submissions import Ready

METHOD, PATH = b"POST", b"/tasks"


class Swift:
    """Takes requests whose header lines were parsed before and whose body is whole."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._logger = structlog.get_logger("gateway")

    def take(self, method: bytes, path: bytes, headers: dict[bytes, bytes], body: bytes, respond: Respond) -> bool:
        """Answer a request by and by; False when the ordinary way has to.

        `headers` by lower-case name, without any that makes a request special (a key of idempotency, a precondition).
        """
        if path != PATH or method != METHOD:
            return False
        began = time.perf_counter()
        platform = self._platform
        actor = self._actor(headers)
        ready = self._ready(actor, headers, body) if actor is not None else None
        if actor is None or ready is None:
            return False
        extra: Headers = []
        verdict = None
        admission = platform.admission
        if admission.enabled:
            verdict = admission.admit_now(actor)
            if verdict is None:
                return False
            extra = rate_headers(admission.tiers(actor), verdict)
        trace_id, traceparent = traces(headers)
        extra.append((b"x-request-id", trace_id.encode()))

        def finish(answer: Answer) -> None:
            respond(answer.status, answer.head() + lines(extra), answer.body)
            platform.stats.request("http", "POST", answer.status, time.perf_counter() - began)

        def told(task: Task, error: BaseException | None) -> None:
            finish(_of(accepted(task)) if error is None else self._refused(error, trace_id))

        if verdict is not None and not verdict.allowed:
            finish(self._refused(refusal(verdict), trace_id))
            return True
        try:
            platform.submissions.begin(actor, ready, traceparent, told)
        except Exception as error:  # noqa: BLE001 - whatever it is, the client is told so
            finish(self._refused(error, trace_id))
        return True

    def _actor(self, headers: dict[bytes, bytes]) -> Actor | None:
        authorization = headers.get(b"authorization")
        return None if authorization is None else actors.recalled(self._platform.users, authorization.decode("latin-1"))

    def _ready(self, actor: Actor, headers: dict[bytes, bytes], body: bytes) -> Ready | None:
        if len(body) > self._platform.limits.body_bytes:
            return None
        content_type = headers.get(b"content-type")
        try:
            draft = decode(body, NewTask, None if content_type is None else content_type.decode("latin-1"))
        except TasktideError:
            return None
        return self._platform.submissions.at_hand(actor, draft)

    def _refused(self, error: BaseException, trace_id: str) -> Answer:
        if isinstance(error, TasktideError):
            code, headers, body = status.problem(error, trace_id)
        else:
            self._logger.error("request failed", trace_id=trace_id, method="POST", path="/tasks", exc_info=error)
            code, headers, body = status.unexpected(trace_id)
        return Answer(body, code, headers)


def _of(reply: Reply) -> Answer:
    return Answer(reply.body, reply.status, reply.headers)
