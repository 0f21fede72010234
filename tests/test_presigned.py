"""When presigned URLs stop working."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from connector_proxy.intake import read_webhook
from connector_proxy.presigned import expires_at
from tests.conftest import PAYLOADS

NOON = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("X-Amz-Date=20261121T114500Z&X-Amz-Expires=900", NOON),
        ("x-amz-expires=900&x-amz-date=20261121T114500Z&X-Amz-Signature=f", NOON),
        ("X-Goog-Date=20261121T114500Z&X-Goog-Expires=900", NOON),
        (f"AWSAccessKeyId=A&Expires={int(NOON.timestamp())}&Signature=s", NOON),
        ("sv=2024-05-04&se=2026-11-21T12%3A00%3A00Z&sig=s", NOON),
        ("se=2026-11-21T12%3A00%3A00Z", None),
        ("X-Amz-Date=20261121T114500Z", None),
        ("X-Amz-Date=yesterday&X-Amz-Expires=900", None),
        ("X-Amz-Date=20261121T114500Z&X-Amz-Expires=99999999999999", None),
        ("Expires=99999999999999999999", None),
        ("se=9999-12-31T23%3A59%3A59-01%3A00&sig=x", None),
        ("se=0001-01-01T00%3A00%3A00%2B01%3A00&sig=x", None),
        ("", None),
    ],
)  # fmt: skip
def test_the_moment_is_read_from_the_query_string(query: str, expected: datetime | None) -> None:
    assert expires_at(f"https://bucket.s3.amazonaws.com/exports/data?{query}") == expected


@pytest.mark.parametrize("url", ["", "no url", "http://[", "?X-Amz-Date"])
def test_whatever_is_no_url_tells_no_moment(url: str) -> None:
    assert expires_at(url) is None


def test_the_first_of_the_two_urls_counts() -> None:
    raw = (PAYLOADS / "bulk_stp.json").read_bytes()
    both = read_webhook(raw).deadline
    assert both is not None
    earlier = raw.replace(b"X-Amz-Expires=", b"X-Amz-Expires=1&was=", 1)
    first = read_webhook(earlier).deadline
    assert first is not None and first < both


def test_an_event_has_no_deadline() -> None:
    assert read_webhook((PAYLOADS / "triggered.json").read_bytes()).deadline is None
