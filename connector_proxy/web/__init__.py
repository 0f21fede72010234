"""The HTTP doors of the service."""

from __future__ import annotations

from flask import Flask

from connector_proxy.acceptor import Acceptor
from connector_proxy.deliveries import Deliveries
from connector_proxy.desk import Desk
from connector_proxy.health.running import Health
from connector_proxy.metrics import Metrics
from connector_proxy.settings import Settings
from connector_proxy.web import access, answers, api, files, hooks, ops, watch
from connector_proxy.web.access import Caller
from connector_proxy.web.ops.guard import OpsGuard
from connector_proxy.web.proxies import Proxies
from connector_proxy.web.watchguard import watch_guard


def create_app(
    settings: Settings,
    acceptor: Acceptor,
    deliveries: Deliveries,
    desk: Desk,
    health: Health,
    metrics: Metrics,
) -> Flask:
    """The WSGI application: webhooks, ``GET /deliveries/<id>``, staged files, the page
    with its API, health and metrics, and JSON for everything else."""
    app = Flask("connector_proxy", static_folder=None, template_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = settings.maxrequestbytes
    app.config["PROVIDE_AUTOMATIC_OPTIONS"] = False
    watch.install(app, health, metrics)
    answers.install(app)
    hooks.install(app, acceptor, deliveries)
    files.install(app, settings, deliveries)
    guards = {
        Caller.WEBHOOK: access.webhook_guard(settings),
        Caller.WATCH: watch_guard(settings),
        Caller.EVERYBODY: None,
    }
    if settings.ops:
        guard = OpsGuard(settings)
        answers.hide(app, guard.is_near)
        ops.install(app, desk, guard)
        api.install(app, desk)
        guards |= {Caller.NEAR: guard.near, Caller.PAGE: guard.page, Caller.API: guard.api}
    access.install(app, guards)
    app.wsgi_app = Proxies(app.wsgi_app, settings.trustedproxy)  # type: ignore[method-assign]
    return app
