"""Moments as people write them: a while ago, or a date and time."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

_AGO = {"m": "minutes", "h": "hours", "d": "days"}


def parse(text: str, now: datetime) -> datetime:
    """``30m``, ``12h`` or ``7d`` before ``now``, or an ISO 8601 moment, local time where it names
    no zone; in UTC. Raises ``ValueError`` with what to write instead."""
    try:
        if found := re.fullmatch(r"(\d{1,5})([mhd])", text, re.ASCII):
            return now.astimezone(UTC) - timedelta(**{_AGO[found[2]]: int(found[1])})
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError, OSError):  # some moments are in no calendar but Python's
        raise ValueError("write 30m, 12h, 7d, or a moment such as 2026-11-22T06:00") from None
