"""Every answer of the server: small, JSON, and free of URLs, paths, data and stack traces.

The shape of an error is that of SAS's guideline for connectors. CI 360 logs answers at INFO,
therefore nothing of the payload comes back but the path of a faulty member.
"""

from __future__ import annotations

import json
import logging
import re
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime

from flask import Flask, Response, g, request
from werkzeug.exceptions import HTTPException, NotFound

from connector_proxy import asjson, logs
from connector_proxy.errors import (
    ConnectorProxyError,
    Detail,
    QueueUnavailable,
    TooManyTries,
    Unauthorized,
)
from connector_proxy.health.check import Check, Condition, worst
from connector_proxy.ledger import Accepted
from connector_proxy.records import OPEN, Delivery, State

_STATUS = {
    State.DONE: 200,
    State.WAITING: 202,
    State.RUNNING: 202,
    State.REFUSED: 502,
    State.EXPIRED: 502,
    State.CANCELLED: 502,
    State.HELD: 504,
}
_LEVELS = {401: logging.WARNING, 429: logging.DEBUG}
"""Of lines about requests that are refused: failed tries stand out, and those that come after too
many of them fill no log."""
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:/+=-]{1,200}")
_log = logging.getLogger(__name__)

_BY_STATUS = {
    400: ("bad_request", "The request cannot be understood.", "Send HTTP/1.1."),
    404: (
        "not_found",
        "There is nothing at this address.",
        "Send webhooks to /ExecuteSTP or /UploadFile, in this spelling, without a slash behind it.",
    ),
    405: (
        "method_not_allowed",
        "This method is not answered here.",
        "Use the one in the header Allow.",
    ),
    408: ("too_slow", "The request did not arrive in time.", "See what slows the network down."),
    412: (
        "precondition_failed",
        "The file is not the one that the caller knows.",
        "Ask for it without If-Match and If-Unmodified-Since.",
    ),
    413: ("too_large", "The request is too large.", "Raise maxrequestbytes if it is meant so."),
    431: ("headers_too_large", "The headers are too large.", "Send fewer of them."),
    500: ("internal_error", "The service failed.", "Look for the request id in its log."),
}


def install(app: Flask) -> None:
    """Give every request an id, and every failure of ``app`` the one shape."""
    app.before_request(_begin)
    app.after_request(_end)
    app.register_error_handler(ConnectorProxyError, of_error)
    app.register_error_handler(HTTPException, _of_http)
    app.register_error_handler(Exception, _of_fault)


_HIDDEN = re.compile(r"/(ops|api)(/.*)?|/openapi\.json")


def hide(app: Flask, is_near: Callable[[], bool]) -> None:
    """Let page and API look like any address at which there is nothing, for whoever is not near,
    whatever the method and however odd the address."""

    @app.before_request
    def nothing() -> Response | None:
        if _HIDDEN.fullmatch(request.path) and not is_near():
            _log.info(
                "the page is not there for %s, which opsnetworks does not name", request.remote_addr
            )
            g.hidden = True
            return _of_http(NotFound())
        return None


def _begin() -> None:
    given = request.headers.get("x-ci360-con-inv-trace-id") or request.headers.get("X-Request-ID")
    g.request_id = given if given and _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
    logs.work_on(request=g.request_id)


def _end(response: Response) -> Response:
    response.headers["X-Request-ID"] = g.request_id
    response.headers["Cache-Control"] = "no-store"
    return response


def of_several(answered: Sequence[tuple[str, Response]]) -> Response:
    """The answer to a webhook with these destinations: that of the one which fared worst, and
    where there are several, what is said of each."""
    _, worst = max(answered, key=lambda one: one[1].status_code)
    if len(answered) == 1:
        return worst
    bodies = [
        {"stpName": name, "httpStatus": one.status_code, **json.loads(one.get_data())}
        for name, one in answered
    ]
    return _json(worst.status_code, {**json.loads(worst.get_data()), "deliveries": bodies})


def of_accepted(accepted: Accepted) -> Response:
    """The answer to a webhook that is kept and will be carried out."""
    body = {
        "status": "accepted",
        "deliveryId": accepted.delivery_id,
        "requestId": g.request_id,
        "stpName": accepted.stp_name,
        "statusUrl": f"/deliveries/{accepted.delivery_id}",
    }
    return _json(202, body)


