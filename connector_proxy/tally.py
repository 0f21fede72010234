"""What this process learns by the way, wherever in it that is: how many bytes it downloaded,
how far its clock is from those of the servers that answered, what expired unattempted."""

from __future__ import annotations

import email.utils
import threading
import time
from dataclasses import dataclass

_lock = threading.Lock()
_bytes = 0
_drift: float | None = None
_expired: list[str] = []


@dataclass(frozen=True)
class Tally:
    """``downloaded`` bytes since the tally before; ``drift``: by how many seconds this clock is
    ahead of the one that was heard last, None where none was heard since; ``expired``: the
    stored processes of deliveries that expired outside an attempt."""

    downloaded: int
    drift: float | None
    expired: tuple[str, ...]


def downloaded(count: int) -> None:
    """Count bytes that came from a file store."""
    global _bytes
    with _lock:
        _bytes += count


def heard(date: str | None) -> None:
    """Note what the header ``Date`` of an answer said; what is no date says nothing."""
    global _drift
    try:
        told = email.utils.parsedate_to_datetime(date or "").timestamp()
    except (ValueError, OverflowError):
        return
    with _lock:
        _drift = time.time() - told


def expired(stp_name: str) -> None:
    """Note a delivery that expired outside an attempt."""
    with _lock:
        _expired.append(stp_name)


def take() -> Tally:
    """What was counted since the last time."""
    global _bytes, _drift
    with _lock:
        tally = Tally(_bytes, _drift, tuple(_expired))
        _bytes, _drift = 0, None
        _expired.clear()
    return tally
