"""What the program says: coloured lines on a terminal, JSON lines elsewhere."""

import logging
import sys
from typing import Any

import structlog
from structlog.typing import EventDict, WrappedLogger

_COLOURS = {
    "gateway": "\x1b[36m",
    "ingest": "\x1b[32m",
    "worker": "\x1b[35m",
    "feed": "\x1b[34m",
    "inbox": "\x1b[94m",
    "deliver": "\x1b[33m",
    "schedule": "\x1b[95m",
    "mail": "\x1b[93m",
}
_RESET = "\x1b[0m"


def configure(level: str) -> None:
    """Send everything to standard error, from `level` on; libraries that use `logging` included."""
    is_terminal = sys.stderr.isatty()
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    last: list[Any] = (
        [_role_first, structlog.dev.ConsoleRenderer(pad_event_to=0, exception_formatter=structlog.dev.plain_traceback)]
        if is_terminal
        else [_role, structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    )
    number = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[*shared, *last],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=_Named,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(processors=[_strip, *last], foreign_pre_chain=shared))
    logging.basicConfig(handlers=[handler], level=max(number, logging.WARNING), force=True)


class _Named:
    """Writes lines and remembers which part of the program it is."""

    def __init__(self, name: str = "tasktide") -> None:
        self.name = name

    def _write(self, line: str) -> None:
        print(line, file=sys.stderr, flush=True)  # noqa: T201 - this is the logger

    debug = info = warning = error = critical = exception = msg = _write


def _role_first(logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    name = getattr(logger, "name", "tasktide")
    event["event"] = f"{_COLOURS.get(name, '')}{name:<8}{_RESET} {event['event']}"
    return event


def _role(logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    return {"role": getattr(logger, "name", "tasktide")} | dict(event)


def _strip(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    event.pop("_record", None)
    event.pop("_from_structlog", None)
    return event
