"""What tokens, passwords and the kept secret promise."""

import stat
import threading
from pathlib import Path

import jwt
import pytest

from support.clock import FakeClock
from tasktide.adapters.security.passwords import Argon2Passwords
from tasktide.adapters.security.tokens import JwtTokens
from tasktide.adapters.system import lock, secret
from tasktide.domain.errors import Unauthenticated
from tasktide.domain.ids import UserId
from tasktide.domain.times import later
from tasktide.domain.users import Session

SECRET = "s" * 32


def test_a_token_names_its_session_until_it_expires() -> None:
    clock = FakeClock()
    tokens = JwtTokens(SECRET, clock)
    session = Session(id="abc", user_id=UserId(7), expires_at=later(clock.now(), 60))
    token = tokens.issue(session)
    assert tokens.read(token) == session
    clock.advance(60)
    with pytest.raises(Unauthenticated):
        tokens.read(token)


@pytest.mark.parametrize(
    ("key", "algorithm", "claims"),
    [
        ("x" * 32, "HS256", {"sub": "7", "sid": "abc", "exp": 9_999_999_999}),
        (SECRET, "HS512", {"sub": "7", "sid": "abc", "exp": 9_999_999_999}),
        (None, "none", {"sub": "7", "sid": "abc", "exp": 9_999_999_999}),
        (SECRET, "HS256", {"sub": "7", "sid": "abc"}),
        (SECRET, "HS256", {"sub": "7", "exp": 9_999_999_999}),
        (SECRET, "HS256", {"sub": "x", "sid": "abc", "exp": 9_999_999_999}),
    ],
)
@pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning")
def test_a_token_of_another_hand_is_refused(key: str | None, algorithm: str, claims: dict[str, object]) -> None:
    token = jwt.encode(claims, key, algorithm=algorithm)
    with pytest.raises(Unauthenticated):
        JwtTokens(SECRET, FakeClock()).read(token)


def test_a_fingerprint_is_the_same_for_the_same_and_needs_the_secret() -> None:
    tokens = JwtTokens(SECRET, FakeClock())
    assert tokens.fingerprint(b"a") == tokens.fingerprint(b"a") != tokens.fingerprint(b"b")
    assert tokens.fingerprint(b"a") != JwtTokens("x" * 32, FakeClock()).fingerprint(b"a")


async def test_passwords_fit_their_own_hash_alone() -> None:
    passwords = Argon2Passwords()
    hashed = await passwords.hash("correct horse")
    assert "correct" not in hashed
    assert hashed != await passwords.hash("correct horse"), "salted"
    assert await passwords.verify("correct horse", hashed)
    assert not await passwords.verify("wrong", hashed)
    assert not await passwords.verify("wrong", None)
    assert not await passwords.verify("correct horse", "no hash at all")
    passwords.close()


def test_the_secret_is_made_once_even_by_many_at_once(tmp_path: Path) -> None:
    found: list[str] = []
    threads = [threading.Thread(target=lambda: found.append(secret.keep(tmp_path))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 1
    assert len(found[0]) >= 32
    assert [path.name for path in tmp_path.iterdir()] == ["jwt.secret"]
    assert stat.S_IMODE((tmp_path / "jwt.secret").stat().st_mode) == 0o600


def test_an_empty_secret_is_refused(tmp_path: Path) -> None:
    (tmp_path / "jwt.secret").write_text("")
    with pytest.raises(OSError, match="holds no secret"):
        secret.keep(tmp_path)


def test_a_folder_is_held_by_one_at_a_time(tmp_path: Path) -> None:
    with lock.hold(tmp_path), pytest.raises(lock.DirectoryInUse, match="in use by the process"), lock.hold(tmp_path):
        pass
    with lock.hold(tmp_path):
        pass
