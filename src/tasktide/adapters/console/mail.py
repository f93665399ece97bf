"""Mail for those who have no mail server: it is written to the program's own output."""

import structlog

from tasktide.domain.deliveries import Mail


class ConsoleMailer:
    """`ports.mail.Mailer`: one log line a mail."""

    def __init__(self) -> None:
        self._log = structlog.get_logger("mail")

    async def send(self, mail: Mail) -> None:
        """See the port."""
        self._log.info("mail", to=mail.to, subject=mail.subject, message_id=mail.message_id, text=mail.text)
