"""The webhook that a connector of CI 360 calls through the general access point, and the address
where a delivery can be looked at."""

from __future__ import annotations

from flask import Flask, Response, g, request

from connector_proxy import logs
from connector_proxy.acceptor import Acceptor
from connector_proxy.deliveries import Deliveries
from connector_proxy.web import answers


def install(app: Flask, acceptor: Acceptor, deliveries: Deliveries) -> None:
    """Add ``POST /ExecuteSTP`` and ``GET /deliveries/<id>`` to ``app``."""

    @app.post("/ExecuteSTP")
    def execute_stp() -> Response:
        query = request.args if request.query_string else {}
        accepted = acceptor.accept(request.get_data(), query, g.request_id)
        logs.delivery_id.set(accepted.delivery_id)
        if accepted.duplicate:
            return answers.of_duplicate(deliveries.show(accepted.delivery_id))
        delivery = acceptor.first_verdict(accepted)
        return answers.of_delivery(delivery) if delivery else answers.of_accepted(accepted)

    @app.get("/deliveries/<string(length=32):delivery_id>")  # a whole id: it is not to be guessed
    def delivery(delivery_id: str) -> Response:
        return answers.of_record(deliveries.show(delivery_id))
