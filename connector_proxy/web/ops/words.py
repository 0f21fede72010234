"""How values are written on the page."""

from __future__ import annotations

from datetime import datetime

from flask import Flask
from markupsafe import Markup

from connector_proxy.health.check import Condition
from connector_proxy.records import State, Verdict

_TONES = {
    State.DONE: "done",
    State.WAITING: "open",
    State.RUNNING: "open",
    State.REFUSED: "refused",
    State.HELD: "held",
    State.EXPIRED: "expired",
    State.CANCELLED: "cancelled",
    Verdict.RETRY: "held",
    Verdict.UNKNOWN: "held",
    Condition.OK: "done",
    Condition.WARN: "held",
    Condition.FAIL: "refused",
}
"""By which colour a word is shown; the word itself always stands there, too."""


def tone(word: str) -> str:
    """The name of the colour of a state, verdict or condition; empty: none."""
    return _TONES.get(word, "")  # type: ignore[call-overload, no-any-return]


def local(moment: datetime | None) -> Markup:
    """A moment in the local time of this machine."""
    if moment is None:
        return Markup("–")
    day, clock = moment.astimezone().strftime("%Y-%m-%d %H:%M:%S").split()
    return Markup('<time datetime="{}"><span>{}</span> <span>{}</span></time>').format(
        moment.isoformat(), day, clock
    )


def clock(moment: datetime) -> str:
    """The beginning of an hour in local time."""
    return f"{moment:%H:%M}"


def day(moment: datetime) -> str:
    """A day in local time."""
    return f"{moment:%a} {moment.day} {moment:%b}"


def ago(moment: datetime | None, now: datetime) -> str:
    """How long ago something was, or how soon it will be, in one unit."""
    if moment is None:
        return ""
    seconds = (now - moment).total_seconds()
    words = lasting(abs(seconds))
    return f"{words} ago" if seconds >= 0 else f"in {words}"


def lasting(seconds: float) -> str:
    """A length of time in one unit."""
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{int(seconds // length)} {unit}"
    return f"{int(seconds)} s"


def took(milliseconds: int | None) -> str:
    """How long an attempt took."""
    if milliseconds is None:
        return "–"
    if milliseconds < 1000:
        return f"{milliseconds} ms"
    if milliseconds < 120_000:
        return f"{milliseconds / 1000:.1f} s"
    return lasting(milliseconds / 1000)


def number(value: int) -> str:
    """A whole number with its thousands apart."""
    return f"{value:,}"


def size(count: int) -> str:
    """So many bytes, in the largest unit that leaves a number above 1."""
    for unit, length in (("TB", 1 << 40), ("GB", 1 << 30), ("MB", 1 << 20), ("kB", 1 << 10)):
        if count >= length:
            return f"{count / length:.1f} {unit}"
    return f"{count} bytes"


def plural(count: int, one: str, many: str = "") -> str:
    """So many of something."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def printable(text: str) -> str:
    """A text that can be sent, whatever half of a letter it holds."""
    return text.encode("utf-8", "replace").decode()


def install(app: Flask) -> None:
    """Let templates write values so."""
    filters = (tone, local, clock, day, ago, lasting, took, number, size, plural, printable)
    app.jinja_env.filters.update({one.__name__: one for one in filters})
