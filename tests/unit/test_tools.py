"""What `make` installs with."""

import sys

import pytest

from tools.pick_python import candidates, choose


@pytest.mark.parametrize(
    ("found", "chosen"),
    [
        ([("first", True), ("other", True)], "first"),
        ([("first", False), ("other", True)], "other"),
        ([("first", False), ("other", False)], "first"),
    ],
)
def test_another_python_is_taken_only_when_it_alone_was_built_for_speed(
    found: list[tuple[str, bool]], chosen: str
) -> None:
    assert choose(found) == chosen


def test_candidates_are_pythons_that_have_what_is_needed() -> None:
    assert candidates(["json"]), f"{sys.executable} itself came from one"
    assert not candidates(["no_such_module"])
