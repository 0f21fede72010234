"""The story of a delivery in words: its arrival, attempts, decisions about it, what comes next.

Facts only; the command line and the page tell it alike.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from connector_proxy.records import Attempt, Change, Delivery, Report, ReportKind, State

_DEEDS = {"replay": "replayed", "resolve": "resolved", "cancel": "cancelled"}

_TOLD = {ReportKind.RERUN: "run the task again", ReportKind.ROWS: "rejected rows"}


@dataclass(frozen=True)
class Step:
    """One thing that happened, or will. ``sign`` is the verdict of an attempt, ``running``, or
    empty; ``round`` is 0 where it belongs to none; ``details`` are pairs of a label and words."""

    at: datetime
    title: str
    sign: str = ""
    round: int = 0
    details: tuple[tuple[str, str], ...] = ()
    then: datetime | None = None
    """The moment of the attempt that was planned."""


def timeline(one: Delivery, changes: Iterable[Change]) -> list[Step]:
    """What is known of a delivery in the order in which it happened, the next attempt last."""
    steps = [
        _arrival(one),
        *map(_attempt, one.attempts),
        *map(_change, changes),
        *map(_report, one.reports),
    ]
    if one.fetched_at is not None:
        steps.append(Step(one.fetched_at, "its files were fetched"))
    return sorted(steps, key=lambda step: step.at) + list(_present(one))


def _arrival(one: Delivery) -> Step:
    again = any(tried.started_at < one.accepted_at for tried in one.attempts)
    title = "the same webhook came again" if again else "accepted"
    return Step(one.accepted_at, title)


def _attempt(one: Attempt) -> Step:
    code = "" if one.code == one.verdict else one.code
    told = ", ".join(filter(None, (code, f"HTTP {one.status}" if one.status else "")))
    title = (
        f"attempt {one.number}: {one.verdict}{f' ({told})' if told else ''} after "
        f"{one.milliseconds} ms, {one.destination or '-'} on {one.instance}"
    )
    words = (("", one.message), ("said", one.cause), ("advice", one.advice))
    details = tuple((label, text) for label, text in words if text)
    return Step(one.started_at, title, str(one.verdict or ""), one.round, details, then=one.next_at)


def _change(one: Change) -> Step:
    by = one.decision
    title = f"{_DEEDS.get(one.action, one.action)} by {by.door} {by.who}: {one.outcome}"
    return Step(by.at, title, details=(("note", by.note),) if by.note else ())


def _report(one: Report) -> Step:
    what = _TOLD.get(one.kind, f"event {one.event}, {one.ended_as}")
    tries = f" after {one.tries} tries" if one.tries > 1 else ""
    title = f"report to CI 360 ({what}): {one.state}{tries}"
    words = (("code", one.code), ("", one.message), ("advice", one.advice))
    details = tuple((label, text) for label, text in words if text)
    return Step(one.changed_at, title, details=details, then=one.next_at if one.tries else None)


def _present(one: Delivery) -> Iterator[Step]:
    if one.state is State.RUNNING:
        title = f"attempt {one.attempt_count} is under way"
        yield Step(one.changed_at, title, "running", one.round)
    elif one.next_attempt_at is not None:
        yield Step(one.next_attempt_at, f"attempt {one.attempt_count + 1} is planned")
