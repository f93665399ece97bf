"""Webhooks: a user's notifications as signed HTTP requests to an address of theirs.

Requests have the form of Standard Webhooks 1.0, so that receivers check them with the libraries there are.
"""

import base64
import hashlib
import hmac
from collections.abc import Collection
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from tasktide.domain.deliveries import Delivery
from tasktide.domain.errors import FieldError
from tasktide.domain.ids import NotificationId, UserId
from tasktide.domain.notifications import Kind, Notification
from tasktide.domain.times import Timestamp, epoch_ms

URL_LENGTH = 2_000
SECRET_PREFIX = "whsec_"  # noqa: S105 - the standard's prefix, not a secret
# The standard wants 24 to 64.
SECRET_BYTES = 32
# Those of a translator between the two worlds hold an address of the old one (RFC 6052, RFC 8215).
_TRANSLATED = IPv6Network("64:ff9b::/96")
_TRANSLATED_HERE = IPv6Network("64:ff9b:1::/48")

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


class Webhook(Struct, frozen=True, kw_only=True):
    """Where a user's notifications go, and the key that signs them, which only that user is told."""

    url: str
    secret: str
    created_at: Timestamp


class Call(Struct, frozen=True, kw_only=True):
    """A signed request, ready to be made."""

    url: str
    headers: dict[str, str]
    body: bytes


class _Content(Struct, frozen=True):
    """What the standard asks a body to be: what happened, when, and to what."""

    type: Kind
    timestamp: Timestamp
    data: Notification


def secret_of(key: bytes) -> str:
    """A signing key as the standard writes it."""
    return SECRET_PREFIX + base64.b64encode(key).decode()


def prepare(delivery: Delivery, webhook: Webhook, now: Timestamp) -> Call:
    """The request that tells a webhook of a notification; its id is the same however often it is made."""
    told = delivery.notification
    return _signed(f"notification-{told.id}", _Content(told.kind, told.created_at, told), webhook, now)


def trial(user_id: UserId, number: str, webhook: Webhook, now: Timestamp) -> Call:
    """A request like those, with which a receiver can be tried; its notification has the id 0, which no other has."""
    told = Notification(
        id=NotificationId(0), user_id=user_id, kind=Kind.MESSAGE, message="This is a test.", created_at=now
    )
    return _signed(f"trial-{number}", _Content(told.kind, now, told), webhook, now)


def _signed(identity: str, content: _Content, webhook: Webhook, now: Timestamp) -> Call:
    body = msgspec.json.encode(content)
    seconds = str(epoch_ms(now) // 1_000)
    key = base64.b64decode(webhook.secret.removeprefix(SECRET_PREFIX))
    signed = hmac.digest(key, f"{identity}.{seconds}.".encode() + body, hashlib.sha256)
    headers = {
        "content-type": "application/json",
        "user-agent": "Tasktide",
        "webhook-id": identity,
        "webhook-timestamp": seconds,
        "webhook-signature": f"v1,{base64.b64encode(signed).decode()}",
    }
    return Call(url=webhook.url, headers=headers, body=body)


def check_url(url: str, private: Collection[Network] = ()) -> list[FieldError]:
    """What is wrong with an address for a webhook, as far as it can be seen without looking its name up."""
    wrong = _wrong(url, private)
    return [FieldError("url", wrong)] if wrong else []


def _wrong(url: str, private: Collection[Network]) -> str:
    if not 0 < len(url) <= URL_LENGTH:
        return f"must be 1 to {URL_LENGTH} characters"
    if not url.isascii() or not url.isprintable() or " " in url:
        return "must be of plain characters, others as %XX"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return "is not an address"
    found = (
        (parts.scheme in ("http", "https") and host and port != 0, "must begin with https://host or http://host"),
        ("@" not in parts.netloc, "must not hold a user name or a password; requests are signed"),
        ("#" not in url, "must not have a part behind #"),
        (_may_be_reached(host or "", private), "is of a private network, which this server does not call"),
    )
    return next((wrong for is_right, wrong in found if not is_right), "")


def _may_be_reached(host: str, private: Collection[Network]) -> bool:
    try:
        address = ip_address(host)
    except ValueError:  # a name, which is looked up when it is called
        return host != "localhost" or any(one.is_loopback for one in private)
    return is_allowed(address, private)


def is_allowed(address: Address, private: Collection[Network]) -> bool:
    """Whether a webhook may be at an address: one of the public Internet, or of the `private` networks given.

    What another address is hidden in, as translators and tunnels write it, is as good as that one.
    """
    if any(address in network for network in private if network.version == address.version):
        return True
    if isinstance(address, IPv6Address):
        if address in _TRANSLATED_HERE or address.is_site_local:
            return False
        hidden = address.ipv4_mapped or address.sixtofour or (address.teredo or (None, None))[1]
        if address in _TRANSLATED:
            hidden = IPv4Address(int(address) & 0xFFFF_FFFF)
        if hidden is not None:
            return is_allowed(hidden, private)
    return address.is_global and not address.is_multicast
