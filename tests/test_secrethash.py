"""Secrets that others present: several, hashed or as they are, and quick to know again."""

from __future__ import annotations

import base64
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector_proxy.secrethash import Presented, TooBusy, hashed, split

HASHED = "scrypt:14:8:5:HoeMq61rLkXfb3ykSgOWSg:_X5RAQ3EkBZ5M6IXrwPJ_6YmjDtvbMKnDuqJ30cHyi0"
"""Of the secret "open sesame"; always the same, since it stands in the names of tests."""


@given(st.text(), st.text())
def test_a_plain_secret_matches_itself_alone(secret: str, other: str) -> None:
    text = secret.replace(",", "").strip().replace("\ud800", "").removeprefix("scrypt:")
    presented = Presented(text)
    assert presented.matches(text.encode()) == bool(text)
    assert presented.matches(other.encode()) == (other == text != "")


def test_each_of_several_secrets_matches() -> None:
    presented = Presented(f"old, n€w ,{HASHED},")
    for good in ("old", "n€w", "open sesame", "open sesame", "old"):
        assert presented.matches(good.encode()), good
    for bad in ("", "ol", "old,", "old, n€w", "Old", HASHED, "open sesame "):
        assert not presented.matches(bad.encode()), bad


def test_a_hash_is_another_one_each_time_and_does_not_hold_the_secret() -> None:
    assert hashed("open sesame") != HASHED
    assert "sesame" not in HASHED + repr(Presented(HASHED).__dict__)
    assert HASHED.startswith("scrypt:14:8:5:")
    assert set(HASHED) & set(" ,;#$%'\"\\{}") == set()  # legal in INI files, shells, compose files


def test_the_vector_of_rfc_7914_is_understood() -> None:
    digest = bytes.fromhex(
        "7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2"
        "d5432955613f0fcf62d49705242a9af9e61e85dc0d651e40dfcf017b45575887"
    )
    salt, shown = (
        base64.urlsafe_b64encode(one).decode().rstrip("=") for one in (b"SodiumChloride", digest)
    )
    presented = Presented(f"scrypt:14:8:1:{salt}:{shown}")
    assert not presented.matches(b"pleaseletmeout")
    assert presented.matches(b"pleaseletmein")


@pytest.mark.parametrize(
    "damaged",
    [
        HASHED[:-30],
        HASHED.replace("scrypt:14", "scrypt:0"),
        HASHED.replace("scrypt:14", "scrypt:17"),
        HASHED.replace(":8:5:", ":99:5:"),
        HASHED.replace(":8:5:", ":8:0:"),
        HASHED.replace(":8:5:", ":8:17:"),
        HASHED[:-10] + "=" + HASHED[-9:],
        "scrypt:",
        HASHED[:-3] + "a",
    ],
)
def test_a_damaged_hash_is_refused_and_not_taken_for_a_secret(damaged: str) -> None:
    with pytest.raises(ValueError, match="make it anew with connector-proxy hash-secret") as error:
        split("good, " + damaged)
    assert damaged not in str(error.value)


def test_a_value_that_was_good_once_is_known_at_once_and_so_is_a_bad_one() -> None:
    presented = Presented(HASHED)
    started = time.perf_counter()
    assert presented.matches(b"open sesame")
    slow = time.perf_counter() - started
    started = time.perf_counter()
    for _ in range(50):
        assert presented.matches(b"open sesame")
        assert not presented.matches(b"open barley")
    assert time.perf_counter() - started < slow


def test_a_bad_value_that_comes_first_does_no_harm() -> None:
    presented = Presented(f"{HASHED}, {hashed('second')}")
    assert not presented.matches(b"open barley")
    assert presented.matches(b"second")
    assert not presented.matches(b"open barley")
    assert presented.matches(b"open sesame")


def test_many_threads_that_come_first_find_it_good() -> None:
    presented = Presented(f"{HASHED}, {hashed('second')}")
    found: list[bool] = []
    threads = [
        threading.Thread(target=lambda: found.append(presented.matches(b"open sesame")))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [True] * 8
    assert len(presented._hashed) == 1


def test_few_wrong_values_are_looked_at_and_the_others_turned_away_at_once() -> None:
    presented, outcomes = Presented(HASHED), []
    start = threading.Barrier(40)

    def present(number: int) -> None:
        start.wait()
        try:
            outcomes.append(presented.matches(f"wrong {number}".encode()))
        except TooBusy:
            outcomes.append(None)

    threads = [threading.Thread(target=present, args=(number,)) for number in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(outcomes) == 40
    assert True not in outcomes
    assert None in outcomes
    assert presented.matches(b"open sesame")


def test_who_presents_the_same_good_secret_at_the_same_moment_is_let_in() -> None:
    presented = Presented(HASHED)
    with ThreadPoolExecutor(20) as pool:
        assert all(pool.map(presented.matches, [b"open sesame"] * 20))
