"""What monitoring looks at: ``GET /health``, ``GET /health/live`` and ``GET /metrics``; and the
clock beside each request."""

from __future__ import annotations

import time

from flask import Flask, Response, g, request

from connector_proxy.health.running import Health
from connector_proxy.metrics import Metrics
from connector_proxy.web import answers
from connector_proxy.web.access import Caller, may_call


def install(app: Flask, health: Health, metrics: Metrics) -> None:
    """Add the three addresses to ``app``, and let ``metrics`` count its requests."""

    @app.before_request
    def begin() -> None:
        g.began = time.perf_counter()

    @app.after_request
    def end(response: Response) -> Response:
        route = request.url_rule.rule if request.url_rule else ""
        metrics.answered(route, response.status_code, time.perf_counter() - g.began)
        return response

    @app.get("/health")
    @may_call(Caller.WATCH)
    def all_checks() -> Response:
        return answers.of_health(health.checks())

    @app.get("/health/live")
    @may_call(Caller.EVERYBODY)
    def live() -> Response:
        return Response('{"status": "ok"}', content_type="application/json")

    @app.get("/metrics")
    @may_call(Caller.WATCH)
    def figures() -> Response:
        text, media_type = metrics.written(request.headers.get("Accept", ""))
        return Response(text, content_type=media_type)
