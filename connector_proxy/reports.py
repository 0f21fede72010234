"""What the side that carries out tells the side that answers, once a second: what it did, and by
that that it lives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from connector_proxy.records import Verdict


@dataclass(frozen=True)
class Attempted:
    """One attempt that ended. Times are in seconds: how long it took, how long it had waited
    since it was due, and how old its delivery was then. ``ended`` is the verdict that ended the
    delivery with it, None where it goes on; ``rows`` and ``rejected`` are those of a dataset."""

    stp_name: str
    destination: str
    verdict: Verdict
    ended: Verdict | None
    seconds: float
    waited: float
    age: float
    rows: int = 0
    rejected: int = 0


@dataclass(frozen=True)
class Sent:
    """A try to send an alert through a channel; ``problem`` is empty where it was sent."""

    channel: str
    problem: str = ""


@dataclass(frozen=True)
class Report:
    """What happened since the report before. ``started``: it is the first one of a process.
    ``expired`` are the stored processes of deliveries that expired outside an attempt,
    ``in_hand`` is the number of attempts at this moment, ``downloaded`` is in bytes. ``drift``:
    by how many seconds our clock is ahead of those that answered us, or None."""

    started: bool = False
    attempts: tuple[Attempted, ...] = ()
    expired: tuple[str, ...] = ()
    sent: tuple[Sent, ...] = ()
    in_hand: int = 0
    downloaded: int = 0
    drift: float | None = None


Reporting = Callable[[Report], None]
"""Takes each report; must not fail and not wait."""
