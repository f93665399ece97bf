"""Argon2id, in one thread beside the event loop: its 20 ms of work would stall everyone else."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import argon2
from argon2.exceptions import InvalidHashError, VerificationError

from tasktide.domain.errors import Unavailable

# OWASP's Password Storage Cheat Sheet: Argon2id with 19 MiB and 2 iterations; 18.7 ms on one 2026 server core.
TIME_COST = 2
MEMORY_KIB = 19 * 1024
# Sign-ins that may wait for the thread: about four seconds of work.
WAITING = 200


class Argon2Passwords:
    """`ports.tokens.Passwords`."""

    def __init__(self) -> None:
        self._hasher = argon2.PasswordHasher(time_cost=TIME_COST, memory_cost=MEMORY_KIB, parallelism=1)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="passwords")
        self._decoy = self._hasher.hash("nobody has this password")
        self._waiting = 0

    async def hash(self, password: str) -> str:
        """See the port."""
        return str(await self._run(self._hasher.hash, password))

    async def verify(self, password: str, hashed: str | None) -> bool:
        """See the port."""
        fits = bool(await self._run(self._verify, hashed or self._decoy, password))
        return fits and hashed is not None

    def close(self) -> None:
        """Let the thread end."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _verify(self, hashed: str, password: str) -> bool:
        try:
            return self._hasher.verify(hashed, password)
        except (VerificationError, InvalidHashError):
            return False

    async def _run(self, function: object, *arguments: str) -> object:
        if self._waiting >= WAITING:
            raise Unavailable("passwords", "Too many sign-ins at once; try again in a moment.", retry_after_s=2)
        self._waiting += 1
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._thread, function, *arguments)  # type: ignore[arg-type]
        finally:
            self._waiting -= 1
