"""Settings that do not go together are refused, with the variables to set."""

from pathlib import Path

import pytest

from tasktide.settings import Settings, SettingsError, load
from tasktide.wiring.embedded import CannotStart
from tasktide.wiring.ports import check


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        (Settings(shard_urls=("postgresql://x/y",)), ["DB_SHARD_URLS", "DATABASE_URL"]),
        (Settings(kafka_brokers="x:1", result_bytes=16_777_216), ["KAFKA_BROKERS", "LIMIT_RESULT"]),
    ],
)
def test_a_bad_combination_names_the_variables(settings: Settings, names: list[str]) -> None:
    with pytest.raises(CannotStart) as refused:
        check(settings, is_whole=True)
    assert [name for name in names if name in str(refused.value)] == names


def test_large_results_are_a_matter_of_the_log() -> None:
    check(Settings(result_bytes=16_777_216), is_whole=True)
    check(Settings(kafka_brokers="x:1"), is_whole=True)


def test_proxies_are_addresses_networks_or_all() -> None:
    assert load({"TRUSTED_PROXIES": "10.0.0.0/8, ::1"}, None).trusted_proxies == "10.0.0.0/8,::1"
    assert load({"TRUSTED_PROXIES": "*"}, None).trusted_proxies == "*"
    for wrong in ("10.0.0.0/99", "proxy", "10.0.0.1/8"):
        with pytest.raises(SettingsError, match="TRUSTED_PROXIES"):
            load({"TRUSTED_PROXIES": wrong}, None)


def test_a_line_of_the_file_that_says_nothing_is_named(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("PORT=18108\n# a comment\nbad line\nHOST='::1'\n")
    with pytest.raises(SettingsError, match="line 3 is not of the form NAME=value"):
        load({}, file)
    file.write_text("PORT=18108\n\nHOST='::1'\n")
    assert (load({}, file).port, load({}, file).host) == (18108, "::1")
