"""What the interfaces may call: the use cases, and the limits that apply at the edge."""

from dataclasses import dataclass

from tasktide.usecases.admission import Admission
from tasktide.usecases.letters import DeadLetters
from tasktide.usecases.live import Live
from tasktide.usecases.notifications import Notifications
from tasktide.usecases.replies import Idempotency
from tasktide.usecases.stats import Stats
from tasktide.usecases.submissions import Submissions
from tasktide.usecases.tasks import Tasks
from tasktide.usecases.users import Users
from tasktide.usecases.webhooks import Webhooks


@dataclass(frozen=True, kw_only=True)
class EdgeLimits:
    """Bytes of a request body, bytes and items of a batch, seconds for a client to do its part, sockets signing in."""

    body_bytes: int = 1_048_576
    batch_bytes: int = 16_777_216
    batch_items: int = 10_000
    body_s: float = 30.0
    authenticate_s: float = 10.0
    signing_in: int = 1_000
    send_s: float = 10.0


@dataclass(frozen=True, kw_only=True)
class Platform:
    """All use cases of one process."""

    tasks: Tasks
    submissions: Submissions
    users: Users
    notifications: Notifications
    webhooks: Webhooks
    live: Live
    admission: Admission
    idempotency: Idempotency
    stats: Stats
    letters: DeadLetters
    limits: EdgeLimits
    cors_origins: tuple[str, ...] = ()
    introspection: bool = True
