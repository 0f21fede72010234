"""Figures for Prometheus, in one registry that this object owns: what was counted here and by the
process that carries out, and what the database says at the moment of the question.

Values of labels are bounded: names of stored processes come out of payloads, so only the first
of them have a figure of their own. docs/monitoring.md explains each figure.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Iterable, Iterator

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from connector_proxy import __version__, rows
from connector_proxy.health.check import Check, Condition
from connector_proxy.reports import Attempted, Report
from connector_proxy.settings import Settings
from connector_proxy.standing import Standing

NAMES = 50
"""So many stored processes have figures of their own; all others share those of ``other``."""
OTHER = "other"
_QUICK = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20)
_SLOW = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 1800, 3600)
_LONG = (0.1, 0.5, 1, 5, 10, 30, 60, 300, 900, 1800, 3600, 4 * 3600, 12 * 3600, 24 * 3600)
_CONDITIONS = {Condition.OK: 0, Condition.WARN: 1, Condition.FAIL: 2}
# Without it each figure has a second one, which nobody reads.
prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]


class Metrics:
    """Counts, and writes the figures; safe to use from many threads."""

    def __init__(self, settings: Settings) -> None:
        self._registry = CollectorRegistry()
        self._stps = _Names(settings)
        self._requests: dict[tuple[str, int], Histogram] = {}
        self._make_figures()
        info = Info("connector_proxy", "This instance.", registry=self._registry)
        python = platform.python_version()
        info.info({"version": __version__, "name": settings.instance, "python": python})
        prometheus_client.ProcessCollector(registry=self._registry)

    def _make_figures(self) -> None:
        def counter(name: str, what: str, *labels: str) -> Counter:
            return Counter(f"connector_proxy_{name}", what, labels, registry=self._registry)

        def histogram(name: str, what: str, bounds: tuple[float, ...], *labels: str) -> Histogram:
            name = f"connector_proxy_{name}_seconds"
            return Histogram(name, what, labels, buckets=bounds, registry=self._registry)

        stp = "stored_process"
        self._answers = histogram(
            "request", "Requests, to their answer.", _QUICK, "route", "status"
        )
        self._attempts = counter("attempts", "Attempts that ended.", stp, "destination", "verdict")
        self._ends = counter("deliveries", "Deliveries that ended.", stp, "destination", "verdict")
        self._took = histogram("attempt", "Attempts.", _SLOW, stp, "destination")
        self._waited = histogram("waiting", "From when an attempt is due.", _SLOW, stp)
        self._age = histogram("delivery", "From acceptance to the end.", _LONG, stp)
        self._rows = counter("dataset_rows", "Rows of datasets.", stp)
        self._rejected = counter("rejected_rows", "Rows that did not fit.", stp)
        self._bytes = counter("download_bytes", "Bytes from file stores.")
        self._alerts = counter("alerts", "Tries to send an alert.", "channel", "result")
        self._starts = counter("worker_starts", "Starts of the working process.")
        self._running = Gauge(
            "connector_proxy_running", "Attempts in hand.", registry=self._registry
        )

    def ask(
        self, standing: Callable[[], Standing | None], checks: Callable[[], list[Check]]
    ) -> None:
        """From whom to hear how deliveries and checks stand, whenever the figures are written."""
        self._registry.register(_Asked(standing, checks, self._stps))

    def answered(self, route: str, status: int, seconds: float) -> None:
        """Count a request; ``route`` is one of the application's own, or empty."""
        figure = self._requests.get((route, status))
        if figure is None:
            figure = self._answers.labels(route or OTHER, status)
            self._requests[route, status] = figure
        figure.observe(seconds)

    def count(self, report: Report) -> None:
        """Count what the working side did."""
        self._starts.inc(report.started)
        self._bytes.inc(report.downloaded)
        self._running.set(report.in_hand)
        for one in report.attempts:
            self._count_attempt(one)
        for stp_name in report.expired:
            self._ends.labels(self._stps.label(stp_name), "none", "expired").inc()
        for sent in report.sent:
            self._alerts.labels(sent.channel, "failed" if sent.problem else "sent").inc()

    def _count_attempt(self, one: Attempted) -> None:
        stp, destination = self._stps.label(one.stp_name), one.destination or "none"
        self._attempts.labels(stp, destination, one.verdict).inc()
        self._took.labels(stp, destination).observe(one.seconds)
        self._waited.labels(stp).observe(one.waited)
        if one.ended:
            self._ends.labels(stp, destination, one.ended).inc()
            self._age.labels(stp).observe(one.age)
        if one.rows or one.rejected:
            self._rows.labels(stp).inc(one.rows)
            self._rejected.labels(stp).inc(one.rejected)

    def written(self, accept: str) -> tuple[bytes, str]:
        """All figures and their media type, in the form that the header ``Accept`` asks for."""
        try:
            write, media_type = choose_encoder(accept)
        except (ValueError, TypeError):  # a version that is no number
            write, media_type = choose_encoder("")
        return write(self._registry), media_type


class _Names:
    """The stored processes that have figures of their own: those that the configuration names,
    and the first of the others."""

    def __init__(self, settings: Settings) -> None:
        self._labels: dict[str, str] = {}
        for name in (*settings.allowedstps, settings.defaultstp, *settings.overrides):
            if name:
                self.label(name)

    def label(self, stp_name: str) -> str:
        key = rows.stp_key(stp_name)
        if key not in self._labels and len(self._labels) < NAMES:
            self._labels[key] = stp_name
        return self._labels.get(key, OTHER)


class _Asked(Collector):
    """Figures that somebody else knows; those of the database are left out while it does not
    answer."""

    def __init__(
        self,
        standing: Callable[[], Standing | None],
        checks: Callable[[], list[Check]],
        stps: _Names,
    ) -> None:
        self._standing, self._checks, self._stps = standing, checks, stps

    def describe(self) -> Iterable[Metric]:
        return ()

    def collect(self) -> Iterator[Metric]:
        standing = self._standing()
        if standing:
            yield from self._of_standing(standing)
        checks = _gauge("check", "Checks of /health: 0 ok, 1 warn, 2 fail.", labels=["check"])
        for one in self._checks():
            checks.add_metric([one.name], _CONDITIONS[one.condition])
        yield checks

    def _of_standing(self, standing: Standing) -> Iterator[Metric]:
        oldest = time.time() - standing.oldest.timestamp() if standing.oldest else 0
        yield _gauge("waiting", "Deliveries that wait.", standing.waiting)
        yield _gauge("put_off", "Those that wait for a paused stored process.", standing.put_off)
        yield _gauge("held", "Deliveries that somebody must decide about.", standing.held)
        yield _gauge("deadlines_near", "Those whose URLs end within 15 minutes.", standing.near)
        yield _gauge("oldest_waiting_seconds", "Age of the oldest that waits.", max(0, oldest))
        last = standing.last.timestamp() if standing.last else None
        yield _gauge("last_webhook_timestamp_seconds", "When the last was accepted.", last)
        paused = _gauge(
            "paused", "Stored processes that are paused.", labels=["stored_process", "by"]
        )
        for (name, by), count in self._paused(standing).items():
            paused.add_metric([name, by], count)
        yield paused

    def _paused(self, standing: Standing) -> dict[tuple[str, str], int]:
        counts: dict[tuple[str, str], int] = {}
        for name, by in standing.paused:
            label = (self._stps.label(name), by)
            counts[label] = counts.get(label, 0) + 1
        return counts


def _gauge(
    name: str, what: str, value: float | None = None, labels: list[str] | None = None
) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"connector_proxy_{name}", what, value, labels=labels)
