"""Numbered SQL migrations, each in a transaction, one process at a time."""

from tasktide import resources
from tasktide.adapters.postgres.database import Connection, Database

# The folders of scripts: what is kept once, and what each shard holds.
USERS = "users"
SHARD = "shard"
# A number of our own for `pg_advisory_xact_lock`: other programs may use the same database.
_LOCK = 7_245_913
# How long a step may take on much data, or another process with it.
PATIENCE_S = 3_600.0
_PREPARE = """
CREATE TABLE IF NOT EXISTS schema_migrations (kind text NOT NULL, number integer NOT NULL, PRIMARY KEY (kind, number))
"""


class SchemaTooNew(Exception):
    """The database was written by a newer version of the program."""


async def migrate(database: Database, kind: str) -> list[int]:
    """Bring a database's schema up to date; the numbers applied."""
    shipped = resources.migrations(__package__, f"migrations/{kind}")
    applied: list[int] = []
    async with database.transaction() as connection:
        await connection.allow(PATIENCE_S)
        await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
        await connection.execute(_PREPARE)
        version = await _version(connection, kind)
        if version > shipped[-1][0]:
            known = f"schema {version}, this one knows {shipped[-1][0]}"
            raise SchemaTooNew(f"the data was written by a newer Tasktide ({known})")
        for number, script in shipped:
            if number > version:
                await connection.script(script)
                await connection.execute("INSERT INTO schema_migrations VALUES ($1, $2)", kind, number)
                applied.append(number)
    return applied


async def _version(connection: Connection, kind: str) -> int:
    found = await connection.value("SELECT coalesce(max(number), 0) FROM schema_migrations WHERE kind = $1", kind)
    return int(found)
