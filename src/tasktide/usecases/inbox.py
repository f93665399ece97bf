"""From planned notification to inbox, listeners and deliveries."""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from functools import lru_cache
from typing import NamedTuple

import msgspec

from tasktide.domain.deliveries import Delivery
from tasktide.domain.events import NotificationPlanned
from tasktide.domain.ids import UserId
from tasktide.domain.notifications import Channel, Kind, Notification, Preferences, default_preferences
from tasktide.ports.cache import Cache, of_preferences, preferences_key
from tasktide.ports.jobs import Jobs
from tasktide.ports.notifications import NotificationStore
from tasktide.ports.push import Message, Push
from tasktide.ports.users import PreferenceStore

_encode = msgspec.json.Encoder().encode
_decode_preferences = msgspec.json.Decoder(Preferences).decode
_DEFAULT = default_preferences()
# For so many it costs more to ask who listens than to tell them all.
FEW = 64


class Inbox:
    """The only writer of notifications: the store numbers them in the order it stores them, so an id is a cursor."""

    def __init__(
        self,
        *,
        store: NotificationStore,
        preferences: PreferenceStore,
        cache: Cache,
        push: Push,
        jobs: Jobs,
    ) -> None:
        self._store = store
        self._preferences = preferences
        self._cache = cache
        self._push = push
        self._jobs = jobs

    async def receive(self, plans: Sequence[NotificationPlanned]) -> None:
        """Store what is wanted, tell those who listen, and queue what goes out by other channels."""
        wishes = await self._wishes({plan.data.user_id for plan in plans})
        if any(wish.silent for wish in wishes.values()):
            plans = [plan for plan in plans if plan.data.kind not in wishes[plan.data.user_id].silent]
        if not plans:
            return
        stored = await self._store.insert(plans)
        await self._tell(stored)
        if not any(wish.outward for wish in wishes.values()):
            return
        outward = [
            Delivery(channel=channel, notification=one)
            for one in stored
            for channel, kinds in wishes[one.user_id].outward
            if one.kind in kinds
        ]
        if outward:
            await self._jobs.put(outward)

    async def _tell(self, stored: Sequence[Notification]) -> None:
        channels = {user_id: f"user:{user_id}" for user_id in {one.user_id for one in stored}}
        everybody = frozenset(channels.values())
        listening = everybody if len(stored) <= FEW else await self._push.listening(everybody)
        messages = [
            Message(channel, _encode(one), one.id) for one in stored if (channel := channels[one.user_id]) in listening
        ]
        if messages:
            await self._push.publish(messages)

    async def _wishes(self, user_ids: AbstractSet[UserId]) -> dict[UserId, "_Wishes"]:
        keys = {preferences_key(user_id): user_id for user_id in user_ids}
        wishes = {keys[key]: _wishes_in(body) for key, body in (await self._cache.get(keys.keys())).items()}
        missing = user_ids - wishes.keys()
        if missing:
            stored = await self._preferences.preferences(missing)
            found = {user_id: _encode(stored.get(user_id, _DEFAULT)) for user_id in missing}
            wishes |= {user_id: _wishes_in(body) for user_id, body in found.items()}
            await self._cache.put([of_preferences(user_id, 1, body) for user_id, body in found.items()])
        return wishes


class _Wishes(NamedTuple):
    """What a user does not want in the inbox, and wants by other channels as well."""

    silent: frozenset[Kind]
    outward: tuple[tuple[Channel, frozenset[Kind]], ...]


@lru_cache(maxsize=1_000)
def _wishes_in(body: bytes) -> _Wishes:
    """The wishes in a matrix as it is cached; most users have one and the same."""
    chosen = _decode_preferences(body)
    on = {channel: _on(chosen, channel) for channel in Channel}
    inbox = on.pop(Channel.INBOX)
    return _Wishes(frozenset(Kind) - inbox, tuple((channel, kinds) for channel, kinds in on.items() if kinds))


def _on(chosen: Preferences, channel: Channel) -> frozenset[Kind]:
    row = _DEFAULT[channel] | chosen.get(channel, {})
    return frozenset(kind for kind, is_on in row.items() if is_on)
