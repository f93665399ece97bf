"""Every setting of the program: one frozen record, read from the environment and `.env`."""

import io
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from ipaddress import ip_network
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from dotenv import dotenv_values
from dotenv.parser import parse_stream

from tasktide.domain.rates import Tier, format_tiers, parse_tiers
from tasktide.domain.users import is_email
from tasktide.domain.webhooks import Network

SECRET_BYTES = 32
_POSTGRES = ("postgresql", "postgres")


class SettingsError(Exception):
    """Some settings are wrong; `mistakes` has a line for each, by the variable's name."""

    def __init__(self, mistakes: list[str]) -> None:
        super().__init__("\n".join(mistakes))
        self.mistakes = mistakes


def _text(value: str) -> str:
    return value


def _switch(value: str) -> bool:
    words = {
        "on": True,
        "true": True,
        "yes": True,
        "1": True,
        "off": False,
        "false": False,
        "no": False,
        "0": False,
    }
    try:
        return words[value.lower()]
    except KeyError:
        raise ValueError("must be on or off") from None


def _whole(low: int, high: int) -> Callable[[str], int]:
    def parse(value: str) -> int:
        if not value.isdecimal() or not low <= int(value) <= high:
            raise ValueError(f"must be a whole number from {low} to {high}")
        return int(value)

    return parse


def _secret(value: str) -> str:
    if len(value.encode()) < SECRET_BYTES:
        raise ValueError(f"must be at least {SECRET_BYTES} bytes long; `openssl rand -hex 32` makes one")
    return value


def _origins(value: str) -> tuple[str, ...]:
    origins = tuple(part.strip().rstrip("/") for part in value.split(",") if part.strip())
    for origin in origins:
        if origin != "*" and not origin.startswith(("http://", "https://")):
            raise ValueError(f"{origin!r} is not an origin such as https://example.org")
    return origins


def _level(value: str) -> str:
    levels = ("debug", "info", "warning", "error")
    if value.lower() not in levels:
        raise ValueError(f"must be one of {', '.join(levels)}")
    return value.lower()


def _url(*schemes: str) -> Callable[[str], str]:
    def parse(value: str) -> str:
        try:
            parts = urlsplit(value)
            is_right = parts.scheme in schemes and bool(parts.hostname) and parts.port != 0
        except ValueError:  # whose text may hold a password
            is_right = False
        if not is_right:
            begins = " or ".join(f"{one}://" for one in schemes)
            raise ValueError(f"must be an address such as {schemes[0]}://host, beginning with {begins}")
        return value

    return parse


def _urls(*schemes: str) -> Callable[[str], tuple[str, ...]]:
    parse = _url(*schemes)
    return lambda value: tuple(dict.fromkeys(parse(part) for part in _words(value)))


def _brokers(value: str) -> str:
    for part in _words(value):
        host, colon, port = part.rpartition(":")
        if not colon or not host or not port.isdecimal():
            raise ValueError(f"{part!r} is not of the form host:port")
    return ",".join(_words(value))


def _public(value: str) -> str:
    return _url("http", "https")(value).rstrip("/")


def _email(value: str) -> str:
    if not is_email(value):
        raise ValueError("must be an email address")
    return value


def _networks(value: str) -> tuple[Network, ...]:
    return tuple(ip_network(part) for part in _words(value))


def _proxies(value: str) -> str:
    for part in _words(value):
        if part != "*":
            ip_network(part)
    return ",".join(_words(value))


def _words(value: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in value.split(",") if part.strip())


def _show(value: object) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, tuple):
        return format_tiers(value) if value and isinstance(value[0], Tier) else ", ".join(str(one) for one in value)
    return "" if value is None else str(value)


