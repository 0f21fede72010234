"""The gateway of CI 360 before the start: whether it can be reached and takes the token."""

from __future__ import annotations

from collections.abc import Iterator

from connector_proxy.ci360 import answer
from connector_proxy.ci360.answer import Answered, Course
from connector_proxy.ci360.book import OFF
from connector_proxy.ci360.gateway import Gateway
from connector_proxy.errors import OutcomeUnknown, Unavailable
from connector_proxy.health.check import Check, Condition
from connector_proxy.settings import Settings

_NAME = "gateway"


def external_gateway(settings: Settings) -> Iterator[Check]:
    """Asks for the configuration of the access point, with the token: that changes nothing. An
    agent is asked without one, and any answer will do."""
    if settings.reportvia == OFF:
        return
    made = Gateway(settings)
    told = _asked(made)
    by_agent = settings.reportvia == "agent"
    if told.course is Course.SENT or (by_agent and told.status):
        yield Check(_NAME, Condition.OK, f"{made.url} answers")
    else:
        yield Check(_NAME, Condition.FAIL, told.message, told.advice)


def _asked(made: Gateway) -> Answered:
    try:
        got = made.configuration()
    except Unavailable as error:
        return answer.unreachable(str(error))
    except OutcomeUnknown:
        return answer.unreachable("no answer")
    # Nobody has spent the limit of requests who only looks: here 403 is a refusal.
    return answer.read(got.status, None, answer.LIMIT)
