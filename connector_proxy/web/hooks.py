"""The webhooks that a connector of CI 360 calls through the general access point, and the address
where a delivery can be looked at."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping

from flask import Flask, Response, g, request

from connector_proxy import addressees, logs
from connector_proxy.acceptor import Acceptor, Read
from connector_proxy.deliveries import Deliveries
from connector_proxy.errors import FromAPage, NoSuchDelivery
from connector_proxy.ledger import Accepted
from connector_proxy.records import Delivery
from connector_proxy.web import answers
from connector_proxy.web.access import Caller, may_call

_log = logging.getLogger(__name__)
_WHOLE_ID = re.compile("[0-9a-f]{32}")


def install(app: Flask, acceptor: Acceptor, deliveries: Deliveries) -> None:
    """Add ``POST /ExecuteSTP``, ``POST /UploadFile`` and ``GET /deliveries/<id>`` to ``app``."""

    @app.post("/ExecuteSTP")
    @may_call(Caller.WEBHOOK)
    def execute_stp() -> Response:
        return answer(addressees.of_stp)

    @app.post("/UploadFile")
    @may_call(Caller.WEBHOOK)
    def upload_file() -> Response:
        return answer(addressees.of_upload)

    def answer(read: Read) -> Response:
        if request.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin"):
            raise FromAPage
        query = request.args if request.query_string else {}
        accepted = acceptor.accept(read, request.get_data(), query, g.request_id)
        logs.delivery_id.set(accepted[0].delivery_id)
        for one in accepted:
            _log.debug("accepted for %s%s", one.stp_name, ", a duplicate" if one.duplicate else "")
        fresh = [one for one in accepted if not one.duplicate]
        verdicts = dict(zip(fresh, acceptor.first_verdicts(fresh), strict=True))
        return answers.of_several([(one.stp_name, told(one, verdicts)) for one in accepted])

    def told(accepted: Accepted, verdicts: Mapping[Accepted, Delivery | None]) -> Response:
        if accepted.duplicate:
            return answers.of_duplicate(deliveries.show(accepted.delivery_id))
        delivery = verdicts[accepted]
        return answers.of_delivery(delivery) if delivery else answers.of_accepted(accepted)

    @app.get("/deliveries/<delivery_id>")
    @may_call(Caller.WEBHOOK)
    def delivery(delivery_id: str) -> Response:
        if not _WHOLE_ID.fullmatch(delivery_id):  # a part of one could be guessed
            raise NoSuchDelivery("There is no delivery with this id.")
        return answers.of_record(deliveries.show(delivery_id))
