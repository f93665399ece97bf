"""What one may do with notifications."""

import asyncio
import zlib
from collections.abc import Collection, Sequence
from typing import Any, Literal, cast

import msgspec
from msgspec import Struct

from tasktide.domain import access, events, ids, paging, text, times
from tasktide.domain.access import Action
from tasktide.domain.errors import FieldError, Invalid, NotFound, Stale, invalid
from tasktide.domain.events import Planned
from tasktide.domain.ids import NotificationId, TaskId, UserId
from tasktide.domain.notifications import (
    Kind,
    Notification,
    Preferences,
    default_preferences,
    merged_preferences,
)
from tasktide.domain.paging import Cursor
from tasktide.domain.users import Actor
from tasktide.ports.backpressure import Backpressure
from tasktide.ports.cache import Cache, of_preferences
from tasktide.ports.clock import Clock
from tasktide.ports.ids import Ids
from tasktide.ports.log import Log, Record
from tasktide.ports.notifications import NotificationStore, record
from tasktide.ports.users import PreferenceStore, UserStore

# Inboxes that one request may fill: bounds the memory and time that it takes.
MOST_RECIPIENTS = 100_000
INBOX = "inbox"
# Records made before the event loop gets a turn.
TURN = 500


class DirectMessage(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A notification for some users, or for all."""

    user_ids: list[int] | Literal["all"]
    message: str
    kind: Kind = Kind.MESSAGE
    task_id: int | None = None


class InboxPage(Struct, frozen=True):
    """A page of the inbox, newest first."""

    items: list[Notification]
    next_cursor: str | None
    unread_count: int


class Notifications:
    """A direct notification is put on the log once for each person; the inbox pipeline does the rest."""

    def __init__(
        self,
        *,
        store: NotificationStore,
        users: UserStore,
        preferences: PreferenceStore,
        log: Log,
        cache: Cache,
        ids: Ids,
        clock: Clock,
        message_length: int,
        backlog_limit: int,
    ) -> None:
        self._store = store
        self._users = users
        self._preferences = preferences
        self._log = log
        self._cache = cache
        self._ids = ids
        self._clock = clock
        self._message_length = message_length
        self._room = Backpressure(log, backlog_limit, (events.NOTIFICATION_EVENTS, INBOX))

    async def reserve(self, count: int) -> int:
        """The first of `count` message ids for a request that may have to be repeated."""
        return (await self._ids.take("messages", count))[0]

    async def send(self, actor: Actor, message: DirectMessage, *, first_id: int | None = None) -> int:
        """Accept a direct notification; how many inboxes it goes to."""
        access.check(actor, Action.NOTIFY)
        errors, recipients = await self._recipients([message])
        if errors:
            raise Invalid([error for _, error in errors])
        return await self._accept(actor, [message], recipients, first_id)

    async def send_many(
        self,
        actor: Actor,
        messages: Sequence[DirectMessage | None],
        faults: Sequence[FieldError] = (),
        *,
        first_id: int | None = None,
    ) -> int:
        """Accept direct notifications, all or none; how many inboxes they go to.

        None stands for one that could not be read, for the reasons in `faults`; Invalid lists all that is wrong.
        Unavailable when the inboxes are too far behind the log.
        """
        access.check(actor, Action.NOTIFY)
        good = [message for message in messages if message is not None]
        errors, recipients = await self._recipients(good)
        if errors or faults:
            indexes = [index for index, message in enumerate(messages) if message is not None]
            found = [FieldError(f"[{indexes[number]}].{error.field}", error.message) for number, error in errors]
            raise Invalid.of_many([*faults, *found])
        return await self._accept(actor, good, recipients, first_id)

    async def newest(self, actor: Actor, *, unread: bool, cursor: str | None, limit: int) -> InboxPage:
        """A page of the actor's inbox, newest first."""
        order = "unread" if unread else "inbox"
        last = paging.decode(cursor, order)
        before = NotificationId(last.id) if last else None
        found = list(await self._store.newest(actor.user_id, before, limit + 1, unread=unread))
        return await self._page(actor, found, order, limit)

    async def after(
        self, actor: Actor, after: NotificationId, *, unread: bool, cursor: str | None, limit: int
    ) -> InboxPage:
        """What came after an id, oldest first: how a client that was away catches up."""
        last = paging.decode(cursor, "after")
        start = NotificationId(last.id) if last else after
        found = list(await self._store.after(actor.user_id, start, limit + 1, unread=unread))
        return await self._page(actor, found, "after", limit)

    async def read(self, actor: Actor, notification_id: NotificationId) -> Notification:
        """Mark one of the actor's notifications as read."""
        await self._store.read(actor.user_id, notification_id, self._clock.now(), only=True)
        found = await self._store.get(actor.user_id, notification_id)
        if found is None:
            raise NotFound(f"There is no notification {notification_id} in your inbox.")
        return found

    async def read_all(self, actor: Actor) -> None:
        """Mark the whole inbox, as it is now, as read."""
        last = await self._store.last_id(actor.user_id)
        await self._store.read(actor.user_id, last, self._clock.now(), only=False)

    async def preferences(self, actor: Actor) -> Preferences:
        """What the actor wants to hear over which channel."""
        stored = await self._preferences.preferences([actor.user_id])
        return _whole(stored.get(actor.user_id, {}))

    async def prefer(self, actor: Actor, sent: dict[str, Any], versions: Collection[int] | None = None) -> Preferences:
        """Replace the actor's matrix, which must be at one of `versions`; what is absent goes back to its default."""
        whole = merged_preferences(sent)
        if versions is None:
            await self._preferences.prefer(actor.user_id, whole)
        else:
            stored = (await self._preferences.preferences([actor.user_id])).get(actor.user_id)
            is_current = preferences_version(_whole(stored or {})) in versions
            if not is_current or not await self._preferences.prefer_over(actor.user_id, stored, whole):
                raise Stale("The preferences have changed in the meantime.")
        # At a version above that of any copy that is being read right now.
        version = times.epoch_ms(self._clock.now())
        await self._cache.put([of_preferences(actor.user_id, version, msgspec.json.encode(whole))])
        return whole

    async def _page(self, actor: Actor, found: list[Notification], order: str, limit: int) -> InboxPage:
        items = found[:limit]
        cursor = paging.encode(Cursor(order, "", items[-1].id)) if len(found) > limit else None
        return InboxPage(items, cursor, await self._store.unread(actor.user_id))

    async def _recipients(
        self, messages: Sequence[DirectMessage]
    ) -> tuple[list[tuple[int, FieldError]], list[list[UserId]]]:
        """What is wrong with which message, and whom each is for."""
        errors = [(n, error) for n, one in enumerate(messages) for error in _check(one, self._message_length)]
        everyone = await self._everyone() if any(one.user_ids == "all" for one in messages) else []
        recipients = [
            everyone if one.user_ids == "all" else cast("list[UserId]", list(dict.fromkeys(one.user_ids)))
            for one in messages
        ]
        named = set().union(*(some for some in recipients if some is not everyone))
        unknown = named - (await self._users.get({user_id for user_id in named if 0 < user_id <= ids.MAX_ID})).keys()
        if unknown:
            errors += [
                (n, FieldError("user_ids", f"there is no user {user_id}"))
                for n, some in enumerate(recipients)
                for user_id in some
                if user_id in unknown
            ]
        if sum(map(len, recipients)) > MOST_RECIPIENTS:
            raise invalid("user_ids", f"one request may reach at most {MOST_RECIPIENTS} inboxes")
        return errors, recipients

    async def _accept(
        self,
        actor: Actor,
        messages: Sequence[DirectMessage],
        recipients: Sequence[Sequence[UserId]],
        first_id: int | None,
    ) -> int:
        async with self._room.enter(sum(map(len, recipients))):
            first = await self.reserve(len(messages)) if first_id is None else first_id
            now = self._clock.now()
            records: list[Record] = []
            actor_name = events.user(actor.user_id)
            for index, (message, user_ids) in enumerate(zip(messages, recipients, strict=True)):
                event_id = f"message.{first + index}"
                task_id = None if message.task_id is None else TaskId(message.task_id)
                for user_id in user_ids:
                    if records and len(records) % TURN == 0:
                        await asyncio.sleep(0)
                    plan = Planned(
                        user_id=user_id, kind=message.kind, task_id=task_id, message=message.message, event_id=event_id
                    )
                    records.append(record(events.planned(plan, actor_name, now)))
            await self._log.append(records)
            return len(records)

    async def _everyone(self) -> list[UserId]:
        found: list[UserId] = []
        while page := await self._users.find(found[-1] if found else None, 1_000):
            found += [account.user.id for account in page]
        return found


def _check(message: DirectMessage, longest: int) -> list[FieldError]:
    errors = text.check_body("message", message.message, longest)
    if not message.message.strip():
        errors.append(FieldError("message", f"must be 1 to {longest} characters"))
    if not message.user_ids:
        errors.append(FieldError("user_ids", "must name at least one user"))
    if message.task_id is not None and not 0 < message.task_id <= ids.MAX_ID:
        errors.append(FieldError("task_id", "must be a task id"))
    return errors


def preferences_version(matrix: Preferences) -> int:
    """A number that differs when the matrix does."""
    return zlib.crc32(msgspec.json.encode(matrix, order="deterministic")) + 1


def _whole(chosen: Preferences) -> Preferences:
    return {channel: row | chosen.get(channel, {}) for channel, row in default_preferences().items()}
