"""The service behind another WSGI server: ``connector_proxy.wsgi:application``.

Importing this module starts it, with the configuration that ``CONNECTOR_PROXY_CONF`` names: so
let the server have one process with many threads, and load the application in that process. A
second one is refused. It ends with the process.
"""

from __future__ import annotations

import atexit
import logging

from flask import Flask

from connector_proxy.errors import ConfigurationError
from connector_proxy.loading import load
from connector_proxy.service import Core, open_log

_log = logging.getLogger(__name__)


def _started() -> Flask:
    settings = load()
    open_log(settings)
    try:
        core = Core(settings)
    except ConfigurationError as error:
        _log.error("%s %s", error, error.advice)
        raise
    core.start()
    atexit.register(_end, core)
    _log.info("started behind another server")
    return core.app


def _end(core: Core) -> None:
    core.stop()
    core.close()
    _log.info("ended")


application = _started()
