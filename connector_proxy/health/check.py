"""What a check says: the same before the start, of a running service, in JSON and on the page."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Condition(StrEnum):
    """How a check came out; only ``fail`` keeps the service from its work."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True)
class Check:
    """One check: what was looked at, how it is, and what to do when it is not well. ``since``:
    from when on it has been so, in UTC; None before the start, where nobody has looked yet."""

    name: str
    condition: Condition
    message: str
    advice: str = ""
    since: datetime | None = None


def worst(checks: Iterable[Check]) -> Condition:
    """The condition of all of them together."""
    order = list(Condition)
    return max((one.condition for one in checks), key=order.index, default=Condition.OK)
