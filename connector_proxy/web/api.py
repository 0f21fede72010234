"""The page as JSON below ``/api``: everything it shows and changes. Who calls is told in
``ops/guard.py``; ``openapi`` describes it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from typing import Any

from flask import Blueprint, Flask, Response, g, request

from connector_proxy import configuration
from connector_proxy.desk import Desk
from connector_proxy.errors import NoSuchDelivery
from connector_proxy.intake import destination_issue, parse
from connector_proxy.records import Delivery
from connector_proxy.web import asked, shapes
from connector_proxy.web.access import Caller, may_call
from connector_proxy.web.answers import of_body
from connector_proxy.web.openapi import document
from connector_proxy.web.ops.guard import decision

_USUAL = 50


class Api:
    """Views over a ``Desk``."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._deliveries = desk.deliveries

    @may_call(Caller.API)
    def overview(self) -> Response:
        """How things stand."""
        return of_body(shapes.overview(self._desk.overview(_now())))

    @may_call(Caller.API)
    def deliveries(self) -> Response:
        """Deliveries, the latest first."""
        limit = asked.limit(request.args, _USUAL)
        wanted, after = asked.criteria(request.args), asked.after(request.args)
        found = self._deliveries.search(wanted, limit=limit + 1, after=after)
        return of_body(shapes.page(found[:limit], more=len(found) > limit))

    @may_call(Caller.API)
    def delivery(self, delivery_id: str) -> Response:
        """One delivery with its attempts, and what was changed of it."""
        return of_body(shapes.told(self._desk.told(delivery_id)))

    @may_call(Caller.API)
    def content(self, delivery_id: str) -> Response:
        """Its payload and stream, masked."""
        found = self._desk.contents.of(self._deliveries.show(delivery_id))
        if found is None:
            raise NoSuchDelivery(
                "The payload is not kept any more.",
                code="not_kept",
                advice="keeppayloaddays says how long payloads of ended deliveries are kept.",
            )
        return of_body(shapes.content(found))

    @may_call(Caller.API)
    def dataset(self, delivery_id: str) -> Response:
        """The dataset that the embedded stored process made of it."""
        found = self._desk.contents.dataset(self._deliveries.show(delivery_id))
        if found is None:
            raise NoSuchDelivery(
                "There is no dataset of this delivery here.",
                code="no_dataset",
                advice="The embedded stored process makes one of a delivery that is done, and "
                "keepdatasetdays says how long it stays.",
            )
        return of_body(shapes.dataset(found))

    @may_call(Caller.API)
    def replay(self, delivery_id: str) -> Response:
        """Carry it out again."""
        by = decision(asked.note(_body("note")))
        return self._decided(self._deliveries.replay(delivery_id, by))

    @may_call(Caller.API)
    def resolve(self, delivery_id: str) -> Response:
        """End a held one as somebody found out."""
        body = _body("note", "outcome")
        outcome, by = asked.found_out(body), decision(asked.note(body))
        return self._decided(self._deliveries.resolve(delivery_id, outcome, by))

    @may_call(Caller.API)
    def cancel(self, delivery_id: str) -> Response:
        """End one that waits or is held."""
        by = decision(asked.note(_body("note")))
        return self._decided(self._deliveries.cancel(delivery_id, by))

    def _decided(self, one: Delivery) -> Response:
        return of_body(shapes.told(self._desk.told(one.delivery_id)))

    @may_call(Caller.API)
    def stored_processes(self) -> Response:
        """How the attempts of each went."""
        found = self._desk.stored_processes(_now(), asked.span(request.args))
        return of_body({"storedProcesses": list(map(shapes.standing, found))})

    @may_call(Caller.API)
    def pause(self, stp_name: str) -> Response:
        """Let the deliveries of a stored process wait."""
        by = decision(asked.note(_body("note")))
        return of_body({"waiting": self._deliveries.pause(_stp(stp_name), by)})

    @may_call(Caller.API)
    def resume(self, stp_name: str) -> Response:
        """Let it run again."""
        by = decision(asked.note(_body("note")))
        return of_body({"goingOn": self._deliveries.resume(_stp(stp_name), by)})

    @may_call(Caller.API)
    def configuration(self) -> Response:
        """What is in force, secrets masked."""
        return of_body(configuration.as_json(self._desk.settings))

    @may_call(Caller.API)
    def audit(self) -> Response:
        """What administrators changed, the latest first."""
        limit, before = asked.limit(request.args, _USUAL), asked.before(request.args)
        found = self._deliveries.changes(before=before, limit=limit + 1)
        return of_body(shapes.changes(found[:limit], more=len(found) > limit))


def _now() -> datetime:
    return datetime.now().astimezone()


def _body(*known: str) -> Mapping[str, Any]:
    """The JSON object of this request, or an empty one; only ``known`` members may stand there."""
    raw = request.get_data()
    body = parse(raw) if raw else {}
    for name in body:
        if name not in known:
            asked.wrong(name, f"there is no such member; known are {', '.join(known)}")
    return body


def _stp(name: str) -> str:
    if issue := destination_issue(name):
        asked.wrong("stpName", issue)
    return name


@may_call(Caller.NEAR)
def described() -> Response:
    """The OpenAPI document."""
    return of_body(document())


def install(app: Flask, desk: Desk) -> None:
    """Add the API to ``app``."""
    api = Api(desk)
    blueprint = Blueprint("api", __name__, url_prefix="/api")
    one, stp = "/deliveries/<delivery_id>", "/stored-processes/<stp_name>"
    views: Collection[tuple[str, str, Callable[..., Response]]] = (
        ("GET", "/overview", api.overview),
        ("GET", "/deliveries", api.deliveries),
        ("GET", one, api.delivery),
        ("GET", f"{one}/content", api.content),
        ("GET", f"{one}/dataset", api.dataset),
        ("POST", f"{one}/replay", api.replay),
        ("POST", f"{one}/resolve", api.resolve),
        ("POST", f"{one}/cancel", api.cancel),
        ("GET", "/stored-processes", api.stored_processes),
        ("POST", f"{stp}/pause", api.pause),
        ("POST", f"{stp}/resume", api.resume),
        ("GET", "/configuration", api.configuration),
        ("GET", "/audit", api.audit),
    )
    for method, rule, view in views:
        blueprint.add_url_rule(rule, view_func=view, methods=[method])
    blueprint.after_request(_protected)
    app.register_blueprint(blueprint)
    app.add_url_rule("/openapi.json", view_func=described)


def _protected(response: Response) -> Response:
    if not g.get("hidden"):
        response.headers["Content-Security-Policy"] = "default-src 'none'; frame-ancestors 'none'"
        response.headers["X-Content-Type-Options"] = "nosniff"
    return response
