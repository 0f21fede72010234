"""The webhook that a connector of CI 360 calls through the general access point."""

from __future__ import annotations

from flask import Flask, Response, g, request

from connector_proxy import logs
from connector_proxy.engine import Engine
from connector_proxy.web import answers


def install(app: Flask, engine: Engine) -> None:
    """Add ``POST /ExecuteSTP`` to ``app``: accept the delivery, carry it out, say how it ended."""

    @app.post("/ExecuteSTP")
    def execute_stp() -> Response:
        query = request.args if request.query_string else {}
        delivery = engine.accept(request.get_data(), query, g.request_id)
        logs.delivery_id.set(delivery.delivery_id)
        return answers.of_outcome(delivery, engine.carry_out(delivery))
