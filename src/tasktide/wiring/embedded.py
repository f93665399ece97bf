"""The data folder: what is kept in it, and who may hold it."""

import contextlib
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from tasktide.adapters.sqlite import backup, database, evidence, migrate
from tasktide.adapters.system import lock, secret
from tasktide.adapters.system.forks import keep_from_children
from tasktide.domain import events
from tasktide.settings import Settings

__all__ = [
    "DATABASE_FILE",
    "SUBMISSIONS_FILE",
    "CannotStart",
    "backup_folder",
    "embedded_evidence",
    "engine_version",
    "has_data",
    "holder",
    "is_served",
    "keep_from_children",
    "migrate_folder",
    "or_cannot_start",
    "refuse_if_served",
]

DATABASE_FILE = "tasktide.db"
# What is accepted and not yet stored; see decision 13.
SUBMISSIONS_FILE = "submissions.db"
# The end of the name of a file that is still being copied.
PARTIAL = ".partial"


class CannotStart(Exception):
    """The data cannot be served as things are; the message says what to do."""


def engine_version() -> tuple[int, int, int]:
    """The version of SQLite that this Python brings."""
    return database.VERSION


def has_data(settings: Settings) -> bool:
    """Whether there is anything: in the data folder, or in the database that is set."""
    return settings.database_url is not None or (settings.data_dir / DATABASE_FILE).is_file()


def is_served(settings: Settings) -> bool:
    """Whether a server holds the data folder at this moment; without embedded stores nobody has to."""
    return settings.database_url is not None or (settings.data_dir.is_dir() and lock.is_held(settings.data_dir))


def refuse_if_served(settings: Settings) -> None:
    """CannotStart, which names the process, when a server holds the data folder."""
    folder = settings.data_dir
    if settings.database_url is None and is_served(settings):
        with or_cannot_start(folder):
            raise lock.DirectoryInUse(folder, lock.holder(folder))


def holder(settings: Settings) -> str:
    """The process that holds the data folder."""
    return lock.holder(settings.data_dir)


@contextlib.contextmanager
def embedded_evidence(settings: Settings) -> Iterator[evidence.SqliteEvidence]:
    """What the data folder holds, for reading alone; CannotStart when there is nothing to read."""
    folder = settings.data_dir
    if not (folder / DATABASE_FILE).is_file():
        raise CannotStart(f"There is no data in {folder}: set TASKTIDE_DATA_DIR to the folder of a server.")
    if not (folder / SUBMISSIONS_FILE).is_file():
        with or_cannot_start(folder):
            _check_submissions(folder)
        raise CannotStart(f"The data in {folder} was written by an earlier version: run `tasktide migrate` first.")
    files = folder / DATABASE_FILE, folder / SUBMISSIONS_FILE
    with or_cannot_start(folder), evidence.evidence(*files, is_outbox=settings.kafka_brokers is not None) as found:
        yield found


def migrate_folder(folder: Path) -> list[int]:
    """Bring the data folder's schema up to date; the numbers of the migrations applied. CannotStart says why not."""
    main = str(folder / DATABASE_FILE)
    with or_cannot_start(folder):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        _check_main(folder)
        _keep_private(folder / DATABASE_FILE)
        with contextlib.closing(database.connect(main)) as connection:
            applied = migrate.migrate(connection)
        if not (folder / SUBMISSIONS_FILE).exists():
            _check_submissions(folder)
        _keep_private(folder / SUBMISSIONS_FILE)
        with contextlib.closing(database.connect(str(folder / SUBMISSIONS_FILE))) as connection:
            migrate.migrate(connection, migrate.SUBMISSIONS)
            migrate.adopt(connection, main, events.TASK_INGESTED)
        return applied


