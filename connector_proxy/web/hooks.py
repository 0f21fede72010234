"""The webhook that a connector of CI 360 calls through the general access point, and the address
where a delivery can be looked at."""

from __future__ import annotations

import logging
import re

from flask import Flask, Response, g, request

from connector_proxy import logs
from connector_proxy.acceptor import Acceptor
from connector_proxy.deliveries import Deliveries
from connector_proxy.errors import NoSuchDelivery
from connector_proxy.web import answers
from connector_proxy.web.access import Caller, may_call

_log = logging.getLogger(__name__)
_WHOLE_ID = re.compile("[0-9a-f]{32}")


def install(app: Flask, acceptor: Acceptor, deliveries: Deliveries) -> None:
    """Add ``POST /ExecuteSTP`` and ``GET /deliveries/<id>`` to ``app``."""

    @app.post("/ExecuteSTP")
    @may_call(Caller.WEBHOOK)
    def execute_stp() -> Response:
        query = request.args if request.query_string else {}
        accepted = acceptor.accept(request.get_data(), query, g.request_id)
        logs.delivery_id.set(accepted.delivery_id)
        _log.debug("accepted%s", ", a duplicate" if accepted.duplicate else "")
        if accepted.duplicate:
            return answers.of_duplicate(deliveries.show(accepted.delivery_id))
        delivery = acceptor.first_verdict(accepted)
        return answers.of_delivery(delivery) if delivery else answers.of_accepted(accepted)

    @app.get("/deliveries/<delivery_id>")
    @may_call(Caller.WEBHOOK)
    def delivery(delivery_id: str) -> Response:
        if not _WHOLE_ID.fullmatch(delivery_id):  # a part of one could be guessed
            raise NoSuchDelivery("There is no delivery with this id.")
        return answers.of_record(deliveries.show(delivery_id))
