"""Which addresses a download calls: names that lead astray, redirects, TLS, the proxy."""

from __future__ import annotations

from pathlib import Path

import pytest

from connector_proxy.download.address import may_connect
from connector_proxy.errors import Refused, Unavailable
from tests.downloading import Names, fetch_from, patterns
from tests.filestore import FileStore, s3, send

BODY = b"1,2\n" * 1000


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    return Names(monkeypatch)


@pytest.mark.parametrize(
    ("address", "pattern", "private", "allowed"),
    [
        ("52.218.1.1", "*.amazonaws.com", False, True),
        ("2a05:d018::1", "*.amazonaws.com", False, True),
        ("64:ff9b::34da:101", "*.amazonaws.com", False, True),
        ("10.1.2.3", "*.amazonaws.com", False, False),
        ("10.1.2.3", "*.amazonaws.com", True, False),
        ("10.1.2.3", "b.s3.amazonaws.com", False, False),
        ("10.1.2.3", "b.s3.amazonaws.com", True, True),
        ("172.16.0.1", "store.example", True, True),
        ("192.168.1.1", "store.example", True, True),
        ("100.64.0.1", "store.example", False, False),
        ("100.64.0.1", "store.example", True, True),
        ("fd12:3456::1", "store.example", False, False),
        ("fd12:3456::1", "store.example", True, True),
        ("127.0.0.1", "store.example", False, False),
        ("127.0.0.1", "store.example", True, True),
        ("127.0.0.1", "http://127.0.0.1:*", False, True),
        ("127.0.0.2", "http://127.0.0.1:*", False, False),
        ("10.1.2.3", "10.1.2.3", False, True),
        ("::1", "http://[::1]:*", False, True),
        ("127.0.0.1", "http://localhost:*", False, True),
        ("::1", "http://localhost:*", False, True),
        ("10.1.2.3", "http://localhost:*", False, False),
        ("::ffff:10.1.2.3", "*.amazonaws.com", False, False),
        ("::ffff:52.218.1.1", "*.amazonaws.com", False, True),
        ("64:ff9b::a01:203", "*.amazonaws.com", False, False),
        ("64:ff9b::a9fe:a9fe", "store.example", True, False),
        ("2002:a01:203::1", "store.example", True, False),
        ("2001:0:a01:203::1", "store.example", True, False),
        ("::10.1.2.3", "store.example", True, False),
        ("169.254.169.254", "store.example", True, False),
        ("169.254.169.254", "http://169.254.169.254", True, False),
        ("169.254.1.1", "store.example", True, False),
        ("fe80::1", "store.example", True, False),
        ("fd00:ec2::254", "store.example", True, False),
        ("fd20:ce::254", "store.example", True, False),
        ("100.100.100.200", "store.example", True, False),
        ("168.63.129.16", "store.example", True, False),
        ("192.0.0.192", "store.example", True, False),
        ("4000::1", "store.example", False, False),
        ("0.0.0.0", "store.example", True, False),
        ("0.1.2.3", "store.example", True, False),
        ("::", "store.example", True, False),
        ("224.0.0.1", "store.example", True, False),
        ("ff02::1", "store.example", True, False),
        ("255.255.255.255", "store.example", True, False),
        ("240.0.0.1", "store.example", True, False),
    ],
)
def test_an_address_is_called_or_not(
    address: str, pattern: str, private: bool, allowed: bool
) -> None:
    assert may_connect(address, patterns(pattern), private) is allowed


def test_a_name_that_leads_home_is_refused_and_never_called(
    store: FileStore, names: Names, tmp_path: Path
) -> None:
    names.lead("b.s3.example", ["127.0.0.1"])
    url = store.put("data", BODY).replace("127.0.0.1", "b.s3.example")
    with pytest.raises(Refused) as caught:
        fetch_from(url, tmp_path, "http://*.s3.example:*", allow_private=True)
    assert (caught.value.code, store.seen) == ("address_not_allowed", [])
    assert caught.value.cause == "b.s3.example resolves to 127.0.0.1"
    assert "127.0.0.1" not in str(caught.value) and "allowprivate" in caught.value.advice
    with pytest.raises(Refused):
        fetch_from(url, tmp_path, "http://b.s3.example:*")
    assert fetch_from(url, tmp_path, "http://b.s3.example:*", allow_private=True) == BODY
    assert store.seen[0].headers["Host"] == f"b.s3.example:{store.port}"


