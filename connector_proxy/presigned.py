"""When a presigned URL stops working, read from its query string.

Amazon S3 documents ``X-Amz-Date`` with ``X-Amz-Expires`` in seconds (signature version 4) and
``Expires`` in epoch seconds (version 2); Google's ``X-Goog-`` pair follows the first, Azure's
shared access signatures tell the moment in ``se``.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from urllib.parse import unquote


def expires_at(url: str) -> datetime | None:
    """The moment in UTC, or None where the URL does not tell one that can be understood."""
    try:
        pairs = (pair.partition("=") for pair in url.partition("?")[2].split("&"))
        query = {name.lower(): text for name, _, text in pairs}
        moment = _of_period(query) or _of_epoch(query) or _of_azure(query)
    except (ValueError, OverflowError, OSError):
        return None
    return moment.astimezone(UTC) if moment and 1970 < moment.year < 9999 else None


def _of_period(query: dict[str, str]) -> datetime | None:
    for vendor in ("x-amz-", "x-goog-"):
        signed, seconds = query.get(vendor + "date"), query.get(vendor + "expires")
        if signed and seconds:
            return datetime.fromisoformat(signed) + timedelta(seconds=int(seconds))
    return None


def _of_epoch(query: dict[str, str]) -> datetime | None:
    text = query.get("expires", "")
    return datetime.fromtimestamp(int(text), UTC) if text.isdecimal() else None


def _of_azure(query: dict[str, str]) -> datetime | None:
    text = unquote(query.get("se", ""))
    if not text or "sig" not in query:
        return None
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
