"""The HTTP doors of the service."""

from __future__ import annotations

from flask import Flask

from connector_proxy.acceptor import Acceptor
from connector_proxy.deliveries import Deliveries
from connector_proxy.settings import Settings
from connector_proxy.web import access, answers, files, hooks
from connector_proxy.web.access import Caller
from connector_proxy.web.proxies import Proxies


def create_app(settings: Settings, acceptor: Acceptor, deliveries: Deliveries) -> Flask:
    """The WSGI application: ``POST /ExecuteSTP``, ``GET /deliveries/<id>``, staged files, and
    JSON for everything else."""
    app = Flask("connector_proxy", static_folder=None, template_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = settings.maxrequestbytes
    app.config["PROVIDE_AUTOMATIC_OPTIONS"] = False
    answers.install(app)
    hooks.install(app, acceptor, deliveries)
    files.install(app, settings, deliveries)
    guards = {Caller.WEBHOOK: access.webhook_guard(settings), Caller.EVERYBODY: None}
    access.install(app, guards)
    app.wsgi_app = Proxies(app.wsgi_app, settings.trustedproxy)  # type: ignore[method-assign]
    return app
