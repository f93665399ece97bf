"""Mail against a real SMTP server."""

import socket
from collections.abc import Iterator
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

import msgspec
import pytest
from aiosmtpd.controller import Controller

from support import make
from support.clock import FakeClock
from tasktide.adapters.smtp.mail import SmtpMailer
from tasktide.domain.deliveries import Delivery, Mail, Refused, compose
from tasktide.domain.errors import Unavailable
from tasktide.domain.notifications import Channel


class Postman:
    """Keeps what it is sent; answers as it is told to."""

    def __init__(self) -> None:
        self.received: list[tuple[str, list[str], EmailMessage]] = []
        self.answer = "250 OK"
        self.sender_answer = ""
        self.recipients_answer = ""

    async def handle_MAIL(  # noqa: N802 - the library's name
        self, _server: Any, _session: Any, envelope: Any, address: str, _options: list[str]
    ) -> str:
        envelope.mail_from = address
        return self.sender_answer or "250 OK"

    async def handle_RCPT(  # noqa: N802 - the library's name
        self, _server: Any, _session: Any, envelope: Any, address: str, _options: list[str]
    ) -> str:
        if not self.recipients_answer:
            envelope.rcpt_tos.append(address)
        return self.recipients_answer or "250 OK"

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802 - the library's name
        if self.answer.startswith("250"):
            message = message_from_bytes(envelope.content, policy=policy.default)
            assert isinstance(message, EmailMessage)
            self.received.append((envelope.mail_from, envelope.rcpt_tos, message))
        return self.answer


@pytest.fixture
def postman() -> Iterator[tuple[Postman, str]]:
    postman = Postman()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    controller = Controller(postman, hostname="127.0.0.1", port=port)
    controller.start()
    yield postman, f"smtp://127.0.0.1:{port}"
    controller.stop()


def mail(message: str = "“Ünï” & <b>bold</b>\n\nsecond line") -> Mail:
    told = msgspec.structs.replace(make.notification(7), task_id=make.task(3).id, message=message)
    delivery = Delivery(channel=Channel.EMAIL, notification=told)
    return compose(delivery, "bob@example.org", "https://tasks.example.org")


async def test_a_mail_arrives_as_text_and_html_with_its_headers(postman: tuple[Postman, str]) -> None:
    kept, url = postman
    mailer = SmtpMailer(url, "tasktide@example.org", FakeClock(), "https://tasks.example.org/app/settings")
    await mailer.ping()
    await mailer.send(mail())
    await mailer.send(mail())
    [(sender, recipients, first), (_, _, second)] = kept.received
    assert (sender, recipients) == ("tasktide@example.org", ["bob@example.org"])
    assert first["subject"] == "“Ünï” & <b>bold</b>"
    assert first["message-id"] == second["message-id"] == "<notification-7@tasktide>", "a receiver can drop the second"
    assert first["list-unsubscribe"] == "<https://tasks.example.org/app/settings>"
    assert first["date"] == "Fri, 20 Nov 2026 12:00:00 +0000"
    plain, html = first.get_body(("plain",)), first.get_body(("html",))
    assert plain is not None
    assert html is not None
    assert "https://tasks.example.org/app/tasks/3" in plain.get_content()
    assert "&lt;b&gt;bold&lt;/b&gt;" in html.get_content()
    assert "<b>" not in html.get_content()


async def test_a_subject_cannot_bring_headers_along(postman: tuple[Postman, str]) -> None:
    kept, url = postman
    await SmtpMailer(url, "tasktide@example.org", FakeClock()).send(mail("hello\rBcc: eve@example.org\nX: y"))
    [(_, recipients, message)] = kept.received
    assert recipients == ["bob@example.org"]
    assert message["bcc"] is None


async def test_what_the_server_says_tells_whether_to_try_again(postman: tuple[Postman, str]) -> None:
    kept, url = postman
    mailer = SmtpMailer(url, "tasktide@example.org", FakeClock())
    kept.answer = "451 greylisted"
    with pytest.raises(Unavailable, match="451"):
        await mailer.send(mail())
    kept.answer = "550 5.1.1 no such user"
    with pytest.raises(Refused, match="no such user"):
        await mailer.send(mail())
    kept.answer, kept.recipients_answer = "250 OK", "550 5.1.10 takes no mail"
    with pytest.raises(Refused, match="takes no mail"):
        await mailer.send(mail())
    for answer in ("450 mailbox busy", "554 5.7.1 Relay access denied", "553 5.7.1 Sender address rejected"):
        kept.recipients_answer = answer
        with pytest.raises(Unavailable, match=answer[:3]):
            await mailer.send(mail())
    kept.sender_answer = "530 sign in first"
    with pytest.raises(Unavailable, match="530"):
        await mailer.send(mail())
    with pytest.raises(Unavailable):
        await SmtpMailer("smtp://127.0.0.1:9", "tasktide@example.org", FakeClock()).send(mail())
