"""From planned notification to inbox, listeners and deliveries."""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet

import msgspec

from tasktide.domain.deliveries import Delivery
from tasktide.domain.events import NotificationPlanned
from tasktide.domain.ids import NotificationId, UserId
from tasktide.domain.notifications import Channel, Kind, Notification, Preferences, default_preferences
from tasktide.ports.cache import Cache, Snapshot
from tasktide.ports.ids import Ids
from tasktide.ports.jobs import Jobs
from tasktide.ports.notifications import NewNotification, NotificationStore
from tasktide.ports.push import Message, Push
from tasktide.ports.users import PreferenceStore

PREFERENCES_TTL_S = 60.0

_encode = msgspec.json.Encoder().encode
_decode_preferences = msgspec.json.Decoder(Preferences).decode
_DEFAULT = default_preferences()


class Inbox:
    """The only writer of notifications: it leases their ids, so that an id is a cursor."""

    def __init__(
        self,
        *,
        store: NotificationStore,
        preferences: PreferenceStore,
        cache: Cache,
        push: Push,
        jobs: Jobs,
        ids: Ids,
    ) -> None:
        self._store = store
        self._preferences = preferences
        self._cache = cache
        self._push = push
        self._jobs = jobs
        self._ids = ids

    async def receive(self, plans: Sequence[NotificationPlanned]) -> None:
        """Store what is wanted, tell those who listen, and queue what goes out by other channels."""
        wanted = await self._wanted({plan.data.user_id for plan in plans})
        kept = [plan for plan in plans if _on(wanted, plan.data.user_id, Channel.INBOX, plan.data.kind)]
        if not kept:
            return
        new = [
            NewNotification(_notification(NotificationId(number), plan), plan.data.event_id)
            for number, plan in zip(await self._ids.take("notifications", len(kept)), kept, strict=True)
        ]
        stored = await self._store.insert(new)
        await self._tell(stored)
        mailed = [one for one in stored if _on(wanted, one.user_id, Channel.EMAIL, one.kind)]
        if mailed:
            await self._jobs.put([Delivery(channel=Channel.EMAIL, notification=one) for one in mailed])

    async def _tell(self, stored: Sequence[Notification]) -> None:
        listening = await self._push.listening({f"user:{one.user_id}" for one in stored})
        messages = [
            Message(channel, _encode(one), one.id) for one in stored if (channel := f"user:{one.user_id}") in listening
        ]
        if messages:
            await self._push.publish(messages)

    async def _wanted(self, user_ids: AbstractSet[UserId]) -> dict[UserId, Preferences]:
        keys = {f"user:{user_id}:preferences": user_id for user_id in user_ids}
        cached = await self._cache.get(keys.keys())
        wanted = {keys[key]: _decode_preferences(body) for key, body in cached.items()}
        missing = user_ids - wanted.keys()
        if missing:
            stored = await self._preferences.preferences(missing)
            found = {user_id: stored.get(user_id, _DEFAULT) for user_id in missing}
            wanted |= found
            await self._cache.put(
                [
                    Snapshot(f"user:{user_id}:preferences", 1, _encode(matrix), PREFERENCES_TTL_S)
                    for user_id, matrix in found.items()
                ]
            )
        return wanted


def _on(wanted: dict[UserId, Preferences], user_id: UserId, channel: Channel, kind: Kind) -> bool:
    return wanted[user_id].get(channel, {}).get(kind, _DEFAULT[channel][kind])


def _notification(number: NotificationId, plan: NotificationPlanned) -> Notification:
    data = plan.data
    return Notification(
        id=number,
        user_id=data.user_id,
        kind=data.kind,
        task_id=data.task_id,
        message=data.message,
        created_at=plan.time,
    )
