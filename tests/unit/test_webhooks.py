"""Which addresses a webhook may have."""

from ipaddress import ip_address, ip_network

import pytest

from tasktide.domain.webhooks import check_url, is_allowed

PUBLIC = ["93.184.215.14", "2606:4700::1111", "::ffff:93.184.215.14", "64:ff9b::5db8:d70e", "2002:5db8:d70e::1"]
PRIVATE = [
    "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.1.2.3", "224.0.0.1",
    "255.255.255.255", "198.18.0.1", "192.0.2.1", "240.0.0.1", "::1", "::", "fe80::1", "fe80::1%eth0", "fd00::1",
    "fec0::1", "ff02::1", "2001:db8::1", "::ffff:10.1.2.3", "64:ff9b::a01:203", "64:ff9b:1::1", "2002:a01:203::1",
    "2002:7f00:1::1",
]  # fmt: skip


@pytest.mark.parametrize("address", PUBLIC)
def test_the_public_internet_is_allowed(address: str) -> None:
    assert is_allowed(ip_address(address), ())


@pytest.mark.parametrize("address", PRIVATE)
def test_nothing_else_is(address: str) -> None:
    assert not is_allowed(ip_address(address), ())


def test_but_for_the_networks_that_are_named() -> None:
    named = (ip_network("10.1.0.0/16"), ip_network("fd00::/8"))
    allowed = [address for address in PRIVATE if is_allowed(ip_address(address), named)]
    assert allowed == ["10.1.2.3", "fd00::1", "::ffff:10.1.2.3", "64:ff9b::a01:203", "2002:a01:203::1"]


@pytest.mark.parametrize(
    ("url", "word"),
    [
        ("", "characters"),
        ("https://example.org/" + "a" * 2_000, "characters"),
        ("example.org", "begin"),
        ("ftp://example.org", "begin"),
        ("https://", "begin"),
        ("https://example.org:0", "begin"),
        ("https://example.org:99999", "not an address"),
        ("https://[::1", "not an address"),
        ("https://exämple.org", "plain"),
        ("https://example.org/a b", "plain"),
        ("https://example.org/\r\nx: y", "plain"),
        ("https://ann:secret@example.org", "password"),
        ("https://example.org/#part", "#"),
        ("https://10.0.0.1/hook", "private"),
        ("https://[::ffff:127.0.0.1]/", "private"),
        ("http://localhost:8080/", "private"),
    ],
)
def test_what_is_wrong_with_an_address_is_said(url: str, word: str) -> None:
    [error] = check_url(url)
    assert (error.field, word in error.message) == ("url", True), error.message


@pytest.mark.parametrize(
    "url", ["https://example.org", "http://example.org:8080/a?b=c&d=%20", "https://93.184.215.14/"]
)
def test_a_good_address_is_taken(url: str) -> None:
    assert check_url(url) == []


def test_this_machine_may_be_named_where_it_is_allowed() -> None:
    assert check_url("http://localhost:8080/", (ip_network("127.0.0.0/8"),)) == []
