"""The webhook that a connector of CI 360 calls through the general access point."""

from __future__ import annotations

from typing import cast

from flask import Blueprint, Response, current_app, g, request

from connector_proxy import logs
from connector_proxy.engine import Engine
from connector_proxy.web import answers

blueprint = Blueprint("hooks", __name__)


@blueprint.post("/ExecuteSTP")
def execute_stp() -> Response:
    """Accept the delivery, carry it out, say how it ended."""
    engine = cast(Engine, current_app.extensions["connector_proxy"])
    delivery = engine.accept(request.get_data(), request.args, g.request_id)
    logs.delivery_id.set(delivery.delivery_id)
    return answers.of_outcome(delivery, engine.carry_out(delivery))