def backup_folder(settings: Settings, target: Path) -> int:
    """Copy the data folder, beside a server or without one; the bytes of the copy. CannotStart says why not."""
    folder = settings.data_dir
    if settings.database_url is not None:
        raise CannotStart("DATABASE_URL is set: back PostgreSQL up with its own tools; docs/howto/backup.md says how.")
    for name in (DATABASE_FILE, SUBMISSIONS_FILE):
        if not (folder / name).is_file():
            raise CannotStart(f"There is no {name} in {folder}: set TASKTIDE_DATA_DIR to the folder of a server.")
    if target.resolve().is_relative_to(folder.resolve()):
        raise CannotStart(f"{target} is in the data folder itself: name one elsewhere, best on another disk.")
    with or_cannot_start(target):
        target.mkdir(parents=True, exist_ok=True, mode=0o700)
        if any(target.iterdir()):
            raise CannotStart(f"{target} is not empty: name a new folder, so that no older copy is lost.")
        try:
            _copy(folder, target)
        except BaseException:
            for one in target.iterdir():  # half of a copy is none
                one.unlink()
            raise
        return sum(one.stat().st_size for one in target.iterdir())


def _copy(folder: Path, target: Path) -> None:
    """The files get their names when all are whole, that without which no folder is served last."""
    partial = {name: target / f"{name}{PARTIAL}" for name in (secret.FILE, SUBMISSIONS_FILE, DATABASE_FILE)}
    # The longer transactions are those of the store: nobody who submits waits for them.
    backup.copy({folder / name: partial[name] for name in (DATABASE_FILE, SUBMISSIONS_FILE)})
    backup.mark(partial[DATABASE_FILE], int(time.time()))
    if (folder / secret.FILE).is_file():
        shutil.copy2(folder / secret.FILE, partial[secret.FILE])
    for name, one in partial.items():
        if one.exists():
            one.rename(target / name)
    backup.settle(target)


@contextlib.contextmanager
def or_cannot_start(folder: Path) -> Iterator[None]:
    """CannotStart for what may be wrong with a data folder."""
    try:
        yield
    except lock.DirectoryInUse as busy:
        raise CannotStart(f"{busy}: stop it, or set TASKTIDE_DATA_DIR to another folder.") from None
    except migrate.SchemaTooNew as newer:
        raise CannotStart(f"{newer}: install that version.") from None
    except (FileExistsError, NotADirectoryError):
        raise CannotStart(f"{folder} is no folder: name one, or what can be made one.") from None
    except (OSError, database.Failure) as error:
        raise CannotStart(f"The data folder {folder} cannot be used: {error}.") from None


def _keep_private(file: Path) -> None:
    """Make the file readable by its owner alone, which those that SQLite puts beside it follow."""
    os.close(os.open(file, os.O_RDWR | os.O_CREAT, 0o600))
    for one in (file, *(file.with_name(file.name + end) for end in ("-wal", "-shm"))):
        with contextlib.suppress(FileNotFoundError, PermissionError):  # who may write it need not own it
            if one.stat().st_mode & 0o077:
                one.chmod(0o600)


def _check_main(folder: Path) -> None:
    """CannotStart when the folder is half of a copy, or has lost the file that everything is in."""
    if any(folder.glob(f"*{PARTIAL}")):
        raise CannotStart(f"{folder} is half of a copy, of a backup that did not end: make another one.")
    submissions = folder / SUBMISSIONS_FILE
    if not (folder / DATABASE_FILE).exists() and submissions.exists() and submissions.stat().st_size:
        raise CannotStart(
            f"{folder / DATABASE_FILE} is missing, and with it all but what was accepted last: put it back. If it is "
            f"gone for good, remove {SUBMISSIONS_FILE} as well to begin anew."
        )


def _check_submissions(folder: Path) -> None:
    """CannotStart when submissions were kept in a file of their own, and it is gone."""
    with contextlib.closing(database.connect(str(folder / DATABASE_FILE))) as connection:
        if migrate.has_parted(connection, events.TASK_INGESTED):
            raise CannotStart(
                f"{folder / SUBMISSIONS_FILE} is missing, and with it what was accepted and not yet stored: "
                "put it back. If it is gone for good, make an empty file of that name to go on without."
            )