def test_the_address_that_was_checked_is_the_one_that_is_called(
    store: FileStore, names: Names, tmp_path: Path
) -> None:
    """A name that leads elsewhere at the second question is asked once."""
    names.lead("b.s3.example", ["127.0.0.1"], ["169.254.169.254"])
    url = store.put("data", BODY).replace("127.0.0.1", "b.s3.example")
    assert fetch_from(url, tmp_path, "http://b.s3.example:*", allow_private=True) == BODY
    assert names.asked == ["b.s3.example"]


def test_each_try_checks_anew(store: FileStore, names: Names, tmp_path: Path) -> None:
    store.answers["data"] = s3(BODY, cut=10)
    names.lead("b.s3.example", ["127.0.0.1"], ["169.254.169.254"])
    url = store.url("data").replace("127.0.0.1", "b.s3.example")
    with pytest.raises(Refused):
        fetch_from(url, tmp_path, "http://b.s3.example:*", allow_private=True)
    assert len(store.seen) == 1


def test_of_several_addresses_those_that_are_not_allowed_are_left_out_and_the_next_one_is_tried(
    store: FileStore, names: Names, tmp_path: Path
) -> None:
    names.lead("b.s3.example", ["169.254.169.254", "127.0.0.9", "127.0.0.1"])
    url = store.put("data", BODY).replace("127.0.0.1", "b.s3.example")
    assert fetch_from(url, tmp_path, "http://b.s3.example:*", allow_private=True) == BODY


def test_a_name_that_is_not_known_may_be_known_later(names: Names, tmp_path: Path) -> None:
    names.lead("b.s3.example", [])
    with pytest.raises(Unavailable) as caught:
        fetch_from("https://b.s3.example/data", tmp_path, "*.s3.example")
    assert caught.value.cause == "b.s3.example: Name or service not known"
    assert len(names.asked) == 2


@pytest.mark.parametrize("host", ["a" * 64 + ".s3.example", "a..s3.example"])
def test_a_name_that_no_name_server_could_know_is_no_fault_of_ours(
    host: str, tmp_path: Path
) -> None:
    with pytest.raises(Unavailable) as caught:
        fetch_from(f"https://{host}/data?X-Amz-Signature=abc", tmp_path, "*.s3.example")
    assert caught.value.code == "download_failed"
    assert "abc" not in caught.value.cause


@pytest.mark.parametrize("host", ["2130706433", "0x7f000001", "127.1", "0177.0.0.1"])
def test_an_address_in_an_odd_form_is_no_permission_of_its_own(
    host: str, store: FileStore, tmp_path: Path
) -> None:
    url = store.put("data", BODY).replace("127.0.0.1", host)
    with pytest.raises(Refused) as caught:
        fetch_from(url, tmp_path, f"http://{host}:*")
    assert (caught.value.code, store.seen) == ("address_not_allowed", [])


def test_a_redirect_is_followed_to_a_host_on_the_list(store: FileStore, tmp_path: Path) -> None:
    store.put("data", BODY)
    steps = [f"/exports/b?{store.url('x').partition('?')[2]}", store.url("c"), store.url("data")]
    for name, status, location in zip("abc", (301, 307, 308), steps, strict=True):
        store.answers[name] = send(status, b"", Location=location)
    assert fetch_from(store.url("a"), tmp_path) == BODY
    assert len(store.seen) == 4


@pytest.mark.parametrize(
    ("location", "words"),
    [
        ("http://elsewhere.example/data", "redirects to an address that is not allowed"),
        ("http://169.254.169.254/latest", "redirects to an address that is not allowed"),
        ("file:///etc/passwd", "redirects to an address that is not allowed"),
        ("http://[", "redirects to an address that is not allowed"),
        ("http://127.0.0.1 /", "redirects to an address that is not allowed"),
        ("http://user@127.0.0.1/", "redirects to an address that is not allowed"),
        ("/exports/a", "is redirected again and again"),
        ("", "is redirected again and again"),
    ],
)
def test_a_redirect_elsewhere_is_refused(
    location: str, words: str, store: FileStore, tmp_path: Path
) -> None:
    store.answers["a"] = send(302, b"", Location=location)
    with pytest.raises(Refused) as caught:
        fetch_from(store.url("a"), tmp_path)
    assert caught.value.code == "download_refused"
    assert words in str(caught.value) and "(HTTP status 302)" in str(caught.value)
    assert len(store.seen) <= 4


def test_a_redirect_to_nowhere_is_no_file(store: FileStore, tmp_path: Path) -> None:
    store.answers["a"] = send(302, b"")
    with pytest.raises(Refused, match="otherwise than with the file"):
        fetch_from(store.url("a"), tmp_path)
