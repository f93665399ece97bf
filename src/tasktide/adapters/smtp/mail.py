"""Outgoing mail over SMTP."""

import asyncio
import re
import ssl
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime
from urllib.parse import parse_qs, unquote, urlsplit

import aiosmtplib

from tasktide.domain.deliveries import Mail, Refused
from tasktide.domain.errors import Unavailable
from tasktide.domain.times import to_datetime
from tasktide.ports.clock import Clock

ENGINE = "smtp"
ANSWER_S = 10.0
# Connections at once: servers limit them.
CONNECTIONS = 10
_PORTS = {"smtp": 25, "smtp+starttls": 587, "smtps": 465}

# RFC 3463, 3.2 and 3.3, and RFC 7505: no such mailbox, no such system, no address, moved away, takes no mail; disabled.
_BAD_ADDRESS = re.compile(r"5\.(1\.(1|2|3|6|10)|2\.1)\b")


class SmtpMailer:
    """`ports.mail.Mailer`. A server that is away, or says to come again (4xx), is Unavailable.

    `url` is smtp://, smtp+starttls:// or smtps://user:password@host:port; `?insecure` takes any certificate. SMTP has
    no way to say whether a mail whose DATA was not answered was taken: it is sent again, with the same Message-ID.
    """

    def __init__(self, url: str, sender: str, clock: Clock, unsubscribe: str = "") -> None:
        parts = urlsplit(url)
        self._host = parts.hostname or "localhost"
        self._port = parts.port or _PORTS[parts.scheme]
        self._scheme = parts.scheme
        self._user = unquote(parts.username) if parts.username else None
        self._password = unquote(parts.password) if parts.password else None
        self._context = ssl.create_default_context()
        if "insecure" in parse_qs(parts.query, keep_blank_values=True):
            self._context.check_hostname = False
            self._context.verify_mode = ssl.CERT_NONE
        self._sender = sender
        self._unsubscribe = unsubscribe
        self._clock = clock
        self._room = asyncio.Semaphore(CONNECTIONS)

    async def send(self, mail: Mail) -> None:
        """See the port."""
        async with self._room:
            try:
                async with self._client() as client:
                    await client.send_message(self._message(mail), sender=self._sender, recipients=[mail.to])
            except aiosmtplib.SMTPRecipientsRefused as refused:
                raise _failure(refused.recipients[0]) from refused
            except aiosmtplib.SMTPResponseException as refused:
                raise _failure(refused) from refused
            except (aiosmtplib.SMTPConnectError, aiosmtplib.SMTPServerDisconnected, OSError, TimeoutError) as away:
                raise Unavailable.since(ENGINE, "The mail server is away.", away) from away

    async def ping(self) -> None:
        """Return when the server answers; Unavailable when it does not."""
        try:
            async with self._client() as client:
                await client.noop()
        except (aiosmtplib.SMTPException, OSError, TimeoutError) as away:
            raise Unavailable.since(ENGINE, "The mail server is away.", away) from away

    def _client(self) -> aiosmtplib.SMTP:
        return aiosmtplib.SMTP(
            hostname=self._host,
            port=self._port,
            username=self._user,
            password=self._password,
            use_tls=self._scheme == "smtps",
            start_tls=self._scheme == "smtp+starttls",
            tls_context=self._context if self._scheme != "smtp" else None,
            timeout=ANSWER_S,
        )

    def _message(self, mail: Mail) -> EmailMessage:
        message = EmailMessage()
        message["From"] = Address("Tasktide", addr_spec=self._sender)
        message["To"] = mail.to
        message["Subject"] = mail.subject
        message["Message-ID"] = mail.message_id
        message["Date"] = format_datetime(to_datetime(self._clock.now()))
        message["Auto-Submitted"] = "auto-generated"
        if self._unsubscribe:
            message["List-Unsubscribe"] = f"<{self._unsubscribe}>"
        message.set_content(mail.text)
        message.add_alternative(mail.html, subtype="html")
        return message


def _failure(refused: aiosmtplib.SMTPResponseException) -> Exception:
    """Whether to try again.

    Servers say many things with the same number, also at an address what is wrong with the sender or the sign-in, which
    an operator may mend; so an address is bad for good when its enhanced code says so.
    """
    told = f"The mail server says {refused.code} {refused.message}"
    return Refused(told) if _BAD_ADDRESS.match(refused.message) else Unavailable(ENGINE, told)
