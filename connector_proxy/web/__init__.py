"""The HTTP doors of the service."""

from __future__ import annotations

from flask import Flask

from connector_proxy.engine import Engine
from connector_proxy.settings import Settings
from connector_proxy.web import answers, hooks


def create_app(settings: Settings, engine: Engine) -> Flask:
    """The WSGI application: ``POST /ExecuteSTP``, and JSON for everything else."""
    app = Flask("connector_proxy", static_folder=None, template_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = settings.maxrequestbytes
    app.config["PROVIDE_AUTOMATIC_OPTIONS"] = False
    answers.install(app)
    hooks.install(app, engine)
    return app
