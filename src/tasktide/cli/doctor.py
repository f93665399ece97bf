"""`tasktide doctor`: what may be wrong on this machine, and what mends it."""

import asyncio
import contextlib
import errno
import os
import shutil
import socket
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from msgspec import Struct
from rich.markup import escape
from rich.table import Table

from tasktide import __version__
from tasktide.cli import context
from tasktide.settings import Settings
from tasktide.wiring import data, embedded

OK, WARN, FAIL = "ok", "warn", "fail"
LEAST_SQLITE = (3, 38, 0)
LEAST_FREE = 100 * 1024 * 1024
FEW_FREE = 1024 * 1024 * 1024
# The year in which this was written: a clock before it is wrong.
EARLIEST = datetime(2026, 1, 1, tzinfo=UTC)
_COLOURS = {OK: "green", WARN: "yellow", FAIL: "red"}


class Check(Struct, frozen=True):
    """One look: what was looked at, how it is, what was seen, and what to do about it."""

    name: str
    status: str
    seen: str
    fix: str = ""


def doctor(json: Annotated[bool, typer.Option("--json", help="The checks as one JSON array.")] = False) -> None:
    """Look at settings, data, disk, SQLite, clock and port; exit 1 when something must be mended."""
    chosen = context.settings()
    checks = list(_examine(chosen))
    if json:
        typer.echo(msgspec.json.encode(checks))
    else:
        table = Table("", "what", "seen", "what to do", box=None)
        for check in checks:
            mark = f"[{_COLOURS[check.status]}]{check.status}[/]"
            table.add_row(mark, check.name, escape(check.seen), escape(check.fix))
        context.out.print(table)
    if any(check.status == FAIL for check in checks):
        raise typer.Exit(context.FAILED)


def _examine(chosen: Settings) -> Iterator[Check]:
    yield Check("version", OK, f"Tasktide {__version__}, Python {sys.version.split()[0]}")
    yield Check("settings", OK, "all are right")
    yield _sqlite()
    yield _clock(chosen.data_dir)
    yield _folder(chosen.data_dir)
    yield _disk(chosen.data_dir)
    yield from _files(chosen)
    yield from _engines(chosen)
    yield _port(chosen)


def _sqlite() -> Check:
    version = embedded.engine_version()
    seen = f"SQLite {'.'.join(map(str, version))}"
    if version < LEAST_SQLITE:
        return Check("sqlite", FAIL, seen, "install a Python with SQLite 3.38 or later")
    return Check("sqlite", OK, seen)


def _clock(folder: Path) -> Check:
    now = datetime.now(UTC)
    seen = f"{now:%Y-%m-%d %H:%M:%S} UTC"
    if now < EARLIEST:
        return Check("clock", FAIL, seen, "set the clock: times in the past sort before everything")
    written = max((file.stat().st_mtime for file in folder.glob("*.db*")), default=0.0)
    if written > time.time() + 60:
        ahead = int(written - time.time())
        return Check("clock", WARN, f"{seen}; the data was written {ahead} s in the future", "check the clock")
    return Check("clock", OK, seen)


def _folder(folder: Path) -> Check:
    where = str(folder.resolve())
    if not folder.exists():
        parent = next(one for one in folder.resolve().parents if one.exists())
        if parent.is_dir() and os.access(parent, os.W_OK):
            return Check("data folder", OK, f"{where} will be made")
        return Check("data folder", FAIL, f"{parent} cannot be written", "set TASKTIDE_DATA_DIR to another folder")
    if not folder.is_dir():
        return Check("data folder", FAIL, f"{where} is no folder", "set TASKTIDE_DATA_DIR to one")
    if not os.access(folder, os.W_OK | os.X_OK):
        return Check("data folder", FAIL, f"{where} cannot be written", "set TASKTIDE_DATA_DIR to another folder")
    if folder.stat().st_mode & 0o077:
        return Check("data folder", WARN, f"{where} can be read by others", f"chmod 700 {where}")
    return Check("data folder", OK, where)


def _disk(folder: Path) -> Check:
    parent = next(one for one in (folder.resolve(), *folder.resolve().parents) if one.exists())
    free = shutil.disk_usage(parent).free
    seen = f"{free / 1024**3:.1f} GiB free"
    if free < LEAST_FREE:
        return Check("disk", FAIL, seen, "make room: writes are refused with 503 when the disk is full")
    return Check("disk", WARN if free < FEW_FREE else OK, seen, "make room soon" if free < FEW_FREE else "")


def _files(chosen: Settings) -> Iterator[Check]:
    folder = chosen.data_dir
    if not (folder / embedded.DATABASE_FILE).exists():
        yield Check("data", OK, "none yet")
        return
    try:
        damage = asyncio.run(_damage(chosen))
    except embedded.CannotStart as reason:
        yield Check("data", FAIL, str(reason), "do what it says; a damaged file: stop the server, put back a backup")
        return
    size = sum(file.stat().st_size for file in folder.glob("*.db*")) / 1024**2
    if damage:
        fix = "stop the server, and put back the last backup of the data folder"
        yield Check("data", FAIL, "; ".join(" ".join(line.split())[:200] for line in damage[:3]), fix)
    else:
        yield Check("data", OK, f"{size:,.0f} MiB, whole")
    letters = asyncio.run(_letters(chosen))
    fix = "tasktide letters list" if letters else ""
    yield Check("dead letters", WARN if letters else OK, str(letters), fix)
    secret = folder / "jwt.secret"
    if secret.exists() and secret.stat().st_mode & 0o077:
        yield Check("signing secret", FAIL, f"{secret} can be read by others", f"chmod 600 {secret}")


def _engines(chosen: Settings) -> Iterator[Check]:
    """Those that the settings name, each asked once."""
    for variable, problem in asyncio.run(data.ask_engines(chosen)).items():
        if problem is None:
            yield Check(variable, OK, "answers")
        else:
            yield Check(variable, FAIL, problem, f"start it, or set {variable} to where it is")


async def _damage(chosen: Settings) -> list[str]:
    with embedded.embedded_evidence(chosen) as evidence:
        return list(await evidence.damage())


async def _letters(chosen: Settings) -> int:
    with embedded.embedded_evidence(chosen) as evidence:
        return len((await evidence.exceptions()).parked)


def _port(chosen: Settings) -> Check:
    where = f"{chosen.host}:{chosen.port}"
    with contextlib.closing(socket.socket(socket.AF_INET6 if ":" in chosen.host else socket.AF_INET)) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((chosen.host, chosen.port))
        except OSError as error:
            return _taken(chosen, where, error)
    return Check("port", OK, f"{where} is free")


def _taken(chosen: Settings, where: str, error: OSError) -> Check:
    if error.errno != errno.EADDRINUSE:
        return Check("port", FAIL, f"{where}: {error.strerror}", "set HOST to an address of this machine")
    if not _is_tasktide(chosen):
        return Check("port", FAIL, f"{where}: {error.strerror}", "set PORT to another, or stop who listens there")
    if chosen.database_url is not None:
        return Check("port", OK, f"{where}: a Tasktide answers")
    if not embedded.is_served(chosen):
        return Check("port", FAIL, f"{where}: a Tasktide of another data folder answers", "set PORT to another")
    return Check("port", OK, f"{where}: this folder's server answers (process {embedded.holder(chosen)})")


def _is_tasktide(chosen: Settings) -> bool:
    try:
        with socket.create_connection((chosen.host, chosen.port), timeout=2) as client:
            client.sendall(b"GET /livez HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
            return b'{"status":"ok"}' in client.recv(4_096)
    except OSError:
        return False