def of_delivery(delivery: Delivery, **more: object) -> Response:
    """The answer to a webhook whose delivery has had its first attempt."""
    status = _STATUS[delivery.state]
    body: dict[str, object]
    if status < 300:
        body = {
            "status": "done" if status == 200 else "accepted",
            "deliveryId": delivery.delivery_id,
            "requestId": g.request_id,
            "stpName": delivery.stp_name,
        }
        if status == 200:
            body["result"] = dict(delivery.result)
        else:
            body["statusUrl"] = f"/deliveries/{delivery.delivery_id}"
    else:
        body = error_body(
            delivery.code,
            delivery.message,
            delivery.advice,
            g.request_id,
            delivery_id=delivery.delivery_id,
        )
    return _json(status, {**body, **more})


def of_duplicate(delivery: Delivery) -> Response:
    """The answer to a webhook that was accepted before: nothing is carried out twice."""
    if delivery.state in OPEN or delivery.state is State.DONE:
        body = {
            "status": delivery.state,
            "deliveryId": delivery.delivery_id,
            "requestId": g.request_id,
            "stpName": delivery.stp_name,
            "statusUrl": f"/deliveries/{delivery.delivery_id}",
            "duplicate": True,
        }
        return _json(200, body)
    return of_delivery(delivery, duplicate=True)


def of_record(delivery: Delivery) -> Response:
    """The record of a delivery with its attempts."""
    return _json(200, asjson.delivery(delivery, with_attempts=True))


def of_body(body: Mapping[str, object]) -> Response:
    """The answer to a request that was done."""
    return _json(200, body)


def of_health(checks: Sequence[Check]) -> Response:
    """Every check; 503 where one of them fails."""
    condition = worst(checks)
    body = {"status": condition, "checks": list(map(asjson.check, checks))}
    return _json(503 if condition is Condition.FAIL else 200, body)


def error_body(
    code: str,
    message: str,
    advice: str,
    request_id: str,
    *,
    details: Iterable[Detail] = (),
    delivery_id: str = "",
) -> dict[str, object]:
    """The body of an error: ``timestamp`` is ISO 8601 in UTC, ``deliveryId`` stands there as
    soon as there is one."""
    error: dict[str, object] = {
        "code": code,
        "message": message,
        "advice": advice,
        "timestamp": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "requestId": request_id,
        "details": [{"field": one.field, "issue": one.issue} for one in details],
    }
    return {"error": error, **({"deliveryId": delivery_id} if delivery_id else {})}


def http_error(status: int, request_id: str) -> dict[str, object]:
    """The body for a failure of HTTP itself, which waitress or Werkzeug noticed."""
    other = ("http_error", "The request cannot be answered.", "Send HTTP/1.1.")
    return error_body(*_BY_STATUS.get(status, other), request_id)


def of_error(error: ConnectorProxyError) -> Response:
    """The answer to a request that cannot be done, with a line of the log."""
    said = "; ".join(f"{detail.field} {detail.issue}" for detail in error.details) or error.cause
    level = _LEVELS.get(error.status, logging.INFO)
    _log.log(
        level, 'rejected status=%d code=%s message="%s %s"', error.status, error.code, error, said
    )
    body = error_body(error.code, str(error), error.advice, g.request_id, details=error.details)
    response = _json(error.status, body)
    if isinstance(error, QueueUnavailable | TooManyTries):
        response.headers["Retry-After"] = str(error.retry_after)
    if isinstance(error, Unauthorized):
        response.headers["WWW-Authenticate"] = error.challenge
    return response


def _of_http(error: HTTPException) -> Response:
    status = error.code or 500
    _log.info("rejected status=%d method=%s", status, request.method[:20])
    response = _json(status, http_error(status, g.request_id))
    response.headers.update(kept_headers(error))
    return response


def kept_headers(error: HTTPException) -> dict[str, str]:
    """What of the headers of a failure a caller can use."""
    return {name: value for name, value in error.get_headers() if name in ("Allow", "Retry-After")}


def _of_fault(error: Exception) -> Response:
    _log.error("unhandled fault", exc_info=error)
    return _json(500, http_error(500, g.request_id))


def _json(status: int, body: Mapping[str, object]) -> Response:
    return Response(json.dumps(body), status, content_type="application/json")
