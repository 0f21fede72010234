"""What an answer of the gateway means for a report, and when it is tried again."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from connector_proxy import schedule

LIMIT_SECONDS = 300
"""The gateway counts 700,000 requests in five minutes, and answers 403 above that."""
LIMIT = "gateway_limit"
_RUN_BY_HAND = "'connector-proxy report ID' sends it by hand."


class Course(StrEnum):
    """What follows for a report."""

    SENT = "sent"
    AGAIN = "again"
    OVER = "over"


@dataclass(frozen=True)
class Answered:
    """What a try came to, in words without data. ``status`` is that of HTTP, 0 where none came;
    ``pause`` the least wait in seconds before the next try."""

    course: Course
    code: str = ""
    message: str = ""
    advice: str = ""
    status: int = 0
    pause: float = 0.0


def read(status: int, retry_after: int | None, before: str) -> Answered:
    """What ``status`` means; ``before`` is the code of the try before this one."""
    if 200 <= status < 300:
        return Answered(Course.SENT, status=status)
    if status == 403 and before != LIMIT:
        return Answered(
            Course.AGAIN,
            LIMIT,
            "The gateway denies access (403), as it does above its limit of requests.",
            "Tried once more after its five minutes; then it is taken for a refusal.",
            status,
            LIMIT_SECONDS,
        )
    if status in (429, 502, 503) or (status >= 500 and status != 504):
        return Answered(
            Course.AGAIN,
            "gateway_failed",
            f"The gateway is not ready ({status}).",
            "It is tried again.",
            status,
            retry_after or 0.0,
        )
    return replace(_OVER.get(status, _refused(status)), status=status)


def unreachable(why: str) -> Answered:
    """Nothing was sent."""
    return Answered(
        Course.AGAIN,
        "gateway_unreachable",
        f"The gateway cannot be reached: {why}.",
        "It is tried again. Check gatewayurl, outboundproxy, cabundle and the firewall; "
        "'connector-proxy check' tries the connection.",
    )


def unknown() -> Answered:
    """It was sent, and nobody can tell whether it arrived: not sent twice by our doing."""
    return Answered(
        Course.OVER,
        "report_unknown",
        "It was sent, but no answer came: it may have arrived.",
        f"Look for it in CI 360. {_RUN_BY_HAND}",
    )


def never(code: str, message: str, advice: str) -> Answered:
    """It cannot be sent."""
    return Answered(Course.OVER, code, message, advice)


def given_up(last: Answered, tries: int) -> Answered:
    """Tried as often as the schedule says."""
    return replace(
        last,
        course=Course.OVER,
        message=f"{last.message} Given up after {tries} tries.",
        advice="Mend the cause; 'connector-proxy report --all' sends what is not reported.",
    )


def pause(answered: Answered, number: int, pauses: schedule.Pauses, chance: float) -> float | None:
    """Seconds before the try after try ``number`` (from 1); None: it was the last one. ``chance``
    lies between -1 and 1. A limit or wait that the gateway asked for is honoured."""
    if number > len(pauses):
        return None
    return max(pauses[number - 1] * (1 + schedule.JITTER * chance), answered.pause)


def _refused(status: int) -> Answered:
    return Answered(
        Course.OVER,
        "report_refused",
        f"The gateway does not take it ({status}).",
        "Look in CI 360 whether the external event exists under this name, with these "
        f"attributes. {_RUN_BY_HAND}",
    )


_ACCESS = Answered(
    Course.OVER,
    "gateway_credentials",
    "The gateway refuses the token.",
    "Compare tenantid and gatewaysecret with the access point in CI 360; then "
    "'connector-proxy report --all' sends what is not reported.",
)
_ADDRESS = Answered(
    Course.OVER,
    "gateway_address",
    "There is no such gateway at gatewayurl.",
    "Take the external gateway address that CI 360 shows with the access point; then "
    "'connector-proxy report --all' sends what is not reported.",
)
_OVER = {
    401: _ACCESS,
    403: _ACCESS,
    405: _ADDRESS,
    504: unknown(),
    **dict.fromkeys((301, 302, 303, 307, 308), _ADDRESS),
}
