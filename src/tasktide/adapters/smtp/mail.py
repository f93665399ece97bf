"""Outgoing mail over SMTP."""

import asyncio
import ssl
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime
from urllib.parse import parse_qs, unquote, urlsplit

import aiosmtplib

from tasktide.domain.deliveries import Mail
from tasktide.domain.errors import Unavailable
from tasktide.domain.times import to_datetime
from tasktide.ports.clock import Clock
from tasktide.ports.mail import Refused

ENGINE = "smtp"
ANSWER_S = 10.0
# Connections at once: servers limit them.
CONNECTIONS = 10
_PORTS = {"smtp": 25, "smtp+starttls": 587, "smtps": 465}

# RFC 5321, 4.2.1: the first of the permanent negative answers.
FOR_GOOD = 500


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
                raise _failure(refused.recipients[0], is_of_this_mail=True) from refused
            except aiosmtplib.SMTPResponseException as refused:
                raise _failure(refused, is_of_this_mail=isinstance(refused, aiosmtplib.SMTPDataError)) from refused
            except (aiosmtplib.SMTPConnectError, aiosmtplib.SMTPServerDisconnected, OSError, TimeoutError) as away:
                raise Unavailable(ENGINE, f"The mail server is away: {str(away) or type(away).__name__}.") from away

    async def ping(self) -> None:
        """Return when the server answers; Unavailable when it does not."""
        try:
            async with self._client() as client:
                await client.noop()
        except (aiosmtplib.SMTPException, OSError, TimeoutError) as away:
            raise Unavailable(ENGINE, f"The mail server is away: {str(away) or type(away).__name__}.") from away

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


def _failure(refused: aiosmtplib.SMTPResponseException, *, is_of_this_mail: bool) -> Exception:
    """What is wrong with the mail or its address is so for good; a password or a sender, an operator may mend."""
    told = f"The mail server says {refused.code} {refused.message}"
    return Refused(told) if is_of_this_mail and refused.code >= FOR_GOOD else Unavailable(ENGINE, told)
