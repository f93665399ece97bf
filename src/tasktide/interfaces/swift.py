"""The swift way: submitting one task without a task of the event loop for each request.

A submission waits for nothing but the log when its sender, the users it names, its rate limit and its id are known to
this process. Then the steps of the gate, of the lean way and of the route follow each other as plain calls, and the
answer goes out when the log says so. Each step is the one that the ordinary way takes. Whatever would have to be waited
for, and whatever is wrong, is left to that way before anything was counted or begun.
"""

import time
from typing import NamedTuple

import structlog

from tasktide.domain.errors import TasktideError
from tasktide.domain.fields import NewTask
from tasktide.domain.tasks import Task
from tasktide.domain.users import Actor
from tasktide.interfaces import actor as actors
from tasktide.interfaces import status
from tasktide.interfaces.gate import lines, rate_headers, traces
from tasktide.interfaces.platform import Platform
from tasktide.interfaces.protocol import Headers, Respond
from tasktide.interfaces.rest.answers import Answer, answer_of
from tasktide.interfaces.rest.body import decode
from tasktide.interfaces.rest.tasks import accepted
from tasktide.usecases.admission import refusal
from tasktide.usecases.submissions import Ready

METHOD, PATH = b"POST", b"/tasks"
# A larger body is decoded behind the limit of requests: refusing somebody must stay cheap.
MOST_BYTES = 8_192


class Swift:
    """Takes requests whose header lines were parsed before and whose body is whole."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._logger = structlog.get_logger("gateway")

    def suits(self, method: bytes, path: bytes, length: int) -> bool:
        """Whether it is worth trying to `take` a request of this kind, with so many bytes of body."""
        return path == PATH and method == METHOD and length <= min(MOST_BYTES, self._platform.limits.body_bytes)

    def take(self, headers: dict[bytes, bytes], body: bytes, respond: Respond) -> bool:
        """Answer a request by and by; False when the ordinary way has to.

        `headers` by lower-case name, without any that makes a request special (a key of idempotency, a precondition).
        """
        began = time.perf_counter()
        try:
            call = self._prepared(headers, body)
        except Exception:  # noqa: BLE001 - the ordinary way meets it too, and says so
            return False
        if call is None:
            return False

        def finish(answer: Answer) -> None:
            respond(answer.status, answer.head() + lines(call.headers), answer.body)
            self._platform.stats.request("http", "POST", answer.status, time.perf_counter() - began)

        def told(outcome: Task | BaseException) -> None:
            try:
                answer = answer_of(accepted(outcome)) if isinstance(outcome, Task) else self._refused(call, outcome)
            except Exception as error:  # noqa: BLE001 - whatever it is, the client is told so
                answer = self._refused(call, error)
            finish(answer)

        if call.refusal is not None:
            finish(self._refused(call, call.refusal))
            return True
        try:
            self._platform.submissions.begin(call.actor, call.ready, call.traceparent, told)
        except Exception as error:  # noqa: BLE001 - whatever it is, the client is told so
            finish(self._refused(call, error))
        return True

    def _prepared(self, headers: dict[bytes, bytes], body: bytes) -> "_Call | None":
        """All that is known before it begins; None when the ordinary way has to find out, and nothing was counted."""
        platform = self._platform
        authorization = headers.get(b"authorization", b"").decode("latin-1")
        actor = actors.recalled(platform.users, authorization)
        if actor is None:
            return None
        content_type = headers.get(b"content-type")
        try:
            draft = decode(body, NewTask, None if content_type is None else content_type.decode("latin-1"))
        except TasktideError:
            return None
        ready = platform.submissions.at_hand(actor, draft)
        if ready is None:
            return None
        trace_id, traceparent = traces(headers)
        shown: Headers = [(b"x-request-id", trace_id.encode())]
        admission = platform.admission
        if not admission.enabled:
            return _Call(actor, ready, trace_id, traceparent, shown, None)
        verdict = admission.admit_now(actor)
        if verdict is None:
            return None
        shown += rate_headers(admission.tiers(actor), verdict)
        return _Call(actor, ready, trace_id, traceparent, shown, None if verdict.allowed else refusal(verdict))

    def _refused(self, call: "_Call", error: BaseException) -> Answer:
        if isinstance(error, TasktideError):
            code, headers, body = status.problem(error, call.trace_id)
        else:
            self._logger.error("request failed", trace_id=call.trace_id, method="POST", path="/tasks", exc_info=error)
            code, headers, body = status.unexpected(call.trace_id)
        return Answer(body, code, headers)


class _Call(NamedTuple):
    """A request that can be begun, and the headers that its answer will have; `refusal` when its limit is reached."""

    actor: Actor
    ready: Ready
    trace_id: str
    traceparent: str | None
    headers: Headers
    refusal: TasktideError | None