def _setting(
    name: str, default: Any, parse: Callable[[str], Any], unit: str, about: str, *, is_secret: bool = False
) -> Any:
    metadata = {"name": name, "parse": parse, "unit": unit, "about": about, "is_secret": is_secret}
    return field(default=default, metadata=metadata)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What can be set, each with the variable that sets it."""

    host: str = _setting("HOST", "127.0.0.1", _text, "address", "Where the server listens; 0.0.0.0 for every network.")
    port: int = _setting("PORT", 3000, _whole(0, 65_535), "port", "The port it listens on; 0 takes any free one.")
    data_dir: Path = _setting(
        "TASKTIDE_DATA_DIR", Path("data"), Path, "folder", "Where everything is kept: one server a folder."
    )
    jwt_secret: str | None = _setting(
        "JWT_SECRET", None, _secret, f"text of {SECRET_BYTES} bytes or more",
        "Signs the tokens. Unset: one is made and kept in the data folder, readable by its owner alone.",
        is_secret=True,
    )  # fmt: skip
    token_lifetime_s: int = _setting(
        "TOKEN_LIFETIME", 86_400, _whole(60, 31_536_000), "seconds", "How long a sign-in lasts."
    )
    database_url: str | None = _setting(
        "DATABASE_URL", None, _url(*_POSTGRES), "address",
        "PostgreSQL for users and all that is kept once. Unset: SQLite in the data folder.", is_secret=True,
    )  # fmt: skip
    shard_urls: tuple[str, ...] = _setting(
        "DB_SHARD_URLS", (), _urls(*_POSTGRES), "addresses",
        "PostgreSQL databases for tasks and inboxes, comma separated. Unset: the one of DATABASE_URL.", is_secret=True,
    )  # fmt: skip
    replica_urls: tuple[str, ...] = _setting(
        "DB_REPLICA_URLS", (), _urls(*_POSTGRES), "addresses",
        "Read replicas of shards, comma separated, in any order: lists and counts are read there, a moment behind.",
        is_secret=True,
    )  # fmt: skip
    database_connections: int = _setting(
        "DB_CONNECTIONS", 10, _whole(3, 1_000), "connections", "Connections of a process to each database, at most."
    )
    kafka_brokers: str | None = _setting(
        "KAFKA_BROKERS", None, _brokers, "host:port",
        "Kafka for the event log, comma separated. Unset: tables in the data folder.",
    )  # fmt: skip
    kafka_prefix: str = _setting(
        "KAFKA_PREFIX",
        "",
        _text,
        "text",
        "Put before the names of topics and groups, so that platforms share a cluster.",
    )
    kafka_partitions: int = _setting(
        "KAFKA_PARTITIONS", 6, _whole(1, 1_000), "partitions",
        "Of each topic when it is made: at most so many processes share one, of notifications half as many.",
    )  # fmt: skip
    kafka_replication: int = _setting(
        "KAFKA_REPLICATION", 1, _whole(1, 10), "copies", "Of each topic when it is made; 3 where there are 3 brokers."
    )
    rabbitmq_url: str | None = _setting(
        "RABBITMQ_URL", None, _url("amqp", "amqps"), "address",
        "RabbitMQ for the delivery queue. Unset: a table of the database.", is_secret=True,
    )  # fmt: skip
    redis_url: str | None = _setting(
        "REDIS_URL", None, _url("redis", "rediss"), "address",
        "Redis for cache, rate limits, ids, sessions and push. Unset: this process's memory.", is_secret=True,
    )  # fmt: skip
    smtp_url: str | None = _setting(
        "SMTP_URL", None, _url("smtp", "smtps", "smtp+starttls"), "address",
        "The mail server. Unset: mail is written to the program's output.", is_secret=True,
    )  # fmt: skip
    mail_from: str = _setting(
        "MAIL_FROM", "tasktide@localhost.localdomain", _email, "email address", "Who sends the mail."
    )
    webhook_networks: tuple[Network, ...] = _setting(
        "WEBHOOK_NETWORKS", (), _networks, "networks",
        "Private networks where webhooks may be, such as 10.1.0.0/16, comma separated, beside the public Internet.",
    )  # fmt: skip
    public_url: str = _setting(
        "PUBLIC_URL", "", _public, "address", "Where people reach the platform, for the links in mail."
    )
    job_lease_s: int = _setting(
        "JOB_LEASE", 60, _whole(5, 86_400), "seconds",
        "How long a worker that is not heard of keeps a job, where there may be several workers.",
    )  # fmt: skip
    health_port: int = _setting(
        "HEALTH_PORT", 0, _whole(0, 65_535), "port",
        "Where a process without the gateway answers /livez, /readyz and /metrics; 0: nowhere.",
    )  # fmt: skip
    app: tuple[str, ...] = _setting(
        "TASKTIDE_APP",
        (),
        _words,
        "modules",
        "Python modules with handlers, such as shop.jobs; --app adds to it.",
    )
    worker_concurrency: int = _setting(
        "WORKER_CONCURRENCY",
        256,
        _whole(1, 100_000),
        "jobs",
        "Jobs that one worker runs at once; one creator's leave about an eighth to others.",
    )
    worker_threads: int = _setting(
        "WORKER_THREADS",
        32,
        _whole(1, 1_000),
        "threads",
        "Jobs of plain functions that one worker runs at once, a thread each.",
    )
    registration: bool = _setting(
        "REGISTRATION", True, _switch, "on or off",
        "Whether anybody may make an account; off: admins alone, with their token, after the first account.",
    )  # fmt: skip
    rate_limiting: bool = _setting("RATE_LIMITING", True, _switch, "on or off", "Whether requests are limited.")
    rate_anonymous: tuple[Tier, ...] = _setting(
        "RATE_ANONYMOUS", parse_tiers("3/1s, 20/10s, 100/60s"), parse_tiers, "requests/seconds",
        "Limits per address of requests without a token; all hold at once.",
    )  # fmt: skip
    rate_signed_in: tuple[Tier, ...] = _setting(
        "RATE_SIGNED_IN", parse_tiers("1000/1s, 5000/10s, 20000/60s"), parse_tiers, "requests/seconds",
        "Limits per user of requests with a token; all hold at once.",
    )  # fmt: skip
    cors_origins: tuple[str, ...] = _setting(
        "CORS_ORIGINS",
        (),
        _origins,
        "origins",
        "Other web origins whose pages may call the API, comma separated.",
    )
    graphql_introspection: bool = _setting(
        "GRAPHQL_INTROSPECTION",
        True,
        _switch,
        "on or off",
        "Whether GraphQL clients may ask for the schema.",
    )
    trusted_proxies: str = _setting(
        "TRUSTED_PROXIES",
        "",
        _proxies,
        "addresses",
        "Proxies whose X-Forwarded-For is believed, comma separated.",
    )
    backlog_limit: int = _setting(
        "BACKLOG_LIMIT", 50_000, _whole(1, 100_000_000), "records",
        "Accepted tasks or notifications not yet stored, beyond which new ones get 503; held back from a twentieth on.",
    )  # fmt: skip
    body_bytes: int = _setting(
        "LIMIT_BODY", 1_048_576, _whole(1_024, 1_073_741_824), "bytes", "The largest request body."
    )
    batch_bytes: int = _setting(
        "LIMIT_BATCH_BODY", 16_777_216, _whole(1_024, 1_073_741_824), "bytes", "The largest body of a batch."
    )
    batch_items: int = _setting("LIMIT_BATCH", 10_000, _whole(1, 1_000_000), "items", "The most items in a batch.")
    body_timeout_s: int = _setting(
        "BODY_TIMEOUT", 30, _whole(1, 3_600), "seconds", "How long a request body may take to arrive."
    )
    socket_auth_timeout_s: int = _setting(
        "SOCKET_AUTH_TIMEOUT", 10, _whole(1, 3_600), "seconds", "How long a WebSocket may take to sign in."
    )
    sockets_signing_in: int = _setting(
        "LIMIT_SIGNING_IN", 1_000, _whole(1, 1_000_000), "sockets",
        "The most WebSockets that may be open without having signed in; the oldest is closed for a new one.",
    )  # fmt: skip
    socket_send_timeout_s: int = _setting(
        "SOCKET_SEND_TIMEOUT", 10, _whole(1, 3_600), "seconds",
        "How long a WebSocket may refuse to take a frame before it is closed with 4429.",
    )  # fmt: skip
    title_length: int = _setting("LIMIT_TITLE", 500, _whole(1, 10_000), "characters", "The longest title of a task.")
    description_length: int = _setting(
        "LIMIT_DESCRIPTION", 20_000, _whole(1, 1_000_000), "characters", "The longest description of a task."
    )
    labels: int = _setting("LIMIT_LABELS", 20, _whole(0, 1_000), "labels", "The most labels on a task.")
    label_length: int = _setting("LIMIT_LABEL", 50, _whole(1, 500), "characters", "The longest label.")
    observers: int = _setting("LIMIT_OBSERVERS", 100, _whole(0, 10_000), "users", "The most observers of a task.")
    payload_bytes: int = _setting(
        "LIMIT_PAYLOAD", 65_536, _whole(16, 16_777_216), "bytes of JSON", "The largest payload of a job."
    )
    result_bytes: int = _setting(
        "LIMIT_RESULT", 65_536, _whole(16, 16_777_216), "bytes of JSON", "The largest result of a job."
    )
    message_length: int = _setting(
        "LIMIT_MESSAGE", 2_000, _whole(1, 100_000), "characters", "The longest message of a direct notification."
    )
    name_length: int = _setting("LIMIT_NAME", 100, _whole(1, 1_000), "characters", "The longest name of a user.")
    log_retention_s: int = _setting(
        "LOG_RETENTION", 86_400, _whole(0, 3_153_600_000), "seconds",
        "How long records stay on the log after every reader has passed them.",
    )  # fmt: skip
    sweep_interval_s: int = _setting(
        "SWEEP_INTERVAL", 60, _whole(1, 86_400), "seconds", "How often what is no longer needed is removed."
    )
    log_level: str = _setting(
        "LOG_LEVEL", "info", _level, "level", "What the program says: debug, info, warning, error."
    )


@dataclass(frozen=True)
class Described:
    """One setting for people: the variable, its unit, default, sentence and present value."""

    name: str
    unit: str
    default: str
    about: str
    value: str


def load(environment: Mapping[str, str], env_file: Path | None = None) -> Settings:
    """Settings from the environment, else from the file; SettingsError lists every mistake at once.

    An empty variable counts as unset.
    """
    from_file = {} if env_file is None else _from_file(env_file)
    given = from_file | dict(environment)
    values: dict[str, Any] = {}
    mistakes = []
    for one in fields(Settings):
        name = one.metadata["name"]
        text = given.get(name, "").strip()
        if not text:
            continue
        try:
            values[one.name] = one.metadata["parse"](text)
        except ValueError as wrong:
            mistakes.append(f"{name} {wrong}" if one.metadata["is_secret"] else f"{name}={text}: {wrong}")
    if mistakes:
        raise SettingsError(mistakes)
    return Settings(**values)


def _from_file(path: Path) -> dict[str, str]:
    if not os.path.isfile(path):  # noqa: PTH113 - the path's own raises where nobody may look
        return {}
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError([f"{path} cannot be read: {error}"]) from None
    bad = [part.original.line for part in parse_stream(io.StringIO(text)) if part.error]
    if bad:
        raise SettingsError([f"{path}: line {number} is not of the form NAME=value" for number in bad])
    return {name: value for name, value in dotenv_values(stream=io.StringIO(text)).items() if value is not None}


def describe(settings: Settings) -> list[Described]:
    """Every setting with its present value; secrets are not shown."""
    described = []
    for one in fields(Settings):
        value = getattr(settings, one.name)
        shown = "(set)" if one.metadata["is_secret"] and value else _show(value)
        meta = one.metadata
        described.append(Described(meta["name"], meta["unit"], _show(one.default), meta["about"], shown))
    return described
