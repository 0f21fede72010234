"""What an alert says: what happened, how many, since when, and what to do. No payload, no data of
a customer, no secret; names of tasks shortened."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from connector_proxy import __version__
from connector_proxy.alerts.course import Event, Kind, Sight

TEST = "test"
"""The kind of the message that ``check --alert`` sends."""


@dataclass(frozen=True)
class Message:
    """One alert, ready to send. ``since`` is ISO 8601 or empty; ``text`` has several lines."""

    kind: str
    event: str
    instance: str
    count: int
    since: str
    subject: str
    text: str

    def record(self) -> dict[str, Any]:
        """As the queue keeps it and the webhook gets it."""
        return asdict(self)


def message(
    kind: Kind, event: Event, sight: Sight, since: datetime | None, instance: str
) -> Message:
    """The message of an event; ``since`` tells from when on there has been something."""
    words = _WORDS[kind]
    if event is Event.OVER:
        head, body = words.over, [f"It began at {_local(since)}."] if since else []
    else:
        head = words.some.format(count=sight.count, are=_are(words.one, words.many, sight.count))
        body = _body(words, sight, since)
    name = f"connector-proxy on {instance}"
    text = "\n".join([f"{head}.", *body, "", f"{name}, version {__version__}"])
    told = since.isoformat(timespec="seconds") if since else ""
    return Message(kind, event, instance, sight.count, told, f"{name}: {head}", text)


def trial_message(instance: str) -> Message:
    """What ``check --alert`` sends."""
    name = f"connector-proxy on {instance}"
    text = "\n".join(
        [
            "This is a test: alerts get here.",
            "It was sent by connector-proxy check --alert.",
            "",
            f"{name}, version {__version__}",
        ]
    )
    return Message(TEST, TEST, instance, 0, "", f"{name}: test of alerts", text)


@dataclass(frozen=True)
class _Words:
    one: str
    many: str
    some: str
    over: str
    why: str
    advice: tuple[str, ...]


def _are(one: str, many: str, count: int) -> str:
    return one if count == 1 else many


def _body(words: _Words, sight: Sight, since: datetime | None) -> list[str]:
    lines = [words.why]
    if since:
        lines.append(f"Since {_local(since)}.")
    if sight.examples:
        lines += ["", *(f"  {one}" for one in sight.examples)]
        more = sight.count - len(sight.examples)
        lines += [f"  and {more} more"] if more > 0 else []
    return [*lines, "", "What to do:", *(f"  {line}" for line in words.advice)]


def _local(moment: datetime) -> str:
    """As the log writes moments."""
    return moment.astimezone().isoformat(" ", "seconds")


_WORDS = {
    Kind.HELD: _Words(
        "delivery is", "deliveries are",
        "{count} {are} held",
        "No delivery is held any more",
        "The call was sent, and nobody can tell whether the stored process ran.",
        (
            "Look at the log and the dataset of the stored process at that time, then decide:",
            "connector-proxy deliveries show ID",
            'connector-proxy deliveries resolve ID --done --note "…"   (it ran to its end)',
            "connector-proxy deliveries replay ID                     (it did not, and shall run)",
        ),
    ),
    Kind.REFUSED: _Words(
        "delivery was", "deliveries were",
        "{count} {are} refused within an hour",
        "No delivery was refused in the last hour, or all were carried out since",
        "The same again would fail the same way, or it was tried as often as retryschedule says.",
        (
            "connector-proxy deliveries list --state refused --since 2h",
            "connector-proxy deliveries show ID   says what to mend; then",
            "connector-proxy deliveries replay --state refused --since 2h",
        ),
    ),
    Kind.EXPIRED: _Words(
        "delivery has", "deliveries have",
        "{count} {are} expired within an hour",
        "No delivery has expired in the last hour",
        "Their presigned URLs stopped working before they were carried out.",
        (
            "connector-proxy deliveries list --state expired --since 2h",
            "See why they waited, then run the tasks again in CI 360: their URLs are made anew.",
        ),
    ),
    Kind.PAUSED: _Words(
        "stored process is", "stored processes are",
        "{count} {are} paused after failures",
        "No stored process is paused after failures any more",
        "Deliveries are accepted and wait; one a minute is tried, and when it is done all go on.",
        (
            "Mend what the failures say. To let all go on at once:",
            "connector-proxy deliveries resume STP",
        ),
    ),
    Kind.WAITING: _Words(
        "delivery has", "deliveries have",
        "{count} {are} waited for too long",
        "No delivery waits for too long any more",
        "They were accepted longer ago than alertminutes says, and have not ended.",
        (
            "connector-proxy deliveries list --state waiting   says until when each waits, and why",
            "connector-proxy check                             tries SAS server, disk and database",
        ),
    ),
    Kind.DISK: _Words(
        "disk has", "disks have",
        "{count} {are} little room left",
        "The disks have room again",
        "Webhooks are refused when the disk of datafolder is full, downloads before that.",
        (
            "Make room. Old datasets, logs and copies are what one looks for first;",
            "connector-proxy deliveries prune removes what keepdays and keeppayloaddays say.",
        ),
    ),
}  # fmt: skip
