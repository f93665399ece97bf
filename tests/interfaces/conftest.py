"""One platform for all tests here, and three people who use it."""

from collections.abc import Iterator
from ipaddress import ip_network
from itertools import count

import httpx
import pytest

from support.server import Person, serving

_numbers = count(1)


@pytest.fixture(scope="session")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    here = (ip_network("127.0.0.0/8"),)  # where the tests' receivers of webhooks are
    with serving(tmp_path_factory.mktemp("platform") / "data", webhook_networks=here) as where:
        yield where


@pytest.fixture(scope="session")
def admin(address: str) -> Iterator[Person]:
    person = Person(address, "admin")
    yield person
    person.close()


@pytest.fixture
def ann(address: str, admin: Person) -> Iterator[Person]:
    """A member; each test has its own."""
    person = Person(address, f"ann{next(_numbers)}")
    yield person
    person.close()


@pytest.fixture
def bob(address: str, admin: Person) -> Iterator[Person]:
    """Another member."""
    person = Person(address, f"bob{next(_numbers)}")
    yield person
    person.close()


@pytest.fixture
def anonymous(address: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=address, timeout=30) as client:
        yield client
