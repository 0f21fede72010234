"""The page at ``/ops``: pages made by the server, one style sheet, one small script."""

from __future__ import annotations

from pathlib import Path

from flask import Blueprint, Flask, Response, g, make_response, render_template, send_from_directory
from jinja2 import StrictUndefined
from werkzeug.exceptions import HTTPException

from connector_proxy.desk import Desk
from connector_proxy.errors import ConnectorProxyError, TooManyTries, Unauthorized
from connector_proxy.web import answers
from connector_proxy.web.access import Caller, may_call
from connector_proxy.web.ops import actions, pages, words
from connector_proxy.web.ops.guard import OpsGuard

_STATIC = Path(__file__).resolve().parent / "static"
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; "
    "img-src 'self'; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; "
    "base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
"""On every answer of the page: nothing from elsewhere, in no frame, no script inside of a page."""


def install(app: Flask, desk: Desk, guard: OpsGuard) -> None:
    """Add the page to ``app``."""
    blueprint = Blueprint("ops", __name__, url_prefix="/ops", template_folder="templates")
    actions.add(blueprint, desk, guard)
    blueprint.add_url_rule("/static/<name>", view_func=static)
    pages.add(blueprint, desk)
    blueprint.after_request(_protected)
    blueprint.register_error_handler(Unauthorized, _wrong_secret)
    blueprint.register_error_handler(TooManyTries, _wrong_secret)
    blueprint.register_error_handler(ConnectorProxyError, _failed)
    blueprint.register_error_handler(HTTPException, _of_http)
    app.jinja_env.undefined = StrictUndefined
    words.install(app)
    app.register_blueprint(blueprint)


@may_call(Caller.NEAR)
def static(name: str) -> Response:
    """The style sheet, the script, the icon."""
    return send_from_directory(_STATIC, name)


def _protected(response: Response) -> Response:
    if not g.get("hidden"):
        response.headers.update(HEADERS)
    return response


def _wrong_secret(error: Unauthorized | TooManyTries) -> Response:
    wait = f" Try again in {error.retry_after} s." if isinstance(error, TooManyTries) else ""
    issue = f"Too many wrong tries from this address.{wait}" if wait else "This is not the secret."
    return _page(answers.of_error(error), "login.html", has_secret=True, issue=issue)


def _failed(error: ConnectorProxyError) -> Response:
    details = "; ".join(f"{one.field}: {one.issue}" for one in error.details)
    return _page(
        answers.of_error(error),
        "error.html",
        message=str(error),
        details=details,
        advice=error.advice,
    )


def _of_http(error: HTTPException) -> Response:
    if error.response is not None:  # such as the way to the login
        return make_response(error.get_response())
    return _page(
        Response(status=error.code, headers=answers.kept_headers(error)),
        "error.html",
        message=f"{error.code} {error.name}",
        details="",
        advice="Go to the overview, or back.",
    )


def _page(answer: Response, template: str, **values: object) -> Response:
    answer.set_data(render_template(template, **values))
    answer.mimetype = "text/html"
    return answer
