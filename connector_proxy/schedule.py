"""When the next attempt is made, what a verdict makes of a delivery, and who goes first.

Facts only: moments, chance and settings come in as arguments.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from connector_proxy.records import Outcome, State, Verdict

JITTER = 0.1
"""The share of a pause by which it is made longer or shorter, so that deliveries which failed
together do not come back together."""
RESERVE = timedelta(seconds=60)
"""The last attempt begins at least this long before the deadline: files must be downloaded."""
FAILURES_TO_PAUSE = 5
"""So many failures in a row, none of them the delivery's own, pause a stored process."""
OF_THE_DESTINATION = frozenset(
    {
        "busy", "credentials", "disk_low", "logon_page", "no_such_bucket", "not_callable",
        "not_sasbiws", "outcome_unknown", "output_folder", "sas_error", "sas_unreachable",
        "store_busy", "store_denied", "store_unreachable",
    }
)  # fmt: skip
"""Codes that speak of the stored process and its server, and not of what was delivered."""
OF_THIS_DISK = frozenset({"disk_low", "download_folder"})
"""Codes of downloads that speak of the disk here: they cost no delivery an attempt."""

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_EPOCH = datetime(2020, 1, 1, tzinfo=UTC)
_EVENT_PATIENCE = timedelta(minutes=15)


@dataclass(frozen=True)
class Next:
    """What becomes of a delivery after an attempt: its state, and the moment of the next
    attempt where it waits for one. ``verdict``, ``code``, ``message`` and ``advice`` replace
    those of the attempt in the answer where they are given."""

    state: State
    at: datetime | None = None
    verdict: Verdict | None = None
    code: str = ""
    message: str = ""
    advice: str = ""


class Pauses(tuple[int, ...]):
    """The pauses of a retry schedule in seconds; as text the way one writes them."""

    __slots__ = ()

    def __str__(self) -> str:
        return " ".join(_in_words(seconds) for seconds in self)


@dataclass(frozen=True)
class Rate:
    """At most ``number`` in any ``seconds``."""

    number: int
    seconds: int

    def __str__(self) -> str:
        unit = next(name for name, length in _UNITS.items() if length == self.seconds)
        return f"{self.number}/{unit}"


def _in_words(seconds: int) -> str:
    unit = max((one for one in _UNITS if seconds % _UNITS[one] == 0), key=_UNITS.__getitem__)
    return f"{seconds // _UNITS[unit]}{unit}"


def parse_pauses(text: str) -> Pauses:
    """``5s 1m 5m 30m 2h`` as seconds; raises ``ValueError`` with what to write."""
    pauses = []
    for word in text.split():
        found = re.fullmatch(r"(\d{1,5})([smhd])", word)
        if not found or not 0 < int(found[1]) * _UNITS[found[2]] <= 7 * 86400:
            raise ValueError("write pauses such as 5s 1m 5m 30m 2h, each up to 7d")
        pauses.append(int(found[1]) * _UNITS[found[2]])
    return Pauses(pauses)


def parse_rate(text: str) -> Rate | None:
    """``10/m`` as ten in 60 seconds: so many in so many seconds; None for an empty text. Raises
    ``ValueError`` with what to write."""
    if not text:
        return None
    found = re.fullmatch(r"(\d{1,6})\s*/\s*([smhd])", text)
    if not found or int(found[1]) == 0:
        raise ValueError("write a number and a unit, such as 2/s, 10/m or 100/h; empty: no limit")
    return Rate(int(found[1]), _UNITS[found[2]])


def expired() -> Next:
    """The presigned URLs stopped working, or would before another attempt could end."""
    return Next(
        State.EXPIRED,
        verdict=Verdict.EXPIRED,
        code="expired",
        message="The presigned URLs of its files stopped working before it could be carried out.",
        advice="Run the task again in CI 360: its URLs are made anew.",
    )


def after(
    outcome: Outcome,
    *,
    number: int,
    now: datetime,
    pauses: tuple[int, ...],
    deadline: datetime | None,
    repeat_unknown: bool,
    chance: float,
) -> Next:
    """What becomes of a delivery whose attempt ``number`` (from 1, in this round) ended ``now``.

    ``pauses`` are the seconds of the retry schedule; ``chance`` lies between -1 and 1.
    ``repeat_unknown`` is what the administrator or the destination says of outcomes that
    nobody knows. A wait that the other side asked for is honoured where it is the longer one.
    """
    if outcome.verdict is Verdict.DONE:
        return Next(State.DONE)
    if outcome.verdict is Verdict.REFUSED:
        return Next(State.REFUSED)
    if outcome.verdict is Verdict.UNKNOWN and not repeat_unknown:
        return Next(State.HELD)
    if number > len(pauses):
        return Next(
            State.REFUSED,
            verdict=Verdict.REFUSED,
            message=f"{outcome.message} Given up after {number} attempts.",
            advice="Mend the cause, then replay the delivery, or run the task again in CI 360.",
        )
    pause = max(pauses[number - 1] * (1 + JITTER * chance), outcome.retry_after or 0)
    moment = now + timedelta(seconds=pause)
    if deadline is None or moment <= deadline - RESERVE:
        return Next(State.WAITING, moment)
    last = deadline - RESERVE
    return Next(State.WAITING, last) if last - now >= RESERVE else expired()


def priority(deadline: datetime | None, accepted_at: datetime) -> int:
    """The smaller goes first: seconds, so that the nearest deadline is served first. An event
    has none; it counts as if it had a quarter of an hour, and so is never overtaken for ever."""
    moment = deadline or accepted_at + _EVENT_PATIENCE
    return min(max(1, int((moment - _EPOCH).total_seconds())), 2**31 - 1)
