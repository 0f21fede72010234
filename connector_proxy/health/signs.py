"""Signs of life of the working process, and what it tells by the way."""

from __future__ import annotations

import time

from connector_proxy.health.check import Check, Condition
from connector_proxy.reports import Report, Sent
from connector_proxy.settings import Settings

_SILENT_SECONDS = 45.0
"""The process is started again within 30 seconds; one that is silent for longer does not come."""
_RECENT_SECONDS = 600.0


class Signs:
    """What was heard last, and when."""

    def __init__(self, settings: Settings) -> None:
        self._alerting = bool(settings.smtphost or settings.alerturl)
        self._heard_at = time.monotonic()
        self._in_hand = 0
        self._has_started = False
        self._restarts: list[float] = []
        self._sent: dict[str, Sent] = {}
        self._ending = False
        self.drift: float | None = None

    def ending(self) -> None:
        """The service is winding up."""
        self._ending = True

    def heard(self, report: Report) -> None:
        """Take note of a report."""
        self._heard_at = time.monotonic()
        self._in_hand = report.in_hand
        if report.started:
            recent = [at for at in self._restarts if self._heard_at - at < _RECENT_SECONDS]
            self._restarts = [*recent, self._heard_at] if self._has_started else []
            self._has_started = True
        if report.drift is not None:
            self.drift = report.drift
        self._sent = self._sent | {one.channel: one for one in report.sent}

    def checks(self) -> list[Check]:
        """What these signs say now."""
        return [self._worker(), *([self._alerts()] if self._alerting else [])]

    def _worker(self) -> Check:
        silent = time.monotonic() - self._heard_at
        restarts = sum(time.monotonic() - at < _RECENT_SECONDS for at in self._restarts)
        if self._ending:
            return Check("worker", Condition.FAIL, "the service is ending", "Start it again.")
        if silent > _SILENT_SECONDS:
            message = f"the working process has said nothing for {silent:.0f} s"
            advice = "Look at the log for why it ended; start the service anew."
            return Check("worker", Condition.FAIL, message, advice)
        if restarts > 0:
            times = "once" if restarts == 1 else f"{restarts} times"
            message = f"the working process was started again {times} in 10 minutes"
            return Check("worker", Condition.WARN, message, "Look at the log for why it ended.")
        told = f"lives, {self._in_hand} attempts in hand" if self._has_started else "is starting"
        return Check("worker", Condition.OK, told)

    def _alerts(self) -> Check:
        failed = [one for one in self._sent.values() if one.problem]
        if failed:
            told = "; ".join(f"{one.channel}: {one.problem}" for one in failed)
            advice = "It is tried again; try with connector-proxy check --alert."
            return Check("alerts", Condition.WARN, told, advice)
        message = f"the last went out by {' and '.join(self._sent)}" if self._sent else "none yet"
        return Check("alerts", Condition.OK, message)
